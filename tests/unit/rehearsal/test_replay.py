"""Playing a course: what may be passed over changes nothing, and the journal says what happened."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.engine import conditions, language, planning
from policies.engine.conditions import Condition
from policies.engine.lifecycle import OnNoData, Timings
from policies.engine.rehearsal import course as courses
from policies.engine.rehearsal import run
from policies.engine.rehearsal.course import Course, Fate
from policies.engine.rehearsal.quiet import Watch
from policies.engine.rehearsal.stage import Journal, Subject, World
from policies.engine.rehearsal.timeline import Arrival
from policies.engine.values import Sample
from tests.unit.policies.trees import trees

BEGIN = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STALENESS = 60 * SECOND
SERIES: dict[tuple[str, str], int] = {}


def subject(condition: Condition, **timings: object) -> Subject:
    return Subject(
        name="p",
        condition=condition,
        timings=Timings(hold_for=conditions.top_level_hold(condition), **timings),  # type: ignore[arg-type]
        ladder=(planning.LadderStep(action="restart", params={}, wait=timedelta(0)),),
        acts=True,
        target_of=lambda tags, target: target,
        settles=(SECOND,),
        covers=lambda target: True,
    )


def sample(second: int, value: float, *, metric: str = "cpu", target: str = "a", number: int = 0) -> Arrival:
    at = BEGIN + second * SECOND
    series = SERIES.setdefault((metric, target), len(SERIES))
    return Arrival(at, target, {"host": target}, Sample(id=number, at=at, value=value), metric, series)


def played(who: Subject, arrivals: list[Arrival], *, skims: bool, seconds: int = 300) -> Journal:
    ends = BEGIN + seconds * SECOND
    course = Course(
        begins_at=BEGIN,
        ends_at=ends,
        arrivals=sorted(arrivals, key=lambda one: (one.at, one.what.id)),
        sweeps=courses.ticks(BEGIN, ends, every=15 * SECOND),
        fate=lambda policy, target, action, at: Fate(acted_at=at, ended_at=at + 5 * SECOND, succeeds=True),
        skims=skims,
    )
    world = World(
        target_of=lambda tags: tags.get("host", ""),
        staleness=STALENESS,
        sweep_every=15 * SECOND,
        guard=lambda scene: None,
        prove=lambda *_: None,
    )
    return run.replay(course, subjects=[who], world=world)


def _metrics(condition: Condition) -> list[str]:
    return sorted(conditions.metrics_of(condition)) or ["cpu"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
@given(trees, st.data(), st.sampled_from(OnNoData))
def test_passing_over_what_cannot_be_bad_changes_nothing(tree: Condition, data: st.DataObject, none: OnNoData) -> None:
    numbers = st.one_of(st.sampled_from([0.0, 1.0, 90.0, 0.1]), st.floats(-200, 200))
    one = st.tuples(st.integers(0, 300), numbers, st.sampled_from(_metrics(tree)), st.sampled_from(["a", "b"]))
    readings = data.draw(st.lists(one, max_size=25))
    arrivals = [
        sample(second, value, metric=metric, target=target, number=number)
        for number, (second, value, metric, target) in enumerate(readings)
    ]
    who = subject(tree, on_no_data=none)
    whole, skimmed = played(who, arrivals, skims=False), played(who, arrivals, skims=True)
    assert (skimmed.turns, skimmed.stops, skimmed.deeds) == (whole.turns, whole.stops, whole.deeds)
    assert skimmed.judged <= whole.judged


def test_a_calm_fleet_is_hardly_judged_at_all() -> None:
    calm = [sample(second, 40.0, target=f"h{host}", number=second) for second in range(0, 300, 5) for host in range(9)]
    who = subject(language.parse("avg(cpu, 1m) > 90 and max(cpu, 1m) > 95"))
    assert played(who, calm, skims=True).judged == 0
    assert played(who, calm, skims=False).judged > 500


def test_a_condition_that_sums_is_never_passed_over() -> None:
    for sentence in ("sum(cpu, 1m) > 90", "not cpu < 90", "cpu == 90", "no cpu for 1m", "sum(cpu) > 90"):
        assert not Watch(subject(language.parse(sentence)), staleness=STALENESS).skims
    for sentence in ("cpu > 90", "p95(cpu, 5m) >= 90", "cpu outside 1..9", "cpu > 9 and deploy event", "avg(cpu) < 1"):
        assert Watch(subject(language.parse(sentence)), staleness=STALENESS).skims


def test_the_journal_has_each_move_and_each_order_once() -> None:
    readings = [sample(second, 95.0 if 60 <= second < 120 else 40.0, number=second) for second in range(0, 300, 10)]
    journal = played(subject(language.parse("cpu > 90 for 20s")), readings, skims=True)
    told = [(str(turn.transition), (turn.at - BEGIN) // SECOND) for turn in journal.turns]
    assert told == [("pended", 60), ("opened", 80), ("resolved", 120)]
    assert [(deed.action, (deed.ordered_at - BEGIN) // SECOND) for deed in journal.deeds] == [("restart", 80)]
