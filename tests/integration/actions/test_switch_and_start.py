"""The control switch, what an installation begins with, secrets, hints, gauges and checks."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import connection

from actions import checks, collectors, control, defaults, health, hints, secrets, tasks
from actions.models import Action, ActionType, Budget, ControlSwitch, Remediator
from actions.remediators.base import ConfigurationError
from actions.standard import STANDARD_TYPES
from tests.integration.actions import fakes, make
from tests.servers import valkey
from vigil.audit import entries
from vigil.celery import app
from vigil.kernel import clock
from vigil.kernel.errors import Invalid

pytestmark = pytest.mark.django_db


def test_a_new_installation_may_act() -> None:
    assert control.state().mode == "active"


def test_every_change_of_the_switch_is_audited() -> None:
    control.set_mode(mode="paused", reason="deploy", actor="user:ana", at=clock.now())
    control.set_mode(mode="active", reason="done", actor="user:bo", at=clock.now())
    told = [(entry.kind, entry.actor, entry.reason, entry.from_state) for entry in entries.of("control")]
    assert told == [
        ("control.paused", "user:ana", "deploy", "active"),
        ("control.resumed", "user:bo", "done", "paused"),
    ]


@pytest.mark.parametrize("mode", ["", "off", "ACTIVE"])
def test_an_unknown_mode_is_refused(mode: str) -> None:
    with pytest.raises(Invalid):
        control.set_mode(mode=mode, reason="", actor="user:ana", at=clock.now())


def test_the_file_pauses_whatever_the_row_says(settings: Any, tmp_path: Path) -> None:
    settings.VIGIL_PAUSE_FILE = tmp_path / "VIGIL_PAUSE"
    settings.VIGIL_PAUSE_FILE.write_text("storage is being moved\n")
    state = control.state()
    assert (state.mode, state.reason, state.by) == ("paused", "storage is being moved", "file VIGIL_PAUSE")
    assert control.set_mode(mode="active", reason="", actor="user:ana", at=clock.now()).mode == "paused"
    settings.VIGIL_PAUSE_FILE.unlink()
    assert control.state().mode == "active"


def test_a_file_that_cannot_be_read_pauses(settings: Any, tmp_path: Path) -> None:
    settings.VIGIL_PAUSE_FILE = tmp_path / "VIGIL_PAUSE"
    settings.VIGIL_PAUSE_FILE.mkdir()
    assert control.state().mode == "paused"


def test_a_missing_switch_pauses() -> None:
    ControlSwitch.objects.all().delete()
    assert control.state().mode == "paused"
    control.set_mode(mode="active", reason="", actor="user:ana", at=clock.now())
    assert control.state().mode == "active"


def test_the_commands_pause_and_resume() -> None:
    out = StringIO()
    call_command("pause", "--reason", "deploy", stdout=out)
    assert control.state().mode == "paused"
    assert "resume" in out.getvalue()
    call_command("resume", stdout=out)
    assert control.state().mode == "active"
    call_command("pause", "--observe", stdout=out)
    assert control.state().mode == "observe"


def test_resume_says_when_a_file_is_in_the_way(settings: Any, tmp_path: Path) -> None:
    settings.VIGIL_PAUSE_FILE = tmp_path / "VIGIL_PAUSE"
    settings.VIGIL_PAUSE_FILE.touch()
    with pytest.raises(CommandError, match="stays paused"):
        call_command("resume")


def test_the_migration_made_the_standard_types() -> None:
    made = {row.name: (row.description, row.retry_safety, row.schema, row.risk) for row in ActionType.objects.all()}
    wanted = {known.name: (known.description, known.retry_safety, known.schema, "low") for known in STANDARD_TYPES}
    assert made == wanted


def test_an_emptied_database_begins_anew() -> None:
    for model in (ActionType, Remediator, Budget, ControlSwitch):
        model.objects.all().delete()
    for _ in range(2):
        defaults.ensure()
    assert ActionType.objects.count() == len(STANDARD_TYPES)
    assert Budget.objects.get().scope == "global"
    assert control.state().mode == "active"


def test_ensuring_changes_nothing_people_changed() -> None:
    control.set_mode(mode="paused", reason="", actor="user:ana", at=clock.now())
    ActionType.objects.exclude(name="custom").delete()
    Remediator.objects.filter(name="default").update(kind="command", from_environment=False)
    defaults.ensure()
    assert control.state().mode == "paused"
    assert ActionType.objects.count() == 1
    assert Remediator.objects.get(name="default").kind == "command"


def test_remediator_url_makes_the_default_remediator(settings: Any) -> None:
    settings.REMEDIATOR_URL = "http://127.0.0.1:9/heal"
    defaults.ensure()
    row = Remediator.objects.get(name="default")
    assert (row.kind, row.config["url"]) == ("http", "http://127.0.0.1:9/heal")
    assert row.secret.startswith("whsec_")
    defaults.ensure()
    assert Remediator.objects.get(name="default").secret == row.secret
    settings.REMEDIATOR_SECRET = "whsec_" + "a" * 43 + "="
    defaults.ensure()
    assert Remediator.objects.get(name="default").secret == settings.REMEDIATOR_SECRET


def test_where_actions_go_from_now_on_is_in_the_audit(settings: Any) -> None:
    for url in ("http://127.0.0.1:9/heal", "http://127.0.0.1:9/heal", "http://127.0.0.1:9/other", ""):
        settings.REMEDIATOR_URL = url
        defaults.ensure()
    told = [(one.actor, one.reason) for one in entries.of("remediator:default")]
    assert {actor for actor, _ in told} == {"environment"}
    assert [reason.rpartition(" ")[2] for _, reason in told] == [
        "http://127.0.0.1:9/heal.",
        "http://127.0.0.1:9/other.",
        "logged.",
    ]


def test_without_remediator_url_the_default_only_logs_again(settings: Any) -> None:
    settings.REMEDIATOR_URL = "http://127.0.0.1:9/heal"
    defaults.ensure()
    settings.REMEDIATOR_URL = ""
    defaults.ensure()
    assert Remediator.objects.get(name="default").kind == "log"


def test_a_remediator_url_that_cannot_work_is_refused(settings: Any) -> None:
    settings.REMEDIATOR_URL = "ftp://example"
    with pytest.raises(ConfigurationError):
        defaults.ensure()
    assert Remediator.objects.get(name="default").kind == "log"
    assert [fault.id for fault in checks.default_remediator(None)] == ["actions.E003"]


def stored_secret() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM actions_remediator WHERE name = 'default'")
        return str(cursor.fetchone()[0])


def test_a_secret_is_encrypted_at_rest() -> None:
    Remediator.objects.filter(name="default").update(secret="whsec_plain")
    assert "plain" not in stored_secret()
    assert Remediator.objects.get(name="default").secret == "whsec_plain"


def test_a_secret_survives_a_new_key_in_front(settings: Any) -> None:
    settings.VIGIL_SECRETS_KEYS = ["old key"]
    Remediator.objects.filter(name="default").update(secret="whsec_plain")
    settings.VIGIL_SECRETS_KEYS = ["new key", "old key"]
    assert Remediator.objects.get(name="default").secret == "whsec_plain"


def test_a_secret_of_a_forgotten_key_is_an_error_and_not_a_wrong_secret(settings: Any) -> None:
    settings.VIGIL_SECRETS_KEYS = ["old key"]
    Remediator.objects.filter(name="default").update(secret="whsec_plain")
    settings.VIGIL_SECRETS_KEYS = ["new key"]
    remediator = Remediator.objects.get(name="default")  # only who asks for it is troubled
    with pytest.raises(secrets.UnableToDecrypt, match="VIGIL_SECRETS_KEYS"):
        _ = remediator.secret


def test_no_secret_stays_no_secret() -> None:
    assert stored_secret() == ""
    assert Remediator.objects.get(name="default").secret == ""


def test_gauges_count_the_rows(remote: fakes.Fake) -> None:
    make.by_hand()
    make.run(make.by_hand(target="web-02").id)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in collectors.read()
        for sample in family.samples
    }
    assert samples["vigil_queue_length",] == 1
    assert samples["vigil_actions_in_state", "succeeded"] == 1
    assert samples["vigil_actions_in_state", "unknown"] == 0
    assert samples["vigil_control_mode", "active"] == 1


def test_health_names_what_people_should_look_at(remote: fakes.Fake) -> None:
    action = make.by_hand()
    assert [health.switch().state, health.stuck().state, health.remediators().state] == ["ok", "ok", "ok"]
    Action.objects.filter(pk=action.id).update(state="needs_human")
    control.set_mode(mode="paused", reason="", actor="user:ana", at=clock.now())
    Remediator.objects.exclude(kind="log").update(enabled=False)
    for report in (health.switch(), health.stuck(), health.remediators()):
        assert report.state == "degraded"
        assert report.hint


def test_the_checks_are_quiet_when_all_is_well(settings: Any, tmp_path: Path) -> None:
    settings.VIGIL_PAUSE_FILE = tmp_path / "VIGIL_PAUSE"
    settings.VIGIL_REMEDIATORS = {"fake": fakes.MAKE}
    for check in (checks.gate, checks.editors, checks.default_remediator, checks.plug_ins, checks.pause_file):
        assert check(None) == []


@pytest.mark.parametrize(
    ("check", "name", "value", "fault"),
    [
        (checks.gate, "ACTION_GATE", "", "actions.W001"),
        (checks.gate, "ACTION_GATE", "policies.nowhere.still_wanted", "actions.E001"),
        (checks.editors, "ACTION_EDITORS", "", "actions.W003"),
        (checks.editors, "ACTION_EDITORS", "policies.nowhere.editors", "actions.E004"),
        (checks.plug_ins, "VIGIL_REMEDIATORS", {"mine": "no.such.thing"}, "actions.E002"),
        (checks.default_remediator, "REMEDIATOR_URL", "not an address", "actions.E003"),
        (checks.pause_file, "VIGIL_PAUSE_FILE", Path("/no/such/place/VIGIL_PAUSE"), "actions.W002"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(
    settings: Any, check: Any, name: str, value: object, fault: str
) -> None:
    setattr(settings, name, value)
    (message,) = check(None)
    assert message.id == fault
    assert message.hint


def test_a_hint_is_an_id_and_nothing_else(broker: valkey.Valkey, settings: Any) -> None:
    queue = redis.Redis.from_url(settings.VIGIL_REDIS_URL)
    queue.delete(hints.QUEUE)
    assert hints.publish([4711]) == 1
    raw = queue.lpop(hints.QUEUE)
    assert isinstance(raw, bytes)
    message = json.loads(raw)
    arguments = json.loads(base64.b64decode(message["body"]))
    assert arguments[:2] == [[], {"action_id": 4711}]
    assert message["headers"]["task"] == "actions.run_action"
    assert message["headers"]["expires"] is None, "it would expire by the clock of the worker, which may be ahead"
    queue.close()


def test_a_restarted_broker_is_found_again_at_once(broker_of_its_own: valkey.Valkey) -> None:
    with broker_at(f"redis+socket://{broker_of_its_own.socket}"):
        assert hints.publish([1]) == 1
        broker_of_its_own.stop()
        assert hints.publish([2]) == 0
        broker_of_its_own.start()
        assert hints.publish([3]) == 1


def test_without_a_broker_nothing_is_raised_and_the_first_failure_ends_it() -> None:
    before = time.monotonic()
    with broker_at("redis+socket:///nowhere/valkey.sock"):
        assert hints.publish([1, 2, 3]) == 0
    assert time.monotonic() - before < 3


def test_a_frozen_broker_is_given_up_on_in_seconds(broker_of_its_own: valkey.Valkey) -> None:
    with broker_at(f"redis+socket://{broker_of_its_own.socket}"):
        assert hints.publish([1]) == 1
        broker_of_its_own.freeze()
        before = time.monotonic()
        assert hints.publish([2, 3, 4]) == 0
        assert time.monotonic() - before < 8
        broker_of_its_own.thaw()
        assert hints.publish([5]) == 1


@contextmanager
def broker_at(address: str) -> Iterator[None]:
    """Celery believes its broker to be there; no connection made meanwhile stays."""
    kept = app.conf.broker_write_url
    app.conf["broker_write_url"] = address
    hints._line.hang_up()
    try:
        yield
    finally:
        app.conf["broker_write_url"] = kept
        hints._line.hang_up()


def test_giving_hints_from_a_request_does_not_wait() -> None:
    before = time.monotonic()
    hints.give(list(range(1, 5_001)))
    assert time.monotonic() - before < 1


@pytest.mark.parametrize("action_id", [None, "1", -1, 0, 2**63, True, 1.5, [1]])
def test_a_forged_message_does_nothing(remote: fakes.Fake, action_id: Any) -> None:
    make.by_hand()
    tasks.run_action(action_id=action_id, surprise="x")
    assert remote.calls == []


def test_a_forged_message_runs_only_what_is_due(remote: fakes.Fake) -> None:
    ActionType.objects.filter(name="restart").update(risk="critical")
    waiting, done = make.by_hand(kind="restart"), make.by_hand(target="web-02")
    tasks.run_action(action_id=done.id)
    for action in (waiting, done):
        tasks.run_action(action_id=action.id)
    assert [call.action_id for call in remote.calls] == [done.id]
