"""Muted incidents are recorded and shown; they order nothing, and nothing queued is replayed."""

from datetime import datetime, timedelta

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from actions import queries
from metrics.formats.reading import EventReading, Reading
from policies import incidents, intake, remedies, sweep
from policies.intake import Accepted
from policies.models import CommonCause, Decision, Incident, InhibitionRule, MaintenanceWindow, Silence
from policies.muting import inhibitions, maintenance, silences
from tests.integration.policies import cast
from vigil.audit.models import Entry

pytestmark = pytest.mark.django_db

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
ANA = "user:ana"


def _silence(at: datetime, *matchers: str, **fields: object) -> Silence:
    raw = {"matchers": list(matchers) or ["target = web-*"], "duration": "1h", "comment": "deploy", **fields}
    return silences.create(raw=raw, actor=ANA, at=at)


def _window(at: datetime, **fields: object) -> MaintenanceWindow:
    raw = {"target": "web-*", "duration": "1h", "comment": "new disks", **fields}
    return maintenance.create(raw=raw, actor=ANA, at=at)


def _decisions() -> list[tuple[str, str]]:
    return list(Decision.objects.order_by("id").values_list("answer", "guard"))


def _post(targets: list[str], value: float, *, at: datetime, name: str = "cpu_usage", **tags: str) -> Accepted:
    readings = [Reading(name=name, value=value, tags={"host": target} | tags, at=at) for target in targets]
    return intake.accept(readings=readings, at=at, actor="key:agent-1")


def _ask(at: datetime) -> tuple[bool, str]:
    incident = cast.incident()
    [action] = queries.for_incident(incident.pk)
    answer = remedies.still_wanted(
        action_id=action.id,
        incident_id=incident.pk,
        policy_name="high-cpu-alert",
        target=incident.target,
        kind=action.kind,
        at=at,
    )
    return answer.wanted, answer.reason


class TestSilence:
    def test_a_silenced_incident_is_recorded_with_its_reason_and_orders_nothing(self, at: datetime) -> None:
        cast.policy()
        row = _silence(at)
        settled = cast.only(cast.post(92, at=at))
        assert cast.incident().status == "open"
        assert queries.for_incident(cast.incident().pk) == []
        assert settled.decided is not None
        assert settled.decided.reason.startswith("silenced by ana until ")
        assert settled.decided.reason.endswith(": deploy")
        decision = Decision.objects.get()
        assert (decision.answer, decision.guard) == ("hold", "silence")
        assert decision.numbers["silence_id"] == row.pk

    def test_the_same_hold_is_written_once(self, at: datetime) -> None:
        cast.policy()
        _silence(at)
        for second in range(4):
            cast.post(92, at=at + second * SECOND)
        assert _decisions() == [("hold", "silence")]

    def test_another_target_is_acted_on(self, at: datetime) -> None:
        cast.policy()
        _silence(at, "target = web-02")
        cast.post(92, at=at)
        assert _decisions() == [("order", "")]

    def test_tags_are_those_that_every_series_of_the_target_agrees_on(self, at: datetime) -> None:
        cast.policy()
        _silence(at, "region = us-east-1")
        _post(["web-01"], 10, at=at, region="us-east-1", core="0")
        _post(["web-01"], 92, at=at, region="us-east-1", core="1")
        assert cast.incident().tags == {"host": "web-01", "region": "us-east-1"}
        assert _decisions() == [("hold", "silence")]

    def test_once_it_is_over_the_condition_is_judged_afresh(self, at: datetime) -> None:
        cast.policy()
        _silence(at, duration="1m")
        cast.post(92, at=at)
        cast.post(92, at=at + 59 * SECOND)
        cast.post(92, at=at + 60 * SECOND)
        assert _decisions() == [("hold", "silence"), ("order", "")]

    def test_ended_by_hand_it_is_over_at_once(self, at: datetime) -> None:
        cast.policy()
        row = _silence(at)
        cast.post(92, at=at)
        silences.end(silence_id=row.pk, actor="user:ben", at=at + SECOND)
        cast.post(92, at=at + SECOND)
        assert _decisions() == [("hold", "silence"), ("order", "")]

    def test_one_to_come_does_not_hold_yet(self, at: datetime) -> None:
        cast.policy()
        _silence(at, starts_at=(at + HOUR).isoformat())
        cast.post(92, at=at)
        assert _decisions() == [("order", "")]

    def test_the_gate_drops_what_was_ordered_before_it(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        _silence(at + SECOND)
        wanted, reason = _ask(at + 2 * SECOND)
        assert not wanted
        assert reason.startswith("silenced by ana")

    def test_a_ladder_at_its_end_is_not_announced(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        [action] = queries.for_incident(cast.incident().pk)
        cast.end_action(action.id, at=at + SECOND, state="failed")
        _silence(at + SECOND)
        cast.post(92, at=at + 2 * SECOND)
        assert not cast.incident().exhausted
        assert _decisions()[-1] == ("hold", "silence")

    def test_every_change_leaves_an_audit_entry(self, at: datetime) -> None:
        row = _silence(at)
        silences.update(silence_id=row.pk, change={"comment": "longer deploy"}, actor="user:ben", at=at + SECOND)
        silences.end(silence_id=row.pk, actor=ANA, at=at + 2 * SECOND)
        entries = Entry.objects.filter(subject=f"silence:{row.pk}").order_by("seq")
        expected = [("silence.created", ANA), ("silence.updated", "user:ben"), ("silence.ended", ANA)]
        assert list(entries.values_list("kind", "actor")) == expected


class TestAcknowledging:
    def test_silences_the_incident_until_it_is_over(self, at: datetime) -> None:
        cast.policy()
        _window(at)  # so that nothing is ordered yet
        cast.post(92, at=at)
        incident = cast.incident()
        incidents.acknowledge(incident_id=incident.pk, actor=ANA, note="on it", at=at + SECOND)
        cast.post(92, at=at + 2 * HOUR)
        assert _decisions() == [("hold", "maintenance"), ("hold", "silence")]
        assert Decision.objects.latest("id").reason == "silenced by ana until the incident is over: on it"
        cast.post(40, at=at + 2 * HOUR + SECOND)
        silence = Silence.objects.get()
        assert (silence.incident_id, silence.ended_by) == (incident.pk, "vigil")
        cast.post(92, at=at + 2 * HOUR + 2 * SECOND)
        assert _decisions()[-1] == ("order", "")

    def test_twice_makes_one_silence(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        for actor in (ANA, "user:ben"):
            incidents.acknowledge(incident_id=cast.incident().pk, actor=actor, note="", at=at)
        assert Silence.objects.count() == 1

    def test_leaves_other_incidents_alone(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        incidents.acknowledge(incident_id=cast.incident().pk, actor=ANA, note="", at=at)
        _post(["web-02"], 92, at=at)
        assert _decisions()[-1] == ("order", "")

    @pytest.mark.parametrize("way", ["by hand", "withdrawn"])
    def test_ends_with_the_incident_however_it_ends(self, at: datetime, way: str) -> None:
        policy = cast.policy()
        cast.post(92, at=at)
        incident = cast.incident()
        incidents.acknowledge(incident_id=incident.pk, actor=ANA, note="", at=at)
        if way == "by hand":
            incidents.resolve(incident_id=incident.pk, actor=ANA, note="", at=at + SECOND)
        else:
            incidents.withdraw(policy=policy, actor=ANA, reason="no longer needed", at=at + SECOND)
        assert Silence.objects.get().ended_at is not None


class TestMaintenance:
    def test_vigil_does_not_act_in_it(self, at: datetime) -> None:
        cast.policy()
        _window(at)
        cast.post(92, at=at)
        assert _decisions() == [("hold", "maintenance")]
        assert cast.incident().status == "open"

    def test_unless_the_policy_says_so(self, at: datetime) -> None:
        cast.policy(act_in_maintenance=True)
        _window(at)
        cast.post(92, at=at)
        assert _decisions() == [("order", "")]
        assert _ask(at + SECOND)[0]

    def test_at_its_end_what_is_still_bad_is_ordered_and_what_healed_is_not(self, at: datetime) -> None:
        cast.policy()
        _window(at, duration="20s")
        _post(["web-01", "web-02"], 92, at=at)
        _post(["web-02"], 40, at=at + 10 * SECOND)
        sweep.run(at=at + 21 * SECOND)
        orders = Decision.objects.filter(answer="order")
        assert list(orders.values_list("target", flat=True)) == ["web-01"]

    def test_an_action_ordered_before_it_is_dropped_in_it_and_after_it(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        _window(at + MINUTE, duration="2m")
        assert not _ask(at + 2 * MINUTE)[0]
        wanted, reason = _ask(at + 4 * MINUTE)
        assert not wanted
        assert "before the maintenance that ended at" in reason

    def test_one_ended_early_still_drops_what_was_ordered_before(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        row = _window(at + MINUTE)
        maintenance.end(window_id=row.pk, actor=ANA, at=at + 2 * MINUTE)
        assert not _ask(at + 3 * MINUTE)[0]

    def test_one_that_never_began_drops_nothing(self, at: datetime) -> None:
        cast.policy()
        cast.post(92, at=at)
        row = _window(at, starts_at=(at + HOUR).isoformat(), duration="1h")
        maintenance.end(window_id=row.pk, actor=ANA, at=at + SECOND)
        assert _ask(at + 2 * SECOND)[0]
        assert maintenance.state(row, at=at) == "pending"

    def test_weekly_hours_hold_and_let_go(self, at: datetime) -> None:
        cast.policy()
        days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        hours = {"from": f"{at - HOUR:%H:%M}", "to": f"{at + MINUTE:%H:%M}", "timezone": "UTC"}
        maintenance.create(
            raw={"target": "web-*", "weekly": {"days": days, **hours}, "comment": "backups"}, actor=ANA, at=at
        )
        for seconds in range(0, 61, 20):
            cast.post(92, at=at + seconds * SECOND)
        assert _decisions()[:2] == [("hold", "maintenance"), ("order", "")]


class TestInhibition:
    RULE = {
        "name": "a dead host holds its services",
        "source": ["policy = host-down"],
        "target": ["policy = high-cpu-alert"],
        "equal": ["rack"],
    }

    @pytest.fixture(autouse=True)
    def _policies(self, at: datetime) -> None:
        cast.policy()
        cast.policy(name="host-down", target="*", condition="host_up < 1", action="restart", params={})
        inhibitions.create(raw=self.RULE, actor=ANA, at=at)

    def test_holds_what_agrees_while_the_source_is_open(self, at: datetime) -> None:
        _post(["host-7"], 0, at=at, name="host_up", rack="r1")
        _post(["web-01"], 92, at=at + SECOND, rack="r1")
        held = Decision.objects.get(target="web-01")
        source = Incident.objects.get(target="host-7")
        assert (held.answer, held.guard) == ("hold", "inhibition")
        assert held.reason == (
            f"held by a dead host holds its services: host-down is open on host-7 (incident {source.pk})"
        )

    def test_lets_go_when_the_source_is_over(self, at: datetime) -> None:
        _post(["host-7"], 0, at=at, name="host_up", rack="r1")
        _post(["web-01"], 92, at=at + SECOND, rack="r1")
        _post(["host-7"], 1, at=at + 2 * SECOND, name="host_up", rack="r1")
        _post(["web-01"], 92, at=at + 3 * SECOND, rack="r1")
        answers = Decision.objects.filter(target="web-01").order_by("id").values_list("answer", flat=True)
        assert list(answers) == ["hold", "order"]

    def test_leaves_another_rack_alone(self, at: datetime) -> None:
        _post(["host-7"], 0, at=at, name="host_up", rack="r1")
        _post(["web-01"], 92, at=at + SECOND, rack="r2")
        assert Decision.objects.get(target="web-01").answer == "order"

    def test_a_source_in_the_same_batch_comes_first(self, at: datetime) -> None:
        readings = [
            Reading(name="cpu_usage", value=92, tags={"host": f"web-0{number}", "rack": "r1"}, at=at)
            for number in range(3)
        ]
        readings.append(Reading(name="host_up", value=0, tags={"host": "host-7", "rack": "r1"}, at=at))
        intake.accept(readings=readings, at=at, actor="key:agent-1")
        held = Decision.objects.filter(target__startswith="web-").values_list("guard", flat=True)
        assert set(held) == {"inhibition"}

    def test_the_gate_drops_what_was_ordered_before_the_source_opened(self, at: datetime) -> None:
        _post(["web-01"], 92, at=at, rack="r1")
        service = cast.incident()
        _post(["host-7"], 0, at=at + SECOND, name="host_up", rack="r1")
        [action] = queries.for_incident(service.pk)
        answer = remedies.still_wanted(
            action_id=action.id,
            incident_id=service.pk,
            policy_name="high-cpu-alert",
            target="web-01",
            kind="scale-up",
            at=at + 2 * SECOND,
        )
        assert not answer.wanted
        assert "host-down is open on host-7" in answer.reason


class TestCommonCause:
    FLEET = [f"web-{number:02}" for number in range(12)]

    @pytest.fixture(autouse=True)
    def _no_other_share(self, settings: LazySettings) -> None:
        """What is left of a fleet is another guard's business."""
        settings.VIGIL_FLEET_AT_ONCE_PERCENT = settings.VIGIL_BLAST_RADIUS_PERCENT = 100
        settings.VIGIL_MIN_HEALTHY_PERCENT = 0

    def _known(self, at: datetime) -> None:
        _post(self.FLEET, 40, at=at - MINUTE)

    def test_many_at_once_hold_every_one_of_them_with_the_numbers(self, at: datetime) -> None:
        cast.policy()
        self._known(at)
        _post(self.FLEET[:5], 92, at=at)
        assert _decisions() == [("hold", "common_cause")] * 5
        decision = Decision.objects.earliest("id")
        assert decision.reason.startswith("5 of 12 known targets went bad within 60 s, more than 30 %")
        assert decision.numbers.items() >= {"bad": 5, "known": 12, "percent": 30, "within_seconds": 60}.items()
        assert CommonCause.objects.count() == 1

    def test_fewer_than_five_are_repaired_one_by_one(self, at: datetime) -> None:
        cast.policy()
        self._known(at)
        _post(self.FLEET[:4], 92, at=at)
        assert _decisions() == [("order", "")] * 4

    def test_a_small_share_is_repaired_one_by_one(self, at: datetime) -> None:
        cast.policy(common_cause={"percent": 50})
        self._known(at)
        _post(self.FLEET[:5], 92, at=at)
        assert {guard for _, guard in _decisions()} == {""}

    def test_one_after_the_other_counts_within_the_time(self, at: datetime) -> None:
        cast.policy(common_cause={"percent": 30, "within": "10s"})
        self._known(at)
        for index, target in enumerate(self.FLEET[:6]):
            _post([target], 92, at=at + index * SECOND)
        assert [guard for _, guard in _decisions()] == ["", "", "", "", "common_cause", "common_cause"]

    def test_one_after_the_other_beyond_the_time_does_not(self, at: datetime) -> None:
        cast.policy(common_cause={"percent": 30, "within": "2s"}, rate={"count": 100, "per": "1m"})
        self._known(at)
        for index, target in enumerate(self.FLEET[:6]):
            _post([target], 92, at=at + index * SECOND)
        assert [guard for _, guard in _decisions()] == [""] * 6

    def test_the_gate_drops_what_the_first_of_them_had_ordered(self, at: datetime) -> None:
        cast.policy()
        self._known(at)
        _post(self.FLEET[:1], 92, at=at)
        first = cast.incident()
        _post(self.FLEET[1:6], 92, at=at + SECOND)
        [action] = queries.for_incident(first.pk)
        answer = remedies.still_wanted(
            action_id=action.id,
            incident_id=first.pk,
            policy_name="high-cpu-alert",
            target=first.target,
            kind="scale-up",
            at=at + 2 * SECOND,
        )
        assert not answer.wanted
        assert "a common cause is likely" in answer.reason

    def test_lets_go_when_the_share_has_fallen_and_judges_afresh(self, at: datetime) -> None:
        cast.policy()
        self._known(at)
        _post(self.FLEET[:5], 92, at=at)
        _post(self.FLEET[1:5], 40, at=at + SECOND)
        sweep.run(at=at + 2 * SECOND)
        cause = CommonCause.objects.get()
        assert cause.ended_at == at + 2 * SECOND
        orders = Decision.objects.filter(answer="order")
        assert list(orders.values_list("target", flat=True)) == ["web-00"]
        kinds = Entry.objects.filter(subject=f"common_cause:{cause.pk}").order_by("seq").values_list("kind", flat=True)
        assert list(kinds) == ["common_cause.began", "common_cause.ended"]

    def test_stands_while_they_are_bad_however_long_ago_they_went_bad(self, at: datetime) -> None:
        cast.policy()
        self._known(at)
        _post(self.FLEET[:5], 92, at=at)
        _post(self.FLEET[:5], 92, at=at + 4 * MINUTE)
        sweep.run(at=at + 4 * MINUTE)
        assert CommonCause.objects.get().ended_at is None
        assert _decisions() == [("hold", "common_cause")] * 5

    def test_ends_with_its_policy(self, at: datetime) -> None:
        from policies import authoring

        cast.policy()
        self._known(at)
        _post(self.FLEET[:5], 92, at=at)
        authoring.disable(name="high-cpu-alert", actor=ANA, at=at + SECOND)
        sweep.run(at=at + 2 * SECOND)
        assert CommonCause.objects.get().ended_at is not None

    def test_groups_by_a_tag_are_apart(self, at: datetime) -> None:
        cast.policy(group_by="zone", rate={"count": 100, "per": "1m"})
        for zone, targets in (("a", self.FLEET[:6]), ("b", self.FLEET[6:])):
            _post(targets, 40, at=at - MINUTE, zone=zone)
        _post([*self.FLEET[:5]], 92, at=at, zone="a")
        _post([self.FLEET[6]], 92, at=at + SECOND, zone="b")
        assert [guard for _, guard in _decisions()] == ["common_cause"] * 5 + [""]
        assert "where zone is a " in Decision.objects.earliest("id").reason

    def test_a_policy_about_events_counts_every_target_it_covers(self, at: datetime) -> None:
        cast.policy(condition="1 crashed events in 5m", common_cause={"percent": 50})
        self._known(at)
        for target in self.FLEET[:7]:
            event = EventReading(name="crashed", severity="critical", tags={"host": target}, at=at)
            intake.accept(readings=[event], at=at, actor="key:agent-1")
        assert [guard for _, guard in _decisions()][-1] == "common_cause"
        assert Decision.objects.latest("id").reason.startswith("7 of 12 known targets")

    def test_of_a_fleet_nobody_knows_no_share_is_told(self, at: datetime) -> None:
        cast.policy(condition="1 crashed events in 5m", group_by="zone", rate={"count": 100, "per": "1m"})
        for target in self.FLEET[:7]:
            tags = {"host": target, "zone": "a"}
            event = EventReading(name="crashed", severity="critical", tags=tags, at=at)
            intake.accept(readings=[event], at=at, actor="key:agent-1")
        assert len(_decisions()) == 7
        assert "common_cause" not in {guard for _, guard in _decisions()}

    def test_a_policy_may_switch_it_off(self, at: datetime) -> None:
        cast.policy(common_cause={"percent": 100}, rate={"count": 100, "per": "1m"})
        self._known(at)
        _post(self.FLEET, 92, at=at)
        assert "common_cause" not in {guard for _, guard in _decisions()}


class TestCost:
    def test_a_healthy_reading_asks_nothing_about_muting(self, at: datetime) -> None:
        from django.db import connection

        cast.policy()
        _silence(at)
        cast.post(40, at=at)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            cast.post(41, at=at + SECOND)
        assert not [one["sql"] for one in asked if "silence" in one["sql"] or "maintenance" in one["sql"]]
        assert len([one for one in asked if "policies_bookversion" in one["sql"]]) == 1

    def test_a_held_reading_asks_for_the_version_and_nothing_else_about_muting(self, at: datetime) -> None:
        from django.db import connection

        cast.policy()
        _silence(at)
        cast.post(92, at=at)
        cast.post(92, at=at + SECOND)
        with CaptureQueriesContext(connection) as asked:
            cast.post(93, at=at + 2 * SECOND)
        assert not [one["sql"] for one in asked if "policies_silence" in one["sql"]]
        assert len([one for one in asked if "policies_bookversion" in one["sql"]]) == 1


class TestConstraints:
    def _base(self, at: datetime) -> dict[str, object]:
        return {"author": ANA, "comment": "x", "created_at": at, "updated_at": at}

    @pytest.mark.parametrize(
        ("model", "fields", "name"),
        [
            (Silence, {"matchers": ["target = *"], "minutes": 0}, "silence_ends_after_start"),
            (Silence, {"matchers": ["target = *"], "minutes": None}, "silence_ends_after_start"),
            (Silence, {"matchers": [], "minutes": 5}, "silence_means_something"),
            (MaintenanceWindow, {"target": "*", "minutes": -1}, "maintenance_ends_after_start"),
            (MaintenanceWindow, {"target": "*", "minutes": None}, "maintenance_once_or_weekly"),
            (MaintenanceWindow, {"target": "*", "minutes": 5, "days": "sat"}, "maintenance_once_or_weekly"),
            (MaintenanceWindow, {"target": "", "minutes": 5}, "maintenance_target_said"),
        ],
    )
    def test_keep_out_what_means_nothing(
        self, at: datetime, model: type[Model], fields: dict[str, object], name: str
    ) -> None:
        minutes = fields.pop("minutes") if "minutes" in fields else None
        ends_at = None if minutes is None else at + timedelta(minutes=float(str(minutes)))
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            model._default_manager.create(**self._base(at), **fields, starts_at=at, ends_at=ends_at)

    def test_one_rule_of_a_name_in_force(self, at: datetime) -> None:
        fields = self._base(at) | {"name": "n", "source": ["target = a"], "target": ["target = b"]}
        InhibitionRule.objects.create(**fields)
        with pytest.raises(IntegrityError), transaction.atomic():
            InhibitionRule.objects.create(**fields)
