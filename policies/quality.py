"""Whether what a policy was judged by is good enough to act on: fresh, dense, and not heard by a Vigil gone deaf."""

from datetime import datetime, timedelta

from django.conf import settings

from actions import guards
from actions.guards import Answer
from metrics import queries
from policies import book, judging
from policies.book import Rule
from policies.engine import conditions
from policies.engine.values import Verdict
from policies.muting.common_causes import COUNT_AGAIN_AFTER, KNOWN_WITHIN

_heard: dict[tuple[int, timedelta], tuple[datetime, int, int]] = {}
"""By how often this process dropped its book, and by what is called silent: when it was counted, how many targets were
silent, and were known."""
COUNTED_MAX = 100


def every(rule: Rule, verdict: Verdict, *, at: datetime) -> dict[str, Answer]:
    """What each rule about data says, by its name; by silence alone nothing is measured that could be old."""
    by_silence = not verdict.violated or conditions.has_absence(rule.condition)
    return {**_of_readings(rule, verdict, at=at), "blind": _blind(rule, at) if by_silence else guards.ALLOWED}


def objection(rule: Rule, verdict: Verdict, *, at: datetime) -> guards.Hold | None:
    """The first reason not to act on this verdict."""
    return next((one for one in every(rule, verdict, at=at).values() if isinstance(one, guards.Hold)), None)


def of_readings(rule: Rule, verdict: Verdict, *, at: datetime) -> guards.Hold | None:
    """The same without asking who else is silent: for rehearsals, where nobody else is there."""
    return next((one for one in _of_readings(rule, verdict, at=at).values() if isinstance(one, guards.Hold)), None)


def allowed_age() -> timedelta:
    """How old the newest reading may be: twice what agents need to report again."""
    return 2 * timedelta(seconds=max(settings.VIGIL_REPORT_SECONDS, settings.VIGIL_SWEEP_INTERVAL_SECONDS))


def _of_readings(rule: Rule, verdict: Verdict, *, at: datetime) -> dict[str, Answer]:
    measured = verdict.violated and bool(rule.needs.metrics) and not conditions.has_absence(rule.condition)
    if not measured or rule.needs.questions:
        return {"stale_data": guards.ALLOWED, "sparse_data": guards.ALLOWED}
    return {
        "stale_data": guards.fresh(verdict.newest_at, at=at, within=allowed_age()),
        "sparse_data": guards.dense(verdict.fewest, least=int(settings.VIGIL_LEAST_SAMPLES)),
    }


def _blind(rule: Rule, at: datetime) -> Answer:
    """Counted anew after half a minute: in a storm of silence every pair asks."""
    key = (book.mutes_version(at)[1], _silent_after(rule))
    counted = _heard.get(key)
    if counted is None or abs(at - counted[0]) > COUNT_AGAIN_AFTER:
        if len(_heard) >= COUNTED_MAX:
            _heard.clear()
        known = queries.known_targets(since=at - KNOWN_WITHIN)
        alive = queries.known_targets(since=at - key[1] + timedelta.resolution)
        _heard[key] = counted = (at, len(known) - len(alive), len(known))
    _, silent, known_total = counted
    return guards.observed(silent, known_total, percent=int(settings.VIGIL_BLIND_PERCENT))


def _silent_after(rule: Rule) -> timedelta:
    """Whoever says nothing for so long is silent: as soon as the policy says so of its metric, or data is stale."""
    said = (node.silent_for for node in conditions.walk(rule.condition) if isinstance(node, conditions.Absent))
    return min((judging.staleness(), *said))
