"""What the guards of a live order would have said, of a history of deeds: storms and circuits."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings

from policies import book, documents, replayed_guards
from policies.book import Rule
from policies.engine.lifecycle import IncidentState, Status
from policies.engine.planning import Effect
from policies.engine.rehearsal.stage import Deed, Episode, Scene, Stop, Stopped
from policies.rehearse import subject_of

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RATE = {"count": 1_000, "per": "1h"}


@pytest.fixture(autouse=True)
def _only_storms_and_circuits(settings: LazySettings) -> None:
    settings.VIGIL_GLOBAL_RATE_COUNT = settings.VIGIL_GLOBAL_CONCURRENCY = 1_000


def rule(name: str = "p") -> Rule:
    raw = {"name": name, "target": "*", "auto_remediate": True, "condition": "cpu > 90", "action": "restart"}
    draft = documents.read(raw | {"cooldown": "1s", "rate": RATE})
    return book.provisional(draft.document, name=name)


def deed(number: int, second: float, *, policy: str = "p", effect: Effect = Effect.EFFECTIVE, **said: object) -> Deed:
    """One on a target and of an incident of its own, that took a second."""
    at = NOON + second * SECOND
    acted_at = None if effect is Effect.CANCELLED else at
    known: dict[str, object] = {"step": 0, "incident": number, "target": f"t-{number}"}
    return Deed(
        number=number,
        policy=policy,
        action="restart",
        ordered_at=at,
        acted_at=acted_at,
        ended_at=at + SECOND,
        succeeds=effect is not Effect.FAILED,
        settle=SECOND,
        reason="",
        effect=effect,
        **(known | said),  # type: ignore[arg-type]
    )


def stop(incident: int, second: float, guard: str, *, policy: str = "p") -> Stop:
    stopped = Stopped(guard=guard, reason="")
    return Stop(at=NOON + second * SECOND, incident=incident, policy=policy, target=f"t-{incident}", stopped=stopped)


def scene(
    second: float, deeds: Sequence[Deed] = (), *, stops: Sequence[Stop] = (), policy: str = "p", incident: int = 999
) -> Scene:
    """A wish of the policy."""
    return Scene(
        subject=subject_of(rule(policy)),
        target="t-999",
        incident=Episode(number=incident, state=IncidentState(status=Status.OPEN)),
        at=NOON + second * SECOND,
        deeds=deeds,
        live={},
        together={},
        known=lambda tag, since: {},
        stops=stops,
    )


def said(second: float, deeds: Sequence[Deed] = (), *, stops: Sequence[Stop] = (), policy: str = "p") -> Stopped | None:
    """What is said to a wish of the policy."""
    wish = scene(second, deeds, stops=stops, policy=policy)
    return replayed_guards.ask(rule(policy), wish, {name: rule(name) for name in ("p", "q", "r")})


def guard(answer: Stopped | None) -> str:
    return "" if answer is None else answer.guard


def test_the_twenty_first_proposal_within_a_minute_is_a_storm() -> None:
    assert said(50, [deed(number, number) for number in range(19)]) is None
    assert said(50, [deed(number, number) for number in range(20)]) == Stopped(
        guard="storm",
        reason="policy p proposed 21 actions within 60 s, and 20 is taken for a storm;"
        " everything of policy p is held until a person resets it",
    )


def test_a_minute_is_short_of_its_end() -> None:
    deeds = [deed(number, number) for number in range(20)]
    assert guard(said(59.9, deeds)) == "storm"
    assert said(60, deeds) is None


def test_a_storm_holds_for_good() -> None:
    deeds = [deed(number, number) for number in range(21)]
    assert guard(said(86_400, deeds)) == "storm"


@pytest.mark.parametrize(("by", "answer"), [("rate", "storm"), ("cooldown", "storm"), ("flapping", ""), ("grace", "")])
def test_a_wish_that_a_guard_held_is_a_proposal_and_one_held_before_is_none(by: str, answer: str) -> None:
    assert guard(said(50, stops=[stop(number, number, by) for number in range(20)])) == answer


def test_a_wish_that_is_held_again_and_then_granted_is_one_proposal() -> None:
    stops = [stop(number, number + again, "rate") for number in range(10) for again in (0, 5)]
    deeds = [deed(number, number + 20) for number in range(10)]
    assert said(50, deeds, stops=stops) is None


def test_each_step_of_a_ladder_is_a_proposal() -> None:
    deeds = [deed(number, number, incident=number // 2, step=number % 2) for number in range(20)]
    assert guard(said(50, deeds)) == "storm"


def test_what_was_given_up_before_it_began_and_is_wanted_again_is_one_proposal() -> None:
    given_up = [deed(number, number, effect=Effect.CANCELLED) for number in range(10)]
    deeds = [*given_up, *(deed(10 + number, 20 + number, incident=number) for number in range(10))]
    assert said(50, deeds) is None


def test_policies_together_are_a_storm_of_all_of_vigil() -> None:
    deeds = [deed(number, number, policy="pq"[number % 2]) for number in range(20)]
    answer = said(50, deeds, policy="r")
    assert answer is not None
    assert answer.reason.startswith("Vigil proposed 21 actions within 60 s")


def test_a_policy_that_is_held_by_itself_holds_no_other() -> None:
    deeds = [deed(number, number / 10, policy="q") for number in range(40)]
    assert said(50, deeds, policy="p") is None


def test_what_held_all_of_vigil_does_so_when_one_of_them_is_held_by_itself_later() -> None:
    mixed = [deed(number, number, policy="pq"[number % 2]) for number in range(21)]
    later = [deed(100 + number, 200 + number, policy="q") for number in range(21)]
    assert guard(said(300, [*mixed, *later], policy="r")) == "storm"


FAILED, BAD, GOOD = Effect.FAILED, Effect.INEFFECTIVE, Effect.EFFECTIVE


@pytest.mark.parametrize(
    ("effects", "answer"),
    [
        ([FAILED] * 4, ""),
        ([FAILED] * 5, "circuit"),
        ([FAILED, BAD, FAILED, BAD, BAD], "circuit"),
        ([FAILED] * 4 + [GOOD], ""),
        ([GOOD] + [FAILED] * 5, "circuit"),
        ([FAILED] * 3 + [GOOD] + [FAILED] * 3, ""),
        ([FAILED] * 4 + [Effect.UNVERIFIABLE, FAILED], "circuit"),
        ([FAILED] * 4 + [Effect.CANCELLED] * 3, ""),
        ([FAILED] * 4 + [Effect.RELAPSED], ""),
    ],
)
def test_five_bad_ends_in_a_row_open_the_circuit(effects: list[Effect], answer: str) -> None:
    deeds = [deed(number, 100 * number, effect=effect) for number, effect in enumerate(effects)]
    assert guard(said(100 * len(deeds) - 90, deeds)) == answer


def test_an_open_circuit_says_since_when_and_until_when(settings: LazySettings) -> None:
    settings.VIGIL_POLICY_BREAKER_REST_SECONDS = 600
    deeds = [deed(number, 100 * number, effect=FAILED) for number in range(5)]
    assert said(1_000, deeds) == Stopped(
        guard="circuit",
        reason="the circuit of this policy's actions is open (5 failures in a row): none is begun, the next one may"
        " begin at 2026-05-01 12:16:41 UTC",
    )
    assert said(1_001, deeds) is None


def test_a_rested_circuit_lets_one_through_and_waits_for_what_comes_of_it(settings: LazySettings) -> None:
    settings.VIGIL_POLICY_BREAKER_REST_SECONDS = 600
    failed = [deed(number, 100 * number, effect=FAILED) for number in range(5)]
    probe = deed(5, 1_100, effect=Effect.RUNNING)
    answer = said(1_200, [*failed, probe])
    assert answer is not None
    assert "half-open (5 failures in a row): one is tried" in answer.reason
    assert said(1_200, [*failed, deed(5, 1_100)]) is None
    assert guard(said(1_200, [*failed, deed(5, 1_100, effect=FAILED)])) == "circuit"


def test_the_failures_of_another_policy_are_its_own() -> None:
    deeds = [deed(number, 100 * number, policy="q", effect=FAILED) for number in range(5)]
    assert said(450, deeds) is None
