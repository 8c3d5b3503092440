"""A policy test file is strict, and every mistake is named with its place."""

import copy
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policies import rehearse
from policies.engine.rehearsal import file
from policies.engine.rehearsal.file import FileError
from policies.rehearse import TooLong, UnableToCheck

GOOD: dict[str, Any] = {
    "policies": [{"name": "high-cpu", "target": "*", "condition": "cpu > 90", "action": "scale-up", "mode": "auto"}],
    "tests": [
        {
            "name": "one",
            "input_series": [{"series": 'cpu{host="a"}', "values": "95x3"}],
            "events": [{"event": "deploy", "at": "1m"}],
            "expect": [
                {
                    "at": "30s",
                    "incidents": [{"policy": "high-cpu", "target": "a", "status": "open"}],
                    "actions": [{"action": "scale-up", "target": "a"}],
                    "held": [],
                    "verdicts": [{"policy": "high-cpu", "target": "a", "outcome": "violated"}],
                }
            ],
        }
    ],
}


def changed(change: Callable[[Any], object]) -> Any:
    document = copy.deepcopy(GOOD)
    change(document)
    return document


def test_the_good_file_is_good() -> None:
    assert rehearse.check(document=GOOD).ok


def _set(*path: Any) -> Callable[[Any], None]:
    *steps, last, value = path

    def change(document: Any) -> None:
        for step in steps:
            document = document[step]
        document[last] = value

    return change


TEST = ("tests", 0)
SERIES = (*TEST, "input_series", 0)
EXPECT = (*TEST, "expect", 0)


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        (_set("polices", []), "polices", "did you mean `policies`"),
        (_set("tests", []), "tests", "length"),
        (_set("tests", 0, "x"), "tests[0]", "must be an object, not a text"),
        (_set(*TEST, "intervall", "1m"), "tests[0].intervall", "did you mean `interval`"),
        (_set(*TEST, "interval", "soon"), "tests[0].interval", "numbers with units"),
        (_set(*TEST, "interval", "0s"), "tests[0].interval", "at least 1s"),
        (_set(*TEST, "answers", "maybe"), "tests[0].answers", "invalid"),
        (_set(*TEST, "expect", []), "tests[0].expect", "length"),
        (_set(*SERIES, "values", "1 two"), "tests[0].input_series[0].values", "`two` is no value"),
        (_set(*SERIES, "series", "cpu{host=a}"), "tests[0].input_series[0].series", "no tag"),
        (_set(*SERIES, "value", "1"), "tests[0].input_series[0].value", "did you mean `values`"),
        (_set(*TEST, "events", 0, "at", None), "tests[0].events[0].at", "expected `str`"),
        (_set(*TEST, "unwatched", [{"from": "2m", "until": "1m"}]), "tests[0].unwatched[0].until", "later"),
        (_set(*EXPECT, "incident", []), "tests[0].expect[0].incident", "did you mean `incidents`"),
        (_set(*EXPECT, "incidents", 0, "status", "shut"), "tests[0].expect[0].incidents[0].status", "invalid enum"),
        (_set(*EXPECT, "actions", 0, "at", "x"), "tests[0].expect[0].actions[0].at", "numbers with units"),
        (_set(*EXPECT, "verdicts", 0, "outcome", "bad"), "tests[0].expect[0].verdicts[0].outcome", "invalid enum"),
    ],
)
def test_a_mistake_is_named_with_its_place(change: Callable[[Any], object], path: str, said: str) -> None:
    with pytest.raises(FileError) as caught:
        file.read(changed(change))
    assert [place for place, _ in caught.value.errors] == [path]
    assert said in caught.value.errors[0][1]


def test_all_mistakes_are_named_at_once() -> None:
    def change(document: Any) -> None:
        document["tests"][0]["interval"] = "soon"
        document["tests"][0]["input_series"][0]["values"] = "x"

    with pytest.raises(FileError) as caught:
        file.read(changed(change))
    assert len(caught.value.errors) == 2


def test_two_tests_of_one_name_are_refused() -> None:
    with pytest.raises(FileError, match="two tests are called 'one'"):
        file.read(changed(lambda document: document["tests"].append(document["tests"][0])))


def test_too_many_samples_are_refused() -> None:
    def change(document: Any) -> None:
        document["tests"][0]["input_series"] = [{"series": f"cpu{{n='{n}'}}".replace("'", '"'), "values": "1x19999"}
                                                for n in range(6)]  # fmt: skip

    with pytest.raises(FileError, match="more than 100,000 samples"):
        file.read(changed(change))


class TestPolicies:
    def test_a_broken_policy_is_named_with_its_place(self) -> None:
        with pytest.raises(UnableToCheck) as caught:
            rehearse.check(document=changed(_set("policies", 0, "condition", "cpu >")))
        assert caught.value.errors[0].path == "policies[0].condition"

    @pytest.mark.parametrize("change", [_set("policies", 0, "name", "other"), _set("policies", 0, "enabled", False)])
    def test_an_expectation_about_nobody_is_refused(self, change: Callable[[Any], object]) -> None:
        with pytest.raises(UnableToCheck) as caught:
            rehearse.check(document=changed(change))
        assert "no enabled policy `high-cpu`" in caught.value.errors[0].message
        assert caught.value.errors[0].path == "tests[0].expect[0].incidents"

    def test_two_policies_of_one_name_are_refused(self) -> None:
        with pytest.raises(UnableToCheck) as caught:
            rehearse.check(document=changed(lambda document: document["policies"].append(document["policies"][0])))
        assert "another policy called high-cpu" in caught.value.errors[0].message

    def test_a_file_of_policies_stands_beside_the_tests(self, tmp_path: Path) -> None:
        import_me = "policies:\n- {name: high-cpu, target: '*', condition: cpu > 90, action: scale-up, mode: auto}\n"
        (tmp_path / "mine.yaml").write_text(import_me)
        report = rehearse.check(document=changed(_set("policies", ["mine.yaml"])), beside=tmp_path)
        assert report.ok

    def test_a_file_is_not_read_for_a_request(self) -> None:
        with pytest.raises(UnableToCheck) as caught:
            rehearse.check(document=changed(_set("policies", ["/etc/passwd"])))
        assert "write the policy out" in caught.value.errors[0].message


def test_patience_ends() -> None:
    with pytest.raises(TooLong, match="took longer"):
        rehearse.check(document=GOOD, patience=timedelta(microseconds=1))
