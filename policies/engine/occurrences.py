"""Judge events: how many came, less those that a later one took back."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from policies.engine import durations, globs, sentences, tags
from policies.engine.conditions import EventMatches, ResolvedBy
from policies.engine.values import Event, Outcome, TargetData, Verdict

type _Place = tuple[datetime, int]


def events(condition: EventMatches, data: TargetData, *, at: datetime) -> Verdict:
    """No event is good news, so this is never unknown."""
    recent = [event for event in data.events if at - condition.window < event.at <= at]
    closing = [event for event in recent if _closes(condition, event)]
    came = [event for event in recent if _opens(condition, event) and not _closes(condition, event)]
    still = list(_unresolved(condition, came, closing))
    return Verdict(
        outcome=Outcome.VIOLATED if len(still) >= condition.count else Outcome.HEALTHY,
        reason=f"{_counted(condition, len(still))} in {durations.text(condition.window)}{_taken_back(came, still)}",
        numbers={"events": float(len(still)), "needed": float(condition.count)},
        value=float(len(still)),
        newest_at=max((event.at for event in (*came, *closing)), default=None),
    )


def _opens(condition: EventMatches, event: Event) -> bool:
    return (
        globs.matches(condition.event, event.name)
        and condition.severity in (None, event.severity)
        and tags.match(condition.tags, event.tags)
    )


def _closes(condition: EventMatches, event: Event) -> bool:
    """An event that takes others back opens nothing itself, whatever else it matches."""
    resolved = condition.resolved_by
    if resolved is None:
        return False
    return globs.matches(resolved.event or condition.event, event.name) and tags.match(resolved.tags, event.tags)


def _unresolved(condition: EventMatches, came: Sequence[Event], closing: Sequence[Event]) -> Iterator[Event]:
    """An event is taken back by one that came later, of two at the same time by the one that was stored later."""
    resolved = condition.resolved_by
    if resolved is None:
        yield from came
        return
    closed: dict[tuple[str, ...], _Place] = {}
    for event in closing:
        key = _key(resolved, event)
        closed[key] = max(closed.get(key, _place(event)), _place(event))
    for event in came:
        last = closed.get(_key(resolved, event))
        if last is None or last < _place(event):
            yield event


def _key(resolved: ResolvedBy, event: Event) -> tuple[str, ...]:
    return tuple(event.tags.get(name, "") for name in resolved.same)


def _place(event: Event) -> _Place:
    return event.at, event.id


def _taken_back(came: Sequence[Event], still: Sequence[Event]) -> str:
    resolved = len(came) - len(still)
    return f", {resolved} resolved" if resolved else ""


def _counted(condition: EventMatches, count: int) -> str:
    severity = "" if condition.severity is None else f"{sentences.name_text(condition.severity)} "
    what = f"{severity}{sentences.selector(condition.event, condition.tags)}"
    return f"{count or 'no'} {what} {'event' if count == 1 else 'events'}"
