"""A request that has no time for all it brought: what is bad first, and the rest is the sweep's."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from metrics.formats.reading import Reading
from metrics.models import Sample
from policies import intake, sweep
from policies.intake import Accepted
from policies.models import Incident
from tests.integration.policies import cast
from vigil.kernel import patience
from vigil.kernel.patience import Allowance

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
FLEET = 60


def post_all(values: Sequence[float], *, at: datetime) -> Accepted:
    """A batch with one reading of each host."""
    readings = [
        Reading(name="cpu_usage", value=value, tags={"host": f"web-{number:03}"}, at=at)
        for number, value in enumerate(values)
    ]
    return intake.accept(readings=readings, at=at, actor="key:agent-1")


def time_for(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each piece took a while; the judging has one for each pair, and so has what follows from it."""

    class Counted(Allowance):
        left = pieces

        def __call__(self) -> bool:
            self.left -= 1
            self.exhausted = self.left < 0
            return not self.exhausted

    monkeypatch.setattr(intake, "Allowance", Counted)


def of_targets() -> dict[str, str]:
    return dict(Incident.objects.values_list("target", "status"))


def test_a_request_with_time_for_everything_says_that_all_was_evaluated(at: datetime) -> None:
    cast.policy()
    with patience.within(60):
        assert post_all([92] * FLEET, at=at).evaluated
    assert set(of_targets().values()) == {"open"}


def test_what_there_is_no_time_for_is_left_to_the_sweep(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.policy()
    post_all([92] * FLEET, at=at)
    with monkeypatch.context() as short:
        time_for(FLEET + 10, short)
        accepted = post_all([40] * FLEET, at=at + SECOND)
    assert (accepted.evaluated, len(accepted.stored.samples), len(accepted.settled)) == (False, FLEET, 10)
    assert list(of_targets().values()).count("resolved") == 10
    sweep.run(at=at + 2 * SECOND)
    assert set(of_targets().values()) == {"resolved"}


def test_what_is_bad_goes_before_what_has_healed(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.policy()
    post_all([92] * (FLEET - 2), at=at)
    with monkeypatch.context() as short:
        time_for(FLEET + 2, short)
        accepted = post_all([40] * (FLEET - 2) + [95, 95], at=at + SECOND)
    assert [one.judgement.target for one in accepted.settled] == ["web-058", "web-059"]
    assert set(of_targets().values()) == {"open"}


def test_a_fleet_that_was_judged_in_part_is_not_acted_on(at: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    cast.policy()
    with monkeypatch.context() as short:
        time_for(FLEET // 2, short)
        accepted = post_all([92] * FLEET, at=at)
    assert (accepted.evaluated, accepted.settled, Sample.objects.count()) == (False, (), FLEET)
    assert not Incident.objects.exists()
    sweep.run(at=at + SECOND)
    assert list(of_targets().values()) == ["open"] * FLEET
