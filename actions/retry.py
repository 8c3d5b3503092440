"""What follows an attempt, as a returned decision. Pure; the randomness is handed in."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from actions.states import State

type Safety = Literal["natural", "idempotent_key", "at_most_once"]
type OutcomeKind = Literal["succeeded", "failed", "accepted", "ambiguous"]
type AnswerState = Literal["not_found", "running", "done", "failed", "cancelled", "cannot_say"]

FIRST_BACKOFF = timedelta(seconds=2)
LONGEST_BACKOFF = timedelta(seconds=60)
LONGEST_RETRY_AFTER = timedelta(minutes=5)
"""A remediator may ask for patience, but not for so much that an action is forgotten."""

MAX_ASKS = 10
AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an action may still do."""

    safety: Safety
    """Already softened by durable keys, see `effective_safety`."""
    attempt_no: int
    """Attempts made so far, this one included."""
    max_attempts: int
    deadline: datetime
    cancel_requested: bool = False
    doubtful: bool = False
    """The answer to an earlier attempt got lost: that one may still be at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an attempt brought, in the words this decision needs."""

    kind: OutcomeKind
    retryable: bool = False
    """A definite failure that may pass by itself."""
    first_byte_sent: bool = True
    retry_after: float | None = None
    """Seconds, as the remediator said; anything can stand here."""
    temporary: bool = True
    """Of an ambiguous one: a timeout, a reset or a 5xx, rather than an answer nobody understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The state that follows, and when the action is looked at again (None: not by the clock)."""

    state: State
    reason: str
    wait: timedelta | None = None


def effective_safety(declared: Safety, *, durable_keys: bool) -> Safety:
    """A remediator that keeps keys durably makes repeating with the same key safe."""
    if declared == "at_most_once" and durable_keys:
        return "idempotent_key"
    return declared


def after_attempt(result: Result, rules: Rules, *, at: datetime, fraction: float) -> Next:
    """Where an action goes from `executing`. `fraction` in [0, 1) spreads the waiting."""
    match result.kind:
        case "succeeded":
            return Next(state=State.SUCCEEDED, reason="the remediator reported success")
        case "accepted":
            return Next(state=State.ACCEPTED, reason="the remediator is working on it", wait=ask_again_in(0))
        case "failed":
            return _after_definite_failure(result, rules, at=at, fraction=fraction)
        case "ambiguous":
            return _after_ambiguity(result, rules, at=at, fraction=fraction)


def after_answer(answer: AnswerState, rules: Rules, *, asked: int, at: datetime, fraction: float) -> Next:
    """Where an action goes from `unknown` once the remediator was asked by key for the `asked`-th time."""
    match answer:
        case "done":
            return Next(state=State.SUCCEEDED, reason="asked by key, the remediator says it is done")
        case "failed":
            return Next(state=State.FAILED, reason="asked by key, the remediator says it failed")
        case "cancelled":
            return after_cancellation(rules)
        case "not_found" | "cannot_say" if _repeatable(answer, rules):
            reason = "repeating it is safe" if answer == "cannot_say" else "the remediator never got it"
            return _again_or(State.FAILED, reason, None, rules, at=at, fraction=fraction)
        case "not_found":
            return Next(
                state=State.NEEDS_HUMAN,
                reason="the request left but the remediator does not know it, and it must not be sent twice",
            )
        case _:
            return _keep_asking(answer, asked=asked)


def after_cancellation(rules: Rules) -> Next:
    """Where an action goes whose remediator says that it was cancelled; if nobody here asked for that, it failed."""
    if rules.cancel_requested:
        return Next(state=State.CANCELLED, reason="the remediator stopped it as it was asked to")
    return Next(state=State.FAILED, reason="the remediator says that it was cancelled there")


def after_silence(rules: Rules, *, handed_over: bool, at: datetime, fraction: float) -> Next:
    """Where an action goes from `unknown` when its remediator fetches its tasks: there is nobody to ask.

    `handed_over` is False when the task never left, whatever else is unclear.
    """
    if not handed_over:
        unsent = Result(kind="failed", retryable=True, first_byte_sent=False)
        return _after_failure_alone(unsent, rules, at=at, fraction=fraction)
    step = _repeated_in_doubt(Result(kind="ambiguous"), rules, at=at, fraction=fraction)
    if step.state != State.UNKNOWN:
        return step
    return Next(
        state=State.NEEDS_HUMAN,
        reason="whoever fetched it cannot say how it ended, or has not, and cannot be asked",
    )


def backoff(attempt_no: int, *, fraction: float) -> timedelta:
    """Full jitter: anything from nothing to 2, 4, 8 ... 60 s."""
    ceiling = min(LONGEST_BACKOFF.total_seconds(), FIRST_BACKOFF.total_seconds() * 2 ** min(attempt_no - 1, 16))
    return timedelta(seconds=ceiling * fraction)


def patience(retry_after: float | None) -> timedelta:
    """What of a Retry-After is respected: nothing odd, nothing negative, five minutes at most."""
    if retry_after is None or not math.isfinite(retry_after) or retry_after <= 0:
        return timedelta(0)
    return timedelta(seconds=min(retry_after, LONGEST_RETRY_AFTER.total_seconds()))


def ask_again_in(asked: int) -> timedelta:
    """2, 4, 8, 16, then every 30 s."""
    return timedelta(seconds=min(30, 2 * 2 ** min(asked, 10)))


def _after_definite_failure(result: Result, rules: Rules, *, at: datetime, fraction: float) -> Next:
    step = _after_failure_alone(result, rules, at=at, fraction=fraction)
    if step.state == State.RETRY_WAIT or result.first_byte_sent or not rules.doubtful:
        return step
    # It would let the target go, and what nobody heard of is the attempt before this one.
    return Next(
        state=State.UNKNOWN,
        reason=f"{step.reason}, and the answer to an earlier attempt got lost: asking the remediator by key",
        wait=ask_again_in(0),
    )


def _after_failure_alone(result: Result, rules: Rules, *, at: datetime, fraction: float) -> Next:
    if not result.retryable:
        return Next(state=State.FAILED, reason="the remediator reported a failure that trying again does not cure")
    if result.first_byte_sent and rules.safety == "at_most_once":
        return Next(state=State.FAILED, reason="it failed, and this type is sent at most once")
    return _again_or(
        State.FAILED, "it failed before it had an effect", result.retry_after, rules, at=at, fraction=fraction
    )


def _after_ambiguity(result: Result, rules: Rules, *, at: datetime, fraction: float) -> Next:
    again = _repeated_in_doubt(result, rules, at=at, fraction=fraction)
    if again.state == State.RETRY_WAIT:
        return again
    # Whatever else is over: it may still be at work, and the target is not free before that is known.
    return Next(state=State.UNKNOWN, reason="the answer got lost: asking the remediator by key", wait=ask_again_in(0))


def _repeated_in_doubt(result: Result, rules: Rules, *, at: datetime, fraction: float) -> Next:
    """Another attempt where the first one may have had its effect, if the type allows it."""
    if rules.safety == "at_most_once":
        return Next(state=State.UNKNOWN, reason="it must not be sent twice")
    if rules.safety == "natural" and not result.temporary:
        return Next(state=State.UNKNOWN, reason="nobody understands the answer")
    natural = rules.safety == "natural"
    otherwise = State.FAILED if natural else State.UNKNOWN
    reason = "repeating it is harmless" if natural else "the same key may be sent again"
    return _again_or(otherwise, reason, result.retry_after, rules, at=at, fraction=fraction)


def _again_or(
    otherwise: State, reason: str, retry_after: float | None, rules: Rules, *, at: datetime, fraction: float
) -> Next:
    if rules.cancel_requested:
        state = State.CANCELLED if otherwise == State.FAILED else otherwise
        return Next(state=state, reason="no further attempt: a person cancelled it")
    if rules.attempt_no >= rules.max_attempts:
        return Next(state=otherwise, reason=f"no attempt left of {rules.max_attempts}")
    wait = max(backoff(rules.attempt_no, fraction=fraction), patience(retry_after))
    if at + wait >= rules.deadline:
        return Next(state=otherwise, reason="no time left before its deadline")
    attempt = rules.attempt_no + 1
    return Next(
        state=State.RETRY_WAIT,
        reason=f"{reason}: attempt {attempt} of {rules.max_attempts} in {wait.total_seconds():.1f} s",
        wait=wait,
    )


def _repeatable(answer: AnswerState, rules: Rules) -> bool:
    if answer == "not_found":
        return rules.safety != "at_most_once"
    return rules.safety == "natural"


def _keep_asking(answer: AnswerState, *, asked: int) -> Next:
    if asked >= MAX_ASKS:
        said = "still says that it runs" if answer == "running" else "cannot say what became of it"
        return Next(state=State.NEEDS_HUMAN, reason=f"asked {asked} times, the remediator {said}")
    return Next(state=State.UNKNOWN, reason="asking again", wait=ask_again_in(asked))
