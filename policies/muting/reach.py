"""What a silence or a window would mute now: asked before it is made, so that nobody mutes more than they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from metrics import queries
from policies import book
from policies.engine import muting, targets
from policies.engine.muting import Subject
from policies.engine.tags import TagMatcher
from policies.models import LIVE, Incident
from policies.muting import kept
from policies.muting.common_causes import KNOWN_WITHIN

SHOWN_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far it would reach."""

    incidents: tuple[Incident, ...]
    """The newest live incidents it would mute; at most `SHOWN_MAX`."""
    incidents_total: int
    targets: int
    """Known targets that fit its matchers on `target`."""
    known_targets: int
    policies: tuple[str, ...]
    """Policies in force that fit its matchers on `policy` and `severity`."""

    @property
    def sentence(self) -> str:
        """All of it for reading."""
        live = f"{self.incidents_total} live incident{'' if self.incidents_total == 1 else 's'}"
        policies = f"{len(self.policies)} polic{'y' if len(self.policies) == 1 else 'ies'} in force"
        return (
            f"It would mute {live} now. It covers {self.targets} of {self.known_targets} known targets and {policies}."
        )


def of_matchers(matchers: Sequence[TagMatcher], *, at: datetime, within: Sequence[str] = ()) -> Reach:
    """The reach of a silence; `within` are the only targets that the asker may know of, none is all."""
    on_target = [one for one in matchers if one.name == "target"]
    on_policy = [one for one in matchers if one.name in ("policy", "severity")]
    live = Incident.objects.filter(status__in=LIVE).select_related("policy").order_by("-id")
    muted = [
        one
        for one in live
        if _visible(one.target, within) and muting.match(matchers, kept.subject_of(one, policy=one.policy.name))
    ]
    known = [one for one in queries.known_targets(since=at - KNOWN_WITHIN) if _visible(one, within)]
    return Reach(
        incidents=tuple(muted[:SHOWN_MAX]),
        incidents_total=len(muted),
        targets=sum(_fits(on_target, Subject(target=one, policy="", severity="")) for one in known),
        known_targets=len(known),
        policies=tuple(
            rule.name
            for rule in book.current(at).rules.values()
            if _fits(on_policy, Subject(target="", policy=rule.name, severity=rule.severity))
        ),
    )


def of_window(target: str, *, at: datetime, within: Sequence[str] = ()) -> Reach:
    """The reach of a maintenance window on these targets; policies that act in maintenance are left out."""
    acting = {rule.name for rule in book.current(at).rules.values() if rule.document.act_in_maintenance}
    live = Incident.objects.filter(status__in=LIVE).select_related("policy").order_by("-id")
    muted = [
        one
        for one in live
        if targets.matches(target, one.target) and one.policy.name not in acting and _visible(one.target, within)
    ]
    known = [one for one in queries.known_targets(since=at - KNOWN_WITHIN) if _visible(one, within)]
    policies = sorted(rule.name for rule in book.current(at).rules.values() if rule.name not in acting)
    return Reach(
        incidents=tuple(muted[:SHOWN_MAX]),
        incidents_total=len(muted),
        targets=sum(targets.matches(target, one) for one in known),
        known_targets=len(known),
        policies=tuple(policies),
    )


def _fits(matchers: Sequence[TagMatcher], subject: Subject) -> bool:
    return not matchers or muting.match(matchers, subject)


def _visible(target: str, within: Sequence[str]) -> bool:
    return not within or any(targets.matches(pattern, target) for pattern in within)
