"""Names of settings that nobody reads, and what was probably meant (pure)."""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator

OURS = "VIGIL_"
NEAR = 0.75
"""How alike two names are, from 0 to 1, before one is taken for a slip of the other."""

NOT_SETTINGS = frozenset(
    {
        *("VIGIL_DEMO_PREPARED", "VIGIL_SIGNS_DIR", "VIGIL_SIMULATOR_KEY"),  # the runner's, for its children
        *("VIGIL_KEY", "VIGIL_PYTHON", "VIGIL_VENV"),  # for commands and scripts
        *("VIGIL_TESTING", "VIGIL_FAILPOINT", "VIGIL_TEST_DATABASE", "VIGIL_TEST_SERVER_URL", "VIGIL_TEST_DIR"),
        "VIGIL_BENCH_DATABASE_URL",
        *("POSTGRES_PASSWORD", "GRAFANA_PASSWORD", "DJANGO_SETTINGS_MODULE", "PROMETHEUS_MULTIPROC_DIR"),
    }
)
"""What other parts read, or other programs beside us."""


def names_in(env_file: str) -> list[str]:
    """The names that the text of an `.env` file gives a value."""
    return re.findall(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=", env_file, flags=re.MULTILINE)


def unread(names: Iterable[str], *, known: Collection[str], in_our_file: Collection[str]) -> Iterator[tuple[str, str]]:
    """(name, what was probably meant or "") of each name that is ours and that nothing reads.

    Ours is what begins like ours; in a file of our own also what is nearly the name of a setting.
    """
    known = set(known) | NOT_SETTINGS
    for name in sorted(set(names) - known):
        meant = _nearest(name, known - NOT_SETTINGS)
        if name.upper().startswith(OURS) or (name in in_our_file and meant):
            yield name, meant


def _nearest(name: str, known: Collection[str]) -> str:
    return next(iter(difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=NEAR)), "")
