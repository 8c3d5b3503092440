"""`by`: groups of series, of all targets, that are judged as targets of their own."""

from collections.abc import Collection
from dataclasses import replace

from policies.engine import conditions, evaluation, grouping, language
from policies.engine.values import Answer, Answered, FleetData, Outcome, Question, Series, TargetData, Verdict
from tests.unit.policies.builders import NOW, STALENESS, ago, event, judge, series, target

V, H, U = Outcome.VIOLATED, Outcome.HEALTHY, Outcome.UNKNOWN


def fleet(*targets: TargetData) -> FleetData:
    return FleetData(targets=targets)


def groups(
    sentence: str, data: FleetData, *, was_violated: Collection[str] = (), expected: Collection[str] = ()
) -> dict[str, Verdict]:
    return evaluation.evaluate_groups(
        language.parse(sentence), data, at=NOW, staleness=STALENESS, was_violated=was_violated, expected=expected
    )


def outcomes(sentence: str, data: FleetData) -> dict[str, Outcome]:
    return {name: verdict.outcome for name, verdict in groups(sentence, data).items()}


def rate(value: float, **tags: str) -> Series:
    return replace(series("error_rate", [value]), tags=tags)


ZONES = fleet(
    target(rate(3, zone="eu-1", host="a"), rate(1, zone="eu-2", host="a")),
    target(rate(4, zone="eu-1", host="b")),
    target(rate(100, host="c")),
)


def test_series_of_all_targets_are_joined_by_their_tag() -> None:
    found = groups("sum(error_rate by zone) > 5", ZONES)
    assert {name: (one.outcome, one.value) for name, one in found.items()} == {"zone=eu-1": (V, 7), "zone=eu-2": (H, 1)}
    assert found["zone=eu-1"].reason == "sum(error_rate by zone) 7 > 5"


def test_a_series_without_the_tag_is_in_no_group() -> None:
    assert "zone=" not in outcomes("sum(error_rate by zone) > 5", ZONES)


def test_several_tags_name_the_group_in_their_order() -> None:
    assert set(outcomes("sum(error_rate by zone, host) > 5", ZONES)) == {
        "zone=eu-1,host=a",
        "zone=eu-1,host=b",
        "zone=eu-2,host=a",
    }


def test_matchers_say_which_groups_there_are() -> None:
    assert set(outcomes('sum(error_rate{host="b"} by zone) > 5', ZONES)) == {"zone=eu-1"}


def test_every_part_of_a_condition_looks_at_the_group() -> None:
    data = fleet(
        target(rate(9, zone="eu-1"), series("up", [1], zone="eu-1")),
        target(rate(9, zone="eu-2"), series("up", [0], zone="eu-2")),
    )
    assert outcomes("sum(error_rate by zone) > 5 and up == 0", data) == {"zone=eu-1": H, "zone=eu-2": V}


def test_a_ratio_of_groups() -> None:
    data = fleet(
        target(series("bad", [5], zone="eu-1"), series("all", [10], zone="eu-1")),
        target(series("bad", [0], zone="eu-1"), series("all", [10], zone="eu-1")),
        target(series("bad", [0], zone="eu-2"), series("all", [0], zone="eu-2")),
    )
    assert outcomes("sum(bad by zone) / sum(all by zone) > 0.2", data) == {"zone=eu-1": V, "zone=eu-2": U}


def test_events_belong_to_their_group() -> None:
    data = fleet(target(rate(9, zone="eu-1"), events=[event("deploy", 30, zone="eu-1")]), target(rate(9, zone="eu-2")))
    assert outcomes("sum(error_rate by zone) > 5 and deploy event", data) == {"zone=eu-1": V, "zone=eu-2": H}


def test_answers_are_shared_out_by_their_labels() -> None:
    condition = 'sum(error_rate by zone) > 0 and promql "up == 0"'
    asked = Answer(at=NOW, results=(Answered(labels={"zone": "eu-2"}, value=0),))
    data = replace(ZONES, answers={Question("prometheus", "up == 0"): asked})
    assert outcomes(condition, data) == {"zone=eu-1": H, "zone=eu-2": V}


def test_recover_is_for_each_group_by_itself() -> None:
    data = fleet(target(rate(4, zone="eu-1"), rate(4, zone="eu-2")))
    found = groups("sum(error_rate by zone) > 5 recover at 3", data, was_violated=["zone=eu-2"])
    assert (found["zone=eu-1"].outcome, found["zone=eu-2"].outcome) == (H, V)


def test_a_group_of_which_nothing_is_left_is_unknown_when_asked_for() -> None:
    found = groups("sum(error_rate by zone) > 5", fleet(), was_violated=["zone=eu-1"], expected=["zone=eu-9"])
    assert {name: one.outcome for name, one in found.items()} == {"zone=eu-1": U, "zone=eu-9": U}
    assert found["zone=eu-1"].reason == "zone=eu-1 has never sent error_rate"


def test_a_nested_for_is_judged_for_each_group() -> None:
    data = fleet(
        target(series("error_rate", [9, 9, 9, 9, 9], zone="eu-1"), series("error_rate", [9, 1, 9, 9, 9], zone="eu-2"))
    )
    assert outcomes("sum(error_rate by zone) > 5 for 1m and error_rate > 0", data) == {"zone=eu-1": V, "zone=eu-2": H}


def test_for_one_target_the_worst_of_its_own_groups_answers() -> None:
    data = target(rate(3, zone="eu-1"), rate(9, zone="eu-2"))
    verdict = judge("sum(error_rate by zone) > 5", data)
    assert (verdict.outcome, verdict.reason) == (V, "zone=eu-2: sum(error_rate by zone) 9 > 5")


def test_one_target_without_the_tag_is_unknown() -> None:
    assert judge("sum(error_rate by zone) > 5", target(rate(9))).reason == "web-01 has no series to group by zone"


def test_one_unknown_group_is_worse_than_a_healthy_one() -> None:
    data = target(rate(3, zone="eu-1"), series("error_rate", [3], newest=400, zone="eu-2"))
    assert judge("sum(error_rate by zone) > 5", data).outcome is U


def test_only_a_condition_with_by_is_grouped() -> None:
    assert conditions.grouping(language.parse("sum(a by zone, rack) > 5 or no b for 2m")) == ("zone", "rack")
    assert conditions.grouping(language.parse("sum(a) / sum(b) > 5")) == ()
    assert grouping.regroup(language.parse("sum(a) > 5"), ZONES) == {}


def test_time_left_out_of_the_targets_is_left_out_of_the_group() -> None:
    cut = fleet(*(replace(one, since=ago(60)) for one in ZONES.targets))
    assert grouping.regroup(language.parse("sum(error_rate by zone) > 5"), cut)["zone=eu-1"].since == ago(60)
