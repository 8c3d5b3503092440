"""A replay of recorded time: it comes to what was decided live, and it tells what another policy would have done."""

import json
import random
import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from actions import queries
from actions.models import Action
from metrics.formats.reading import Reading
from policies import backtest, incidents, intake, sweep
from policies.backtest import Report
from policies.models import Decision, Incident, Policy
from policies.muting import inhibitions, maintenance, silences
from tests.integration.policies import cast
from vigil.audit.models import Entry
from vigil.kernel import clock
from vigil.kernel.errors import VigilError
from vigil.periodic import runs

pytestmark = pytest.mark.django_db

ANA = "user:ana"
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SWEEP = 15 * SECOND
_MOVES = {
    "incident.pending": "pended",
    "incident.opened": "opened",
    "incident.forgotten": "forgotten",
    "incident.resolved": "resolved",
}


def _sweep(at: datetime) -> None:
    runs.once(job="policies.sweep", interval=SWEEP, at=at, run=lambda: sweep.run(at=at))


def _slot(at: datetime) -> datetime:
    """The first sweep at or after the moment."""
    seconds = SWEEP.total_seconds()
    return datetime.fromtimestamp(-(-at.timestamp() // seconds) * seconds, UTC)


def _finish_actions(at: datetime) -> None:
    """Whatever was ordered is done."""
    for action in Action.objects.filter(state="ready"):
        cast.end_action(action.pk, at=at)


def _live(start: datetime, end: datetime, *, seed: int, hosts: int = 3) -> None:
    """Readings of some hosts that come and go at random, sweeps every 15 s, actions that end soon after."""
    luck, at, tick = random.Random(seed), start, _slot(start)
    level = {f"web-{number:02}": 60.0 for number in range(hosts)}
    while at < end:
        at += luck.choice([1, 2, 3, 5, 8]) * SECOND
        while tick <= at:
            _finish_actions(tick)
            _sweep(tick)
            tick += SWEEP
        host = luck.choice(list(level))
        level[host] = min(100.0, max(40.0, level[host] + luck.uniform(-28, 31)))
        if luck.random() < 0.85:
            cast.post(round(level[host], 1), at=at, host=host)
        if luck.random() < 0.3:
            _finish_actions(at + SECOND / 1000)
    while tick <= end:
        _sweep(tick)
        tick += SWEEP


def _decided_live(start: datetime, end: datetime) -> list[tuple[datetime, str, str, str]]:
    """Every move of an incident, every order and every hold: when, on what, what, and why."""
    targets = dict(Incident.objects.values_list("pk", "target"))
    told = [
        (entry.at, targets[int(entry.subject.partition(":")[2])], _MOVES[entry.kind], entry.reason)
        for entry in Entry.objects.filter(kind__in=_MOVES, at__gte=start, at__lte=end)
    ]
    for one in Decision.objects.filter(at__gte=start, at__lte=end).exclude(guard="in_progress"):
        what = queries.get(one.action_id).kind if one.answer == "order" and one.action_id else one.guard
        told.append((one.at, one.target, what, "" if one.answer == "order" else one.reason))
    return sorted(told)


def _replayed(report: Report) -> list[tuple[datetime, str, str, str]]:
    journal = report.journal
    told = [
        (turn.at, turn.target, str(turn.transition).removesuffix("_unverified"), turn.reason) for turn in journal.turns
    ]
    told += [(deed.ordered_at, deed.target, deed.action, "") for deed in journal.deeds]
    told += [(stop.at, stop.target, stop.stopped.guard, stop.stopped.reason) for stop in journal.stops]
    return sorted(told)


@pytest.fixture(autouse=True)
def _no_cooldown(settings: object) -> None:
    """The guards of a live order go by the database's clock, and most of these tests have a clock of their own.

    Demotions are not replayed, as docs/backtesting.md says.
    """
    settings.VIGIL_DEFAULT_COOLDOWN_SECONDS = 0  # type: ignore[attr-defined]
    settings.VIGIL_QUARANTINE_REPAIRS = settings.VIGIL_QUARANTINE_RELAPSES = 1_000  # type: ignore[attr-defined]
    settings.VIGIL_BREAKER_FAILURES = settings.VIGIL_STORM_PROPOSALS = 1_000  # type: ignore[attr-defined]
    settings.VIGIL_DEMOTE_BAD = 0  # type: ignore[attr-defined]


@pytest.fixture
def start(at: datetime) -> datetime:
    """A quarter of an hour ago, so that what is replayed has passed."""
    return at - timedelta(minutes=15)


POLICIES: dict[str, dict[str, object]] = {
    "threshold": {"condition": "cpu_usage > 90"},
    "held and recovering": {"condition": "cpu_usage > 85 for 10s recover at 70"},
    "average": {"condition": "avg(cpu_usage, 30s) > 80", "keep_open_for": "20s"},
    "rate": {"condition": "delta(cpu_usage, 1m) > 20"},
    "both": {"condition": "cpu_usage > 80 and (max(cpu_usage, 1m) > 95 or not min(cpu_usage, 20s) < 75)"},
    "silence": {"condition": "no cpu_usage for 20s", "on_no_data": "keep"},
    "closing without data": {"condition": "cpu_usage > 85", "on_no_data": "resolve"},
    "ladder": {
        "condition": "cpu_usage > 80",
        "action": "restart",
        "params": {},
        "settle": "2s",
        "then": [{"action": "scale-up", "params": {"replicas": 2}, "after": "20s"}],
    },
    "group": {"condition": "avg(cpu_usage by host) > 80", "target": "*"},
    "flapping": {"condition": "cpu_usage > 75", "flapping": {"high": 30, "low": 15}},
}


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("seed", cast.seeds(3))
def test_the_replay_of_a_recorded_period_comes_to_the_decisions_made_in_it(
    start: datetime, name: str, seed: int
) -> None:
    cast.policy(rate={"count": 1000, "per": "10m"}, **POLICIES[name])
    end = start + timedelta(minutes=5)
    _live(start, end, seed=seed)
    report = _report(start, end)
    decided = _decided_live(start, end)
    assert len(decided) > 3
    assert _replayed(report) == decided


def test_what_muted_then_mutes_in_the_replay(start: datetime) -> None:
    cast.policy(condition="cpu_usage > 65")
    end = start + timedelta(minutes=4)
    silences.create(
        raw={"matchers": ["target = web-00"], "starts_at": _text(start), "ends_at": _text(end), "comment": "deploy"},
        actor=ANA,
        at=start,
    )
    maintenance.create(
        raw={"target": "web-01", "starts_at": _text(start + MINUTE), "ends_at": _text(end), "comment": "disks"},
        actor=ANA,
        at=start,
    )
    _live(start, end, seed=4)
    report = _report(start, end)
    assert {"silence", "maintenance"} <= report.stopped_by.keys()
    assert _replayed(report) == _decided_live(start, end)


def test_an_acknowledged_incident_is_silent_in_the_replay_too(start: datetime) -> None:
    cast.policy(condition="cpu_usage > 90", settle="0s")
    cast.post(95, at=start)
    incidents.acknowledge(incident_id=cast.incident().pk, actor=ANA, note="mine", at=start + SECOND)
    _finish_actions(start + 2 * SECOND)
    for seconds in range(3, 60, 5):
        cast.post(95, at=start + seconds * SECOND)
    report = _report(start, start + MINUTE)
    assert report.stopped_by == {"silence": 1}
    assert _replayed(report) == _decided_live(start, start + MINUTE)


def test_an_incident_of_another_policy_holds_in_the_replay_as_it_did(start: datetime) -> None:
    # No sweep is on record, so the replay takes it to have run in every interval: none may fall between the readings.
    start -= timedelta(seconds=start.timestamp() % 15 - 1.4)
    cast.policy()
    cast.policy(name="host-down", target="*", condition="host_up < 1", action="restart", params={})
    rule = {"name": "dead", "source": ["policy = host-down"], "target": ["policy = high-cpu-alert"], "equal": ["rack"]}
    inhibitions.create(raw=rule, actor=ANA, at=start)
    cast.post(0, at=start, name="host_up", host="host-7", rack="r1")
    cast.post(95, at=start + SECOND, rack="r1")
    cast.post(1, at=start + 2 * SECOND, name="host_up", host="host-7", rack="r1")
    cast.post(95, at=start + 3 * SECOND, rack="r1")
    told = _replayed(_report(start, start + MINUTE))
    assert [what for _, _, what, _ in told] == ["inhibition", "opened", "scale-up"]
    assert told == [one for one in _decided_live(start, start + MINUTE) if one[1] == "web-01"]


def test_the_brake_for_common_causes_holds_in_the_replay_as_it_did(start: datetime) -> None:
    cast.policy()
    hosts = [f"web-{number:02}" for number in range(8)]
    for at, value in ((start, 40), (start + 20 * SECOND, 95), (start + 40 * SECOND, 95), (start + 60 * SECOND, 40)):
        readings = [Reading(name="cpu_usage", value=value, tags={"host": host}, at=at) for host in hosts]
        intake.accept(readings=readings, at=at, actor="key:agent-1")
        _sweep(_slot(at))
    for number, host in enumerate(hosts[:6]):
        cast.post(95, at=start + (90 + number) * SECOND, host=host)
    report = _report(start, start + 2 * MINUTE)
    assert report.stopped_by["common_cause"] > 8
    assert (report.most_open, report.most_open_at) == (8, start + 20 * SECOND)
    assert _replayed(report) == _decided_live(start, start + 2 * MINUTE)


def test_guards_stop_in_the_replay_what_they_stopped_when_it_was_real(start: datetime) -> None:
    cast.policy(cooldown="1s", rate={"count": 2, "per": "1m"}, settle="0s", flapping={"high": 100, "low": 99})
    for number in range(6):
        at = start + number * 0.7 * SECOND
        with cast.the_database_says(at):
            cast.post(95, at=at)
        for action in Action.objects.filter(state="ready"):
            cast.carry_out(action.pk, at=at + SECOND / 20)
        with cast.the_database_says(at + SECOND / 10):
            cast.post(40, at=at + SECOND / 10)
    report = _report(start, start + MINUTE)
    assert report.stopped_by == {"cooldown": 2, "rate": 2}
    told, decided = _replayed(report), _decided_live(start, start + MINUTE)
    assert [one[:3] for one in told] == [one[:3] for one in decided]


def test_a_change_nobody_saved_is_replayed_and_stays_unsaved(start: datetime) -> None:
    cast.policy(auto_remediate=False)
    for seconds in range(0, 120, 10):
        cast.post(85 if seconds < 30 else 40, at=start + seconds * SECOND)
    as_it_is = _report(start, start + 3 * MINUTE)
    changed = _report(start, start + 3 * MINUTE, change={"condition": "cpu_usage > 80 for 20s"})
    assert (len(as_it_is.episodes), len(changed.episodes)) == (0, 1)
    assert [deed.ordered_at for deed in changed.journal.deeds] == [start + 20 * SECOND]
    assert changed.sentence == (
        "In 3m it would have opened 1 incident on 1 target, at most 1 at once, and ordered 1 action; none was held."
    )
    assert Policy.objects.get().mode == "observe"
    assert not Decision.objects.exists()


def test_nothing_is_judged_while_vigil_was_down(start: datetime) -> None:
    cast.policy(condition="no heartbeat for 1m")
    cast.post(1, at=start, name="heartbeat")
    first = _slot(start)
    for at in (first, first + SWEEP, first + 20 * SWEEP, first + 21 * SWEEP):
        _sweep(at)
    report = _report(start, start + 10 * MINUTE)
    assert [one.opened_at for one in report.episodes] == [first + 20 * SWEEP]
    assert _replayed(report) == _decided_live(start, start + 10 * MINUTE)


@pytest.mark.parametrize(
    ("since", "until", "change", "part"),
    [
        (-60, 60, {}, "until: lies in the future"),
        (0, -60, {}, "since: must lie before"),
        (-86_400 * 40, 0, {}, "at most 31 days"),
        (-60, 0, {"condition": "cpu >"}, "expected a number"),
        (-60, 0, {"condition": 'promql "up == 0"'}, "is not recorded"),
        (-60, 0, {"name": "other"}, "never changes"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    at: datetime, since: int, until: int, change: dict[str, object], part: str
) -> None:
    cast.policy()
    with pytest.raises(VigilError) as caught:
        backtest.run(name="high-cpu-alert", since=at + since * SECOND, until=at + until * SECOND, now=at, change=change)
    assert part in " ".join([caught.value.detail, *(one.message for one in caught.value.errors)])


def test_a_replay_that_is_too_much_is_refused(start: datetime) -> None:
    cast.policy()
    for seconds in range(10):
        cast.post(40, at=start + seconds * SECOND)
    with pytest.raises(backtest.TooMuch, match="There are 9 samples"):
        _report(start, start + MINUTE, most_samples=5)
    with pytest.raises(backtest.TooMuch, match="took longer"):
        _report(start, start + MINUTE, patience=timedelta(0))


def test_an_asker_sees_only_the_targets_he_may_know_of(start: datetime) -> None:
    cast.policy()
    for host in ("web-01", "web-02"):
        cast.post(95, at=start, host=host)
    report = _report(start, start + MINUTE, within=lambda target: target == "web-02")
    assert {one.target for one in report.episodes} == {"web-02"}


def _report(since: datetime, until: datetime, **asked: object) -> Report:
    return backtest.run(name="high-cpu-alert", since=since, until=until, now=clock.now(), **asked)  # type: ignore[arg-type]


def _text(at: datetime) -> str:
    return at.isoformat()


def _command(*said: str) -> str:
    out = StringIO()
    call_command("backtest", "high-cpu-alert", *said, stdout=out)
    return out.getvalue()


def test_the_command_tells_what_would_have_happened(start: datetime) -> None:
    cast.policy(auto_remediate=False)
    for seconds, value in ((0, 85), (10, 85), (30, 40)):
        cast.post(value, at=start + seconds * SECOND)
    lines = _command("--since", "1h", "--change", '{"condition": "cpu_usage > 80"}').splitlines()
    assert lines[0] == "high-cpu-alert: cpu_usage > 80"
    assert "web-01 opened: cpu_usage 85 > 80; healed at" in lines[1]
    assert "web-01 scale-up, then" in lines[2]
    assert lines[-1].startswith("In 1h it would have opened 1 incident on 1 target")
    assert json.loads(_command("--since", _text(start), "--json"))["incidents_total"] == 0


@pytest.mark.parametrize(
    ("said", "part"),
    [
        (["--since", "yesterday"], "since: write a time with a zone"),
        (["--change", "{"], "no JSON"),
        (["--change", "[]"], "an object"),
        (["--change", '{"condition": "cpu >"}'], "condition: at character 6: expected a number"),
    ],
)
def test_the_command_says_what_it_does_not_understand(db: None, said: list[str], part: str) -> None:
    cast.policy()
    with pytest.raises(CommandError, match=re.escape(part)):
        _command(*said)
