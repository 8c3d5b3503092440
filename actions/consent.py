"""Whose word an action needs before it may run. Pure: facts in, an answer with its sentences out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

CRITICAL_PEOPLE = 2
"""So many different people approve an action of risk critical."""


class Asks(StrEnum):
    """Who has to agree."""

    NOBODY = ""
    OPERATOR = "operator"
    """Anybody who may operate actions: a click."""
    APPROVER = "approver"
    """Somebody with the scope `actions:approve`."""

    @property
    def strength(self) -> int:
        """The larger, the fewer people can give it."""
        return list(Asks).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What an action waits for."""

    asks: Asks = Asks.NOBODY
    people: int = 0
    """How many different ones."""
    because: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether it waits at all."""
        return self.people > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """Somebody who says yes or no."""

    actor: str
    operates: bool = False
    approves: bool = False

    def counts_for(self, asks: str) -> bool:
        """Whether this voice may judge what asks for that."""
        return self.approves or (self.operates and asks == Asks.OPERATOR)


def need(
    *, kind: str, risk: str, target: str, by_hand: bool, protected_by: str, asks: Asks, asked_by: str = ""
) -> Need:
    """The strongest of what the type's risk, the target and the policy ask for; every reason is named.

    `protected_by` is the pattern that protects the target, "" when none does. `asked_by` says who asks, as a clause.
    """
    wants: list[tuple[Asks, int, str]] = []
    if risk == "critical":
        wants.append((Asks.APPROVER, CRITICAL_PEOPLE, f"{kind} has the risk critical: two different people approve it"))
    if risk == "high" and not by_hand:
        wants.append((Asks.APPROVER, 1, f"{kind} has the risk high and no person ordered it"))
    if protected_by:
        wants.append((Asks.APPROVER, 1, f"{target} is protected ({protected_by}): everything there needs an approver"))
    if asks is not Asks.NOBODY:
        wants.append((asks, 1, asked_by))
    if not wants:
        return Need()
    return Need(
        asks=max((who for who, _, _ in wants), key=lambda who: who.strength),
        people=max(people for _, people, _ in wants),
        because=tuple(reason for _, _, reason in wants if reason),
    )


def own_work(*, asks: str, ordered_by: str, by_hand: bool, editors: Mapping[str, str]) -> dict[str, str]:
    """Whose own work would be approved, each with what they did; a second pair of eyes is not theirs.

    `editors` are the people whose policy ordered it, with what they wrote. A suggestion waits for a click, not for
    a second pair of eyes: whoever wrote the policy may give it.
    """
    own = dict(editors) if asks == Asks.APPROVER else {}
    return {**own, ordered_by: "ordered it"} if by_hand else own


def objection(*, voice: Voice, asks: str, own: Mapping[str, str], approving: bool) -> str:
    """Why this voice does not count, or "". Anyone who may judge an action may turn it down, also the own one.

    `own` is what `own_work` says; {} where no second pair of eyes is wanted.
    """
    scope = "actions:write or actions:approve" if asks == Asks.OPERATOR else "actions:approve"
    if not voice.counts_for(asks):
        return f"This action waits for {describe(asks)}: that needs the scope {scope}."
    if approving and voice.actor in own:
        return (
            f"{voice.actor} {own[voice.actor]}, and a second pair of eyes is wanted: somebody else with the scope "
            f"{scope} approves it."
        )
    return ""


def describe(asks: str) -> str:
    """Whose word is awaited."""
    return "an approver" if asks == Asks.APPROVER else "somebody's click"


def missing(need: int, given: Collection[str]) -> int:
    """How many people are still wanted."""
    return max(need - len(set(given)), 0)
