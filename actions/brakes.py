"""What guards hold until a person or time lets go: storms, quarantines, and circuits that are not closed."""

from collections.abc import Mapping
from dataclasses import dataclass

from actions import breaker, budgets, circuits, quarantines
from actions.guards import Storm
from actions.models import Remediator, TargetGuard


@dataclass(frozen=True, slots=True, kw_only=True)
class Brakes:
    """All of it, now."""

    storms: tuple[Storm, ...]
    quarantined: tuple[TargetGuard, ...]
    circuits: Mapping[str, breaker.Circuit]
    """By the remediator's name; closed ones are left out."""

    @property
    def any(self) -> bool:
        """Whether anything is held."""
        return bool(self.storms or self.quarantined or self.circuits)


def standing() -> Brakes:
    """What is held now; three or four small reads."""
    found = circuits.standing()
    names = dict(Remediator.objects.filter(pk__in=found).values_list("pk", "name")) if found else {}
    return Brakes(
        storms=tuple(budgets.storms()),
        quarantined=tuple(quarantines.standing()),
        circuits={names[number]: circuit for number, circuit in sorted(found.items()) if number in names},
    )
