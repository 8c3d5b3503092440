"""Which kinds of remediators there are, and how one is built from its stored configuration."""

from collections.abc import Mapping
from typing import cast

from actions.remediators import base
from vigil.kernel import plugins

BUILT_IN: Mapping[str, str] = {
    "command": "actions.remediators.command.make",
    "http": "actions.remediators.http.make",
    "log": "actions.remediators.log.make",
    "pull": "actions.remediators.pull.make",
}


def kinds(extra: Mapping[str, str] | None = None) -> frozenset[str]:
    """Every kind that can be built. `extra` (from VIGIL_REMEDIATORS) maps further kinds to dotted paths."""
    return frozenset(BUILT_IN) | frozenset(extra or {})


def build(
    *,
    kind: str,
    config: Mapping[str, object],
    secret: str = "",
    commands: base.Commands | None = None,
    extra: Mapping[str, str] | None = None,
) -> base.Remediator:
    """The remediator for one configuration.

    `commands` is the allow-list of executables (VIGIL_COMMANDS). Raises ConfigurationError with the path of what is
    wrong, and ImproperlyConfigured when the dotted path of a plug-in leads nowhere.
    """
    dotted = {**(extra or {}), **BUILT_IN}.get(kind)
    if dotted is None:
        known = ", ".join(sorted(kinds(extra)))
        raise base.wrong(path="kind", message=f"There is no remediator of kind {kind!r}. Known kinds: {known}.")
    make = cast("base.Maker", plugins.load(dotted))
    return make(config=config, secret=secret, commands=commands or {})
