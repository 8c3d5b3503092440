"""Parameters with placeholders: checked when saved, filled in when ordered, frozen from then on."""

from datetime import datetime, timedelta

import pytest

from actions import dispatch, execution, queries, steering
from policies import backtest, explaining, preview
from policies.api import backtests, shapes
from policies.documents import UnableToReadPolicy
from policies.models import Decision
from policies.preview import Outlook
from tests.integration.policies import cast, remediator
from vigil.kernel import clock

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
CUSTOM: dict[str, object] = {"action": "custom", "params": {"host": "{{ target }}", "at": "{{ value }}"}}


def _params() -> object:
    [action] = queries.for_incident(cast.incident().pk)
    return action.params


def test_an_order_has_its_parameters_filled_in(at: datetime) -> None:
    cast.policy(action="custom", params={"host": "{{ target }}", "load": "{{ value }}", "say": "in {{ tags.region }}"})
    cast.post(92.5, at=at, region="eu-1")
    assert _params() == {"host": "web-01", "load": 92.5, "say": "in eu-1"}


def test_the_remediator_gets_what_was_filled_in(at: datetime) -> None:
    cast.policy(**CUSTOM)
    with cast.use_fake_remediator():
        cast.post(92, at=at)
        execution.run_due(limit=1, worker="test")
    assert [call.params for call in remediator.calls] == [{"host": "web-01", "at": 92}]


def test_a_retry_has_the_frozen_ones(at: datetime) -> None:
    cast.policy(**CUSTOM)
    cast.post(92, at=at)
    [action] = queries.for_incident(cast.incident().pk)
    cast.end_action(action.id, at=at, state="failed")
    answer = steering.retry(action_id=action.id, actor="user:ana", reason="", at=at + SECOND)
    assert isinstance(answer, dispatch.Ordered)
    assert answer.action.params == {"host": "web-01", "at": 92}


def test_a_tag_that_looks_like_a_placeholder_stays_text(at: datetime) -> None:
    cast.policy(action="custom", params={"where": "{{ tags.region }}"})
    cast.post(92, at=at, region="{{ target }}$(id)")
    assert _params() == {"where": "{{ target }}$(id)"}


def test_a_missing_tag_refuses_the_order_once_and_says_which(at: datetime) -> None:
    cast.policy(action="custom", params={"where": "{{ tags.region }}"})
    for second in range(3):
        cast.post(92 + second, at=at + second * SECOND)
    [decision] = Decision.objects.all()
    assert (decision.answer, decision.guard) == ("refuse", "params")
    assert decision.reason == "params.where: `tags.region` has no value here, and nothing stands in for it"
    assert queries.for_incident(cast.incident().pk) == []


def test_the_next_incident_begins_with_tags_of_its_own(at: datetime) -> None:
    cast.policy(action="custom", params={"where": "{{ tags.region }}"})
    cast.post(92, at=at)
    cast.post(40, at=at + SECOND)
    cast.post(92, at=at + 2 * SECOND, region="eu-1")
    assert _params() == {"where": "eu-1"}


def test_what_was_filled_in_has_to_fit_the_schema(at: datetime) -> None:
    cast.policy(params={"replicas": "{{ value }}"})
    for second, value in enumerate((92.5, 93.5)):
        cast.post(value, at=at + second * SECOND)
    [decision] = Decision.objects.all()
    assert (decision.answer, decision.guard) == ("refuse", "params")
    assert decision.reason == "params.replicas: what was filled in does not fit the action type's schema"
    assert "92.5" in str(decision.numbers)
    cast.post(94, at=at + 2 * SECOND)
    assert _params() == {"replicas": 94}


@pytest.mark.parametrize(
    ("fields", "path", "said"),
    [
        ({"params": {"replicas": "{{ vlaue }}"}}, "params.replicas", "did you mean `value`"),
        ({"params": {"replicas": "{{ target }}"}}, "params.replicas", "is not of type 'integer'"),
        ({"params": {"replicas": "{{ tags.replicas }}"}}, "params.replicas", "is not of type 'integer'"),
        ({"params": {"replicas": "n{{ value }}"}}, "params.replicas", "is not of type 'integer'"),
        ({"params": {"service": "{{ value }}"}}, "params.service", "is not of type 'string'"),
        ({"params": {"copies": "{{ value }}"}}, "params", "'copies' was unexpected"),
        (
            {"then": [{"action": "custom"}, {"action": "custom", "params": {"y": "{{ x }}"}}]},
            "then[1].params.y",
            "no placeholder",
        ),
    ],
)
def test_what_can_be_checked_is_checked_when_it_is_saved(
    at: datetime, fields: dict[str, object], path: str, said: str
) -> None:
    with pytest.raises(UnableToReadPolicy) as caught:
        cast.policy(**fields)
    [error] = caught.value.errors
    assert error.path == path
    assert said in error.message


def test_what_may_fit_is_saved(at: datetime) -> None:
    cast.policy(params={"replicas": "{{ value }}", "service": "{{ tags.service }}", "namespace": "{{ target }}"})


def test_a_dry_run_shows_them_filled_in(at: datetime) -> None:
    cast.policy(**CUSTOM)
    [outlook] = preview.on_sample(metrics={"cpu_usage": 95}, target="web-07", at=at)
    assert shapes.dry_run(outlook)["params"] == {"host": "web-07", "at": 95}


def test_a_dry_run_says_what_is_missing(at: datetime) -> None:
    cast.policy(action="custom", params={"where": "{{ tags.region }}"})

    def told(tags: dict[str, str]) -> dict[str, object]:
        [outlook] = preview.on_sample(metrics={"cpu_usage": 95}, target="web-07", at=at, tags=tags)
        assert isinstance(outlook, Outlook)
        return shapes.dry_run(outlook)

    assert (told({})["status"], told({"region": "eu-1"})["params"]) == ("refused", {"where": "eu-1"})
    assert "tags.region" in str(told({})["reason"])


def test_a_replay_fills_them_in_too(at: datetime) -> None:
    cast.policy(**CUSTOM)
    cast.post(92, at=at - 60 * SECOND)
    since, until = backtest.stretch(since="10m", until="", now=clock.now())
    found = backtest.run(name="high-cpu-alert", since=since, until=until, now=clock.now())
    assert [deed.params for deed in found.journal.deeds] == [{"host": "web-01", "at": 92}]
    assert "{{" not in str(backtests.report(found)["actions"])


def test_an_order_by_hand_is_taken_at_its_word(at: datetime) -> None:
    answer = dispatch.order_by_hand(
        kind="custom", target="web-01", params={"format": "{{ target }}"}, reason="", actor="user:ana", at=at
    )
    assert isinstance(answer, dispatch.Ordered)
    assert answer.action.params == {"format": "{{ target }}"}


def test_explaining_tells_what_is_missing_as_a_gate(at: datetime) -> None:
    cast.policy(action="custom", params={"where": "{{ tags.region }}"})
    cast.post(92, at=at)
    found = explaining.of_pair(policy_name="high-cpu-alert", target="web-01", now=at + SECOND)
    assert [gate.name for gate in found.gates or () if not gate.passed] == ["params"]
