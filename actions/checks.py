"""System checks: what is wrong with the settings is said at the start, with what to do about it."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from actions.remediators import base, registry
from vigil.kernel import plugins


def connect() -> None:
    """Register the checks; `AppConfig.ready` calls this."""
    for check in (gate, editors, default_remediator, plug_ins, pause_file):
        register(check, Tags.compatibility)


def gate(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """actions.E001: the gate that is asked before every policy's action must exist."""
    if not settings.ACTION_GATE:
        hint = "Set ACTION_GATE to policies.remedies.still_wanted."
        text = "No gate is set: actions are sent without a look at fresh data."
        return [checks.Warning(text, hint=hint, id="actions.W001")]
    return _loadable(settings.ACTION_GATE, id="actions.E001", hint="Set ACTION_GATE to policies.remedies.still_wanted.")


def editors(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """actions.E004: who edited a policy, and so may not approve what it orders, must be known."""
    hint = "Set ACTION_EDITORS to policies.evidence.editors."
    if not settings.ACTION_EDITORS:
        text = "Nobody says who edited a policy: people may approve what their own policies order."
        return [checks.Warning(text, hint=hint, id="actions.W003")]
    return _loadable(settings.ACTION_EDITORS, id="actions.E004", hint=hint)


def plug_ins(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """actions.E002: every plug-in named in VIGIL_REMEDIATORS must exist."""
    hint = "Correct its dotted path in VIGIL_REMEDIATORS, or take it out."
    return [
        fault for path in settings.VIGIL_REMEDIATORS.values() for fault in _loadable(path, id="actions.E002", hint=hint)
    ]


def default_remediator(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """actions.E003: REMEDIATOR_URL must be one that calls can go to."""
    if not settings.REMEDIATOR_URL:
        return []
    try:
        registry.build(kind="http", config={"url": settings.REMEDIATOR_URL}, secret=settings.REMEDIATOR_SECRET)
    except base.ConfigurationError as error:
        hint = "Set REMEDIATOR_URL to an http(s) address, or leave it empty to only log."
        return [Error(error.detail, hint=hint, id="actions.E003")]
    return []


def pause_file(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """actions.W002: the pause file's directory must exist, or nobody can pause Vigil by file."""
    directory = settings.VIGIL_PAUSE_FILE.parent
    if directory.is_dir():
        return []
    hint = "Create it, or set VIGIL_PAUSE_FILE to a file in one that exists."
    return [checks.Warning(f"The pause file's directory {directory} does not exist.", hint=hint, id="actions.W002")]


def _loadable(dotted: str, *, id: str, hint: str) -> list[CheckMessage]:  # noqa: A002  Django's word for it
    try:
        plugins.load(dotted)
    except ImproperlyConfigured as error:
        return [Error(str(error), hint=hint, id=id)]
    return []
