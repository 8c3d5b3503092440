"""One plain sentence for whatever the engine concluded."""

import enum

from policies.engine import lifecycle, numerals
from policies.engine.lifecycle import Flap, Status, Step, Transition
from policies.engine.tracing import Trace
from policies.engine.values import Outcome, Verdict

_VERDICTS = {
    Outcome.VIOLATED: "{target} violates {policy}: {reason}.",
    Outcome.HEALTHY: "{target} is healthy for {policy}: {reason}.",
    Outcome.UNKNOWN: "Whether {target} violates {policy} is unknown: {reason}.",
}
_TRANSITIONS = {
    Transition.PENDED: "{policy} began to be violated on {target}: {reason}.",
    Transition.OPENED: "An incident of {policy} opened on {target}: {reason}.",
    Transition.FORGOTTEN: "The violation of {policy} on {target} passed before it lasted long enough: {reason}.",
    Transition.RESOLVED: "The incident of {policy} on {target} is resolved: {reason}.",
    Transition.RESOLVED_UNVERIFIED: "The incident of {policy} on {target} was closed unverified: {reason}.",
}
_UNCHANGED = {
    Status.NONE: "{policy} has nothing against {target}: {reason}.",
    Status.PENDING: "The violation of {policy} on {target} has not lasted long enough: {reason}.",
    Status.OPEN: "The incident of {policy} on {target} stays open: {reason}.",
}

_FLAPS = {
    Flap.BEGAN: " It is flapping now: nothing more is announced or ordered until it calms down.",
    Flap.ENDED: " It is no longer flapping.",
}


class Answer(enum.StrEnum):
    """What was decided about an action."""

    ORDER = "order"
    HOLD = "hold"
    REFUSE = "refuse"


_DECISIONS = {
    Answer.ORDER: "Ordered {action} on {target}: {reason}.",
    Answer.HOLD: "Holding {action} on {target} for now{guard}: {reason}.",
    Answer.REFUSE: "Refused {action} on {target}{guard}: {reason}.",
}


def verdict(given: Verdict, *, policy: str, target: str) -> str:
    """What a verdict says about a target."""
    return _VERDICTS[given.outcome].format(policy=policy, target=target, reason=_bare(given.reason))


def parts(traced: Trace) -> list[str]:
    """What each part of a compound condition says; nothing for one that has no parts."""
    return [f"`{part.sentence}` is {part.verdict.outcome}: {_bare(part.verdict.reason)}." for part in traced.parts]


def looked(traced: Trace) -> str:
    """Which samples and events it all rests on."""
    samples = {sample.id: sample for leaf in traced.leaves() for one in leaf.looked for sample in one.samples}
    series = {id(one.series) for leaf in traced.leaves() for one in leaf.looked if one.samples}
    events = {event.id: event for leaf in traced.leaves() for event in leaf.events}
    said = []
    if samples:
        newest = max(samples.values(), key=lambda sample: (sample.at, sample.id))
        count = "sample" if len(samples) == 1 else f"{len(samples)} samples of {len(series)} series, the newest"
        said.append(f"{count} {newest.id} ({numerals.shown(newest.value)} at {newest.at:%H:%M:%S})")
    if events:
        newest_event = max(events.values(), key=lambda event: (event.at, event.id))
        count = "event" if len(events) == 1 else f"{len(events)} events, the newest"
        said.append(f"{count} {newest_event.id} ({newest_event.name} at {newest_event.at:%H:%M:%S})")
    said += [f"the answer to {question.query!r}" for leaf in traced.leaves() for question in leaf.answers]
    return f"It looked at {' and '.join(said)}." if said else "It had nothing to look at."


def step(taken: Step, *, policy: str, target: str) -> str:
    """What one evaluation did to an incident, and whether a grace period holds actions back."""
    template = _UNCHANGED[taken.state.status] if taken.transition is None else _TRANSITIONS[taken.transition]
    said = template.format(policy=policy, target=target, reason=_bare(taken.reason))
    said += _FLAPS[taken.flap] if taken.flap is not None else ""
    return said if taken.in_grace_until is None else f"{said} {lifecycle.grace_reason(taken.in_grace_until)}"


def decision(answer: Answer | str, *, action: str, target: str, reason: str, guard: str = "") -> str:
    """Why an action was ordered, held or refused, and by which guard."""
    named = f" ({guard})" if guard else ""
    return _DECISIONS[Answer(answer)].format(action=action, target=target, reason=_bare(reason), guard=named)


def _bare(reason: str) -> str:
    return reason.rstrip(".")
