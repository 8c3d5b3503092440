"""What follows an attempt, for every kind of outcome and every kind of type."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions import retry
from actions.retry import AnswerState, OutcomeKind, Result, Rules, Safety
from actions.states import State, may_move

AT = datetime(2026, 1, 19, 12, 0, tzinfo=UTC)
RULES = Rules(safety="natural", attempt_no=1, max_attempts=3, deadline=AT + timedelta(minutes=15))
SAFETIES: list[Safety] = ["natural", "idempotent_key", "at_most_once"]
OUTCOMES: list[OutcomeKind] = ["succeeded", "failed", "accepted", "ambiguous"]
ANSWERS: list[AnswerState] = ["not_found", "running", "done", "failed", "cancelled", "cannot_say"]

outcomes = st.builds(
    Result,
    kind=st.sampled_from(OUTCOMES),
    retryable=st.booleans(),
    first_byte_sent=st.booleans(),
    retry_after=st.none() | st.floats(),
    temporary=st.booleans(),
)
rules = st.builds(
    Rules,
    safety=st.sampled_from(SAFETIES),
    attempt_no=st.integers(1, 5),
    max_attempts=st.integers(1, 5),
    deadline=st.integers(-60, 3600).map(lambda seconds: AT + timedelta(seconds=seconds)),
    cancel_requested=st.booleans(),
    doubtful=st.booleans(),
)
fractions = st.floats(0, 1, exclude_max=True)

UNSENT = Result(kind="failed", retryable=True, first_byte_sent=False)
SAID_NO = Result(kind="failed", retryable=False)
TRY_LATER = Result(kind="failed", retryable=True)
TIMEOUT = Result(kind="ambiguous", temporary=True)
NONSENSE = Result(kind="ambiguous", temporary=False)


@pytest.mark.parametrize(
    ("handed_over", "safety", "state"),
    [
        (True, "natural", State.RETRY_WAIT),
        (True, "idempotent_key", State.RETRY_WAIT),
        (True, "at_most_once", State.NEEDS_HUMAN),
        (False, "natural", State.RETRY_WAIT),
        (False, "idempotent_key", State.RETRY_WAIT),
        (False, "at_most_once", State.RETRY_WAIT),
    ],
)
def test_after_silence_of_one_that_nobody_can_ask(handed_over: bool, safety: Safety, state: State) -> None:
    step = retry.after_silence(replace(RULES, safety=safety), handed_over=handed_over, at=AT, fraction=0.5)
    assert step.state == state


@given(rules=rules, handed_over=st.booleans(), fraction=fractions)
def test_silence_never_repeats_what_left_and_may_run_once(rules: Rules, handed_over: bool, fraction: float) -> None:
    step = retry.after_silence(rules, handed_over=handed_over, at=AT, fraction=fraction)
    assert may_move(State.UNKNOWN, step.state)
    if step.state == State.RETRY_WAIT:
        assert not handed_over or rules.safety != "at_most_once"
        assert not rules.cancel_requested
        assert rules.attempt_no < rules.max_attempts


@pytest.mark.parametrize(
    ("result", "safety", "state"),
    [
        (Result(kind="succeeded"), "at_most_once", State.SUCCEEDED),
        (Result(kind="accepted"), "at_most_once", State.ACCEPTED),
        (SAID_NO, "natural", State.FAILED),
        (SAID_NO, "at_most_once", State.FAILED),
        (UNSENT, "natural", State.RETRY_WAIT),
        (UNSENT, "idempotent_key", State.RETRY_WAIT),
        (UNSENT, "at_most_once", State.RETRY_WAIT),
        (TRY_LATER, "natural", State.RETRY_WAIT),
        (TRY_LATER, "idempotent_key", State.RETRY_WAIT),
        (TRY_LATER, "at_most_once", State.FAILED),
        (TIMEOUT, "natural", State.RETRY_WAIT),
        (TIMEOUT, "idempotent_key", State.RETRY_WAIT),
        (TIMEOUT, "at_most_once", State.UNKNOWN),
        (NONSENSE, "natural", State.UNKNOWN),
        (NONSENSE, "idempotent_key", State.RETRY_WAIT),
        (NONSENSE, "at_most_once", State.UNKNOWN),
    ],
)
def test_what_follows_an_attempt(result: Result, safety: Safety, state: State) -> None:
    assert retry.after_attempt(result, replace(RULES, safety=safety), at=AT, fraction=0.5).state == state


@pytest.mark.parametrize(
    ("answer", "safety", "state"),
    [
        ("done", "at_most_once", State.SUCCEEDED),
        ("failed", "natural", State.FAILED),
        ("running", "natural", State.UNKNOWN),
        ("not_found", "natural", State.RETRY_WAIT),
        ("not_found", "idempotent_key", State.RETRY_WAIT),
        ("not_found", "at_most_once", State.NEEDS_HUMAN),
        ("cannot_say", "natural", State.RETRY_WAIT),
        ("cannot_say", "idempotent_key", State.UNKNOWN),
        ("cannot_say", "at_most_once", State.UNKNOWN),
    ],
)
def test_what_follows_a_question(answer: AnswerState, safety: Safety, state: State) -> None:
    step = retry.after_answer(answer, replace(RULES, safety=safety), asked=1, at=AT, fraction=0.5)
    assert step.state == state


@pytest.mark.parametrize("answer", ["running", "cannot_say"])
def test_after_ten_questions_a_person_is_asked(answer: AnswerState) -> None:
    once = replace(RULES, safety="at_most_once")
    assert retry.after_answer(answer, once, asked=9, at=AT, fraction=0).state == State.UNKNOWN
    assert retry.after_answer(answer, once, asked=10, at=AT, fraction=0).state == State.NEEDS_HUMAN


@pytest.mark.parametrize(
    ("rules", "state"),
    [
        (replace(RULES, attempt_no=3), State.FAILED),
        (replace(RULES, deadline=AT), State.FAILED),
        (replace(RULES, cancel_requested=True), State.CANCELLED),
    ],
    ids=["no attempt left", "deadline", "cancelled"],
)
def test_what_may_not_go_on_ends(rules: Rules, state: State) -> None:
    assert retry.after_attempt(UNSENT, rules, at=AT, fraction=0.5).state == state


@pytest.mark.parametrize(
    "rules",
    [
        replace(RULES, safety="idempotent_key", attempt_no=3),
        replace(RULES, safety="idempotent_key", deadline=AT),
        replace(RULES, safety="idempotent_key", cancel_requested=True),
    ],
    ids=["no attempt left", "deadline", "cancelled"],
)
def test_an_ambiguous_call_that_may_not_be_sent_again_is_asked_about(rules: Rules) -> None:
    step = retry.after_attempt(TIMEOUT, rules, at=AT, fraction=0.5)
    assert step.state == State.UNKNOWN
    assert step.wait == timedelta(seconds=2)


@pytest.mark.parametrize("safety", SAFETIES)
@pytest.mark.parametrize(
    "last",
    [
        replace(RULES, attempt_no=3),
        replace(RULES, attempt_no=2, deadline=AT),
        replace(RULES, attempt_no=2, cancel_requested=True),
    ],
    ids=["no attempt left", "no time left", "cancelled"],
)
def test_a_failure_to_send_ends_no_doubt_about_the_attempt_before(last: Rules, safety: Safety) -> None:
    over = retry.after_attempt(UNSENT, replace(last, safety=safety), at=AT, fraction=0.5)
    assert over.state in {State.FAILED, State.CANCELLED}
    doubtful = retry.after_attempt(UNSENT, replace(last, safety=safety, doubtful=True), at=AT, fraction=0.5)
    assert doubtful.state == State.UNKNOWN


def test_what_the_remediator_says_of_the_key_ends_all_doubt() -> None:
    doubtful = replace(RULES, attempt_no=3, doubtful=True)
    assert retry.after_attempt(SAID_NO, doubtful, at=AT, fraction=0.5).state == State.FAILED
    assert retry.after_attempt(Result(kind="succeeded"), doubtful, at=AT, fraction=0.5).state == State.SUCCEEDED


def test_where_there_is_nobody_to_ask_no_doubt_lasts_for_ever() -> None:
    doubtful = replace(RULES, attempt_no=3, doubtful=True)
    step = retry.after_silence(doubtful, handed_over=False, at=AT, fraction=0.5)
    assert step.state == State.FAILED


@pytest.mark.parametrize(("asked", "seconds"), [(0, 2), (1, 4), (2, 8), (3, 16), (4, 30), (9, 30), (1000, 30)])
def test_questions_come_ever_more_slowly(asked: int, seconds: int) -> None:
    assert retry.ask_again_in(asked) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, 0),
        (7.5, 7.5),
        (-1, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (99_999_999_999, 300),
    ],
)
def test_retry_after_is_respected_within_bounds(said: float | None, seconds: float) -> None:
    assert retry.patience(said) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 2), (2, 4), (3, 8), (5, 32), (6, 60), (500, 60)])
def test_the_backoff_spreads_from_nothing_to_its_ceiling(attempt: int, ceiling: int) -> None:
    assert retry.backoff(attempt, fraction=0) == timedelta(0)
    assert retry.backoff(attempt, fraction=0.5) == timedelta(seconds=ceiling / 2)


def test_durable_keys_make_a_delicate_type_repeatable_and_change_no_other() -> None:
    assert retry.effective_safety("at_most_once", durable_keys=True) == "idempotent_key"
    assert retry.effective_safety("at_most_once", durable_keys=False) == "at_most_once"
    assert retry.effective_safety("natural", durable_keys=True) == "natural"


@given(result=outcomes, rules=rules, fraction=fractions)
def test_every_outcome_leads_where_the_state_table_allows(result: Result, rules: Rules, fraction: float) -> None:
    step = retry.after_attempt(result, rules, at=AT, fraction=fraction)
    assert may_move(State.EXECUTING, step.state)
    assert step.reason


@given(result=outcomes, rules=rules, fraction=fractions)
def test_an_at_most_once_action_is_never_sent_again_once_a_byte_left(
    result: Result, rules: Rules, fraction: float
) -> None:
    once = replace(rules, safety="at_most_once")
    step = retry.after_attempt(replace(result, first_byte_sent=True), once, at=AT, fraction=fraction)
    assert step.state != State.RETRY_WAIT


@given(result=outcomes, rules=rules, fraction=fractions)
def test_another_attempt_keeps_every_bound(result: Result, rules: Rules, fraction: float) -> None:
    step = retry.after_attempt(result, rules, at=AT, fraction=fraction)
    if step.state == State.RETRY_WAIT:
        assert step.wait is not None
        assert timedelta(0) <= step.wait <= retry.LONGEST_RETRY_AFTER
        assert AT + step.wait < rules.deadline
        assert rules.attempt_no < rules.max_attempts
        assert not rules.cancel_requested


@given(answer=st.sampled_from(ANSWERS), rules=rules, asked=st.integers(1, 20), fraction=fractions)
def test_every_answer_leads_on_or_asks_again(answer: AnswerState, rules: Rules, asked: int, fraction: float) -> None:
    step = retry.after_answer(answer, rules, asked=asked, at=AT, fraction=fraction)
    assert step.state == State.UNKNOWN or may_move(State.UNKNOWN, step.state)
    assert step.state != State.UNKNOWN or asked < retry.MAX_ASKS


@pytest.mark.parametrize(("requested", "state"), [(True, State.CANCELLED), (False, State.FAILED)])
def test_what_was_stopped_there_is_cancelled_if_that_was_asked_for(requested: bool, state: State) -> None:
    rules = replace(RULES, cancel_requested=requested)
    assert retry.after_cancellation(rules).state == state
    assert retry.after_answer("cancelled", rules, asked=1, at=AT, fraction=0.5).state == state
