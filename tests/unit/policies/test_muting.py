"""What mutes an incident, for how long, and in which words."""

from datetime import UTC, datetime, timedelta

import pytest

from policies.engine import muting
from policies.engine.calendar import Schedule
from policies.engine.muting import Brake, Cause, Inhibition, Kind, Silence, Subject, UnusableMatcher, Window
from policies.engine.tags import TagMatcher

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WEB = Subject(target="web-01", policy="high-cpu", severity="warning", tags={"region": "us-east-1"}, incident_id=7)


def _matchers(*texts: str) -> tuple[TagMatcher, ...]:
    return tuple(muting.read(text) for text in texts)


def _silence(*texts: str, minutes: float | None = 4, number: int = 1, incident_id: int | None = None) -> Silence:
    return Silence(
        id=number,
        matchers=_matchers(*texts),
        starts_at=NOON - 10 * MINUTE,
        ends_at=None if minutes is None else NOON + minutes * MINUTE,
        author="user:ana",
        comment="deploy",
        incident_id=incident_id,
    )


def _window(target: str = "web-*", *, minutes: float = 30) -> Window:
    schedule = Schedule(starts_at=NOON - 10 * MINUTE, ends_at=NOON + minutes * MINUTE)
    return Window(id=3, target=target, schedule=schedule, author="user:ana", comment="new disks")


class TestMatchers:
    @pytest.mark.parametrize(
        ("text", "matches"),
        [
            ("target = web-01", True),
            ("target=web-*", True),
            ("target = web-0", False),
            ("target = all", True),
            ("target != all", False),
            ("target != db-*", True),
            ("target =~ web-[0-9]+", True),
            ("target =~ web", False),  # anchored: the whole name must fit
            ("target !~ web-.*", False),
            ("target !~ web", True),
            ("policy = high-cpu", True),
            ("policy =~ high-.*|low-.*", True),
            ("severity = warning", True),
            ("severity != critical", True),
            ("severity =~ warning|critical", True),
            ("region = us-*", True),
            ('region = "us-east-1"', True),
            ("region =~ us-(east|west)-1", True),
            ("region != us-east-1", False),
            ("zone = a", False),
            ("zone != a", True),  # a missing tag is the empty text
            ("zone !~ .+", True),
        ],
    )
    def test_say_what_is_meant(self, text: str, matches: bool) -> None:
        assert muting.match(_matchers(text), WEB) is matches

    def test_must_all_hold(self) -> None:
        assert muting.match(_matchers("target = web-*", "severity = warning"), WEB)
        assert not muting.match(_matchers("target = web-*", "severity = critical"), WEB)

    def test_none_match_nothing(self) -> None:
        assert not muting.match((), WEB)

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            ("target", "`target = web-*`"),
            ("target == web-01", "operators"),
            ("target =", "must not be blank"),
            ("target =~ web-[", "RE2"),
            (r"target =~ (?=web)", "RE2"),
            ("targets = web-*", "did you mean `target`?"),
            ("Policy = x", "did you mean `policy`?"),
            ("severity = loud", "info, warning, critical"),
            ('comment = "half', "not closed"),
            ("= web", "no matcher"),
            (f"target =~ {'x' * 200}", "at most 128 characters"),
        ],
    )
    def test_that_cannot_be_meant_are_refused_with_advice(self, text: str, part: str) -> None:
        with pytest.raises(UnusableMatcher) as caught:
            muting.read(text)
        assert part in str(caught.value)

    @pytest.mark.parametrize(
        ("texts", "fine"),
        [
            (["target = *"], True),
            (["target = all"], True),
            (["target = web-*"], True),
            (["region != eu", "target = web-*"], True),
            ([], False),
            (["target != web-*"], False),
            (["region =~ .*"], False),
            (["region = *"], False),
            (["severity !~ critical"], False),
        ],
    )
    def test_must_ask_for_something_unless_everything_is_said(self, texts: list[str], fine: bool) -> None:
        assert (muting.objection(_matchers(*texts)) is None) is fine

    @pytest.mark.parametrize(
        "text",
        [
            "target = web-*",
            "target =~ web-(a|b)",
            'region = " us "',
            'region = "a \\"b\\""',
            'sign = "=x"',
            'note != "say \\"x"',
        ],
    )
    def test_are_written_as_they_are_read(self, text: str) -> None:
        once = muting.read(text)
        assert muting.read(muting.text(once)) == once


class TestSilences:
    def test_say_who_until_when_and_why(self) -> None:
        mute = muting.silenced([_silence("target = web-*")], WEB, at=NOON)
        assert mute is not None
        assert (mute.kind, mute.reason) == (Kind.SILENCE, "silenced by ana until 12:04 UTC: deploy")

    def test_say_the_date_when_they_end_on_another(self) -> None:
        mute = muting.silenced([_silence("target = web-*", minutes=24 * 60)], WEB, at=NOON)
        assert mute is not None
        assert mute.reason == "silenced by ana until 2026-11-24 12:00 UTC: deploy"

    @pytest.mark.parametrize(("minutes", "silenced"), [(-11, False), (-10, True), (3.9, True), (4, False)])
    def test_hold_from_start_until_just_before_the_end(self, minutes: float, silenced: bool) -> None:
        at = NOON + minutes * MINUTE
        assert (muting.silenced([_silence("target = web-*")], WEB, at=at) is not None) is silenced

    def test_the_longest_is_the_reason(self) -> None:
        silences = [_silence("target = web-*", minutes=4, number=number) for number in (1, 2)]
        silences.append(_silence("severity = warning", minutes=9, number=3))
        mute = muting.silenced(silences, WEB, at=NOON)
        assert mute is not None
        assert mute.numbers["silence_id"] == 3

    def test_of_one_incident_mute_no_other(self) -> None:
        acknowledged = _silence(minutes=None, incident_id=7)
        mute = muting.silenced([acknowledged], WEB, at=NOON)
        assert mute is not None
        assert mute.reason == "silenced by ana until the incident is over: deploy"
        assert muting.silenced([_silence(minutes=None, incident_id=8)], WEB, at=NOON) is None


class TestMaintenance:
    def test_says_until_when_and_why(self) -> None:
        mute = muting.in_maintenance([_window()], "web-01", at=NOON)
        assert mute is not None
        assert (mute.kind, mute.reason) == (Kind.MAINTENANCE, "in maintenance until 12:30 UTC: new disks")

    @pytest.mark.parametrize("target", ["db-01", "web", ""])
    def test_leaves_other_targets_alone(self, target: str) -> None:
        assert muting.in_maintenance([_window()], target, at=NOON) is None

    @pytest.mark.parametrize(
        ("ordered", "asked", "dropped"),
        [
            pytest.param(-20, 0, True, id="ordered before, asked within"),
            pytest.param(-20, 40, True, id="ordered before, asked after"),
            pytest.param(5, 40, True, id="ordered within, asked after"),
            pytest.param(30, 40, False, id="ordered when it was over"),
            pytest.param(-30, -20, False, id="not begun"),
        ],
    )
    def test_overtakes_what_was_ordered_before_its_end(self, ordered: float, asked: float, dropped: bool) -> None:
        ordered_at, at = NOON + ordered * MINUTE, NOON + asked * MINUTE
        assert (muting.overtaken([_window()], "web-01", ordered_at=ordered_at, at=at) is not None) is dropped

    def test_says_that_nothing_is_replayed(self) -> None:
        mute = muting.overtaken([_window()], "web-01", ordered_at=NOON - 20 * MINUTE, at=NOON + 40 * MINUTE)
        assert mute is not None
        expected = "ordered at 2026-11-23 11:40 UTC, before the maintenance that ended at 2026-11-23 12:30 UTC"
        assert mute.reason == expected


class TestInhibition:
    RULE = Inhibition(
        id=1,
        name="dead host",
        source=_matchers("policy = host-down"),
        target=_matchers("policy != host-down", "severity =~ info|warning"),
        equal=("host",),
    )

    def _source(self, **tags: str) -> Subject:
        return Subject(target="h-1", policy="host-down", severity="critical", tags=tags, incident_id=1)

    def _service(self, severity: str = "warning", **tags: str) -> Subject:
        return Subject(target="shop", policy="slow", severity=severity, tags=tags, incident_id=2)

    @pytest.mark.parametrize(
        ("source", "service", "held"),
        [
            pytest.param({"host": "h-1"}, {"host": "h-1"}, True, id="same host"),
            pytest.param({"host": "h-1"}, {"host": "h-2"}, False, id="another host"),
            pytest.param({"host": "h-1"}, {}, False, id="the service knows no host"),
            pytest.param({}, {}, False, id="neither has the label"),
        ],
    )
    def test_holds_where_both_agree(self, source: dict[str, str], service: dict[str, str], held: bool) -> None:
        mute = muting.inhibited([self.RULE], self._service(**service), [self._source(**source)])
        assert (mute is not None) is held

    def test_names_the_source(self) -> None:
        mute = muting.inhibited([self.RULE], self._service(host="h-1"), [self._source(host="h-1")])
        assert mute is not None
        assert mute.reason == "held by dead host: host-down is open on h-1 (incident 1)"

    def test_holds_only_what_its_target_matchers_mean(self) -> None:
        critical = self._service("critical", host="h-1")
        assert muting.inhibited([self.RULE], critical, [self._source(host="h-1")]) is None

    def test_an_incident_does_not_hold_itself(self) -> None:
        rule = Inhibition(id=1, name="all", source=_matchers("target = *"), target=_matchers("target = *"), equal=())
        assert muting.inhibited([rule], WEB, [WEB]) is None

    def test_two_that_are_both_source_and_target_do_not_hold_each_other(self) -> None:
        rule = Inhibition(id=1, name="all", source=_matchers("target = *"), target=_matchers("target = *"), equal=())
        assert muting.inhibited([rule], WEB, [self._source()]) is None

    def test_equal_takes_the_fields_too(self) -> None:
        rule = Inhibition(
            id=1,
            name="worse first",
            source=_matchers("severity = critical"),
            target=_matchers("severity = warning"),
            equal=("target",),
        )
        worse = Subject(target="web-01", policy="down", severity="critical", incident_id=9)
        assert muting.inhibited([rule], WEB, [worse]) is not None
        elsewhere = Subject(target="web-02", policy="down", severity="critical", incident_id=9)
        assert muting.inhibited([rule], WEB, [elsewhere]) is None


class TestCommonCause:
    BRAKE = Brake(percent=30, within=timedelta(seconds=60))

    @pytest.mark.parametrize(
        ("bad", "known", "standing", "holds"),
        [
            pytest.param(5, 10, False, True, id="half of ten"),
            pytest.param(4, 4, False, False, id="all of four: too few to tell"),
            pytest.param(5, 5, False, True, id="all of five"),
            pytest.param(6, 20, False, False, id="30 % is not more than 30 %"),
            pytest.param(7, 20, False, True, id="35 %"),
            pytest.param(5, 100, False, False, id="5 %"),
            pytest.param(4, 10, True, True, id="goes on holding below five"),
            pytest.param(3, 10, True, False, id="lets go at the share"),
            pytest.param(0, 0, True, False, id="nothing is left"),
        ],
    )
    def test_holds_when_many_went_bad_at_once(self, bad: int, known: int, standing: bool, holds: bool) -> None:
        assert (muting.common_cause(self.BRAKE, bad=bad, known=known, standing=standing) is not None) is holds

    def test_a_hundred_percent_never_holds(self) -> None:
        never = Brake(percent=100, within=timedelta(seconds=60))
        assert muting.common_cause(never, bad=50, known=50) is None

    def test_says_the_numbers(self) -> None:
        zones = Brake(percent=30, within=timedelta(seconds=60), group_by="zone")
        assert Cause(bad=12, known=20).reason(zones, "eu-1") == (
            "12 of 20 known targets where zone is eu-1 went bad within 60 s, more than 30 %: "
            "a common cause is likely, so no single target is acted on"
        )
