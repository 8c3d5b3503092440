"""manage.py fsck: does everything that was promised hold in this database?"""

import json
import sys
from collections import Counter
from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandParser

from actions import fsck as actions_fsck
from actions.invariants import Broken
from policies import fsck as policies_fsck
from vigil.audit import entries
from vigil.kernel import clock

LOOKED_AT = {
    "I1": "every action's and incident's story is whole and possible",
    "I2": "no target is held by two actions",
    "I3": "the fence of each target only rises",
    "I4": "every call had its intent stored before it",
    "I5": "what may be sent once left once",
    "I6": "nothing left after its deadline, its cancellation, or the kill switch",
    "I7": "every action ends or asks for a person",
    "I9": "the audit's chains verify",
    "I10": "nothing holds its target for ever",
}


class Command(BaseCommand):
    help = "Check every invariant on this database, also while Vigil runs. Exit code 1 when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="for machines")

    def handle(self, *_: object, as_json: bool, **__: object) -> None:
        found = list(_broken())
        if as_json:
            shown = [{"invariant": one.invariant, "subject": one.subject, "says": one.says} for one in found]
            self.stdout.write(json.dumps({"holds": not found, "broken": shown}, indent=2))
        else:
            self._print(found)
        if found:
            sys.exit(1)

    def _print(self, found: list[Broken]) -> None:
        count = Counter(one.invariant for one in found)
        for invariant, what in LOOKED_AT.items():
            verdict = self.style.ERROR("BROKEN") if count[invariant] else self.style.SUCCESS("holds ")
            self.stdout.write(f"{verdict} {invariant:<4} {what}")
            for one in found:
                if one.invariant == invariant:
                    self.stdout.write(f"            {one.subject}: {one.says}")


def _broken() -> Iterator[Broken]:
    yield from actions_fsck.broken(at=clock.now())
    for subject, says in policies_fsck.broken():
        yield Broken(invariant="I1", subject=subject, says=says)
    for subject, says in entries.all_broken_links():
        yield Broken(invariant="I9", subject=subject, says=says)
