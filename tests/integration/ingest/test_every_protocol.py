"""All protocols go in by the same door: what holds for one of them holds for each."""

import json
import random

import pytest
from django.conf import LazySettings
from django.test import Client

from metrics.models import Event, Sample, Series
from policies.models import Incident
from tests.integration.ingest import sender as senders
from tests.integration.ingest.sender import SENT, Sender, Sent
from tests.integration.policies import cast
from vigil.telemetry import metrics as telemetry

pytestmark = pytest.mark.django_db

each = pytest.mark.parametrize("sent", SENT.values(), ids=SENT.keys())


def _counted(outcome: str) -> float:
    value: float = telemetry.ingest_total.labels(kind="metric", outcome=outcome)._value.get()
    return value


@each
def test_a_reading_arrives_and_its_target_is_known(sender: Sender, sent: Sent) -> None:
    before = _counted("stored")
    answer = sender.send(sent)
    assert answer.status_code == sent.status, answer.content
    found = [(name, value) for name, _, value in senders.stored()]
    assert (sent.metric, sent.value) in found
    assert {target for (target,) in Series.objects.values_list("target")} == {"web-01"}
    assert _counted("stored") - before == len(found)


@each
def test_it_is_judged_at_once(sender: Sender, sent: Sent) -> None:
    cast.policy(condition=f"{sent.metric} > {sent.value - 1}")
    sender.send(sent)
    assert [incident.target for incident in Incident.objects.all()] == ["web-01"]


@each
def test_it_takes_the_scope_to_ingest(sender: Sender, sent: Sent) -> None:
    assert senders.of("read", "control", name="reader").send(sent).status_code == 403
    assert Client().post(f"/api/v1/ingest/{sent.path}", sent.body(), sent.content_type).status_code == 401
    assert Sample.objects.count() == 0


@each
def test_a_key_bound_to_other_targets_may_not_speak_for_this_one(sender: Sender, sent: Sent) -> None:
    refused = senders.of(targets=["db-*"], name="db").send(sent)
    assert refused.status_code == 403
    assert b"may not speak for the target" in refused.content
    assert Sample.objects.count() == 0
    assert senders.of(targets=["web-*"], name="web").send(sent).status_code == sent.status


@each
def test_the_same_request_under_one_idempotency_key_counts_once(sender: Sender, sent: Sent) -> None:
    body = sent.body()
    once = Sent(**{**sent.__dict__, "body": lambda: body})
    first = sender.send(once, Idempotency_Key="batch-1")
    kept = Sample.objects.count(), Event.objects.count()
    again = sender.send(once, Idempotency_Key="batch-1")
    assert (again.status_code, again.content, again.headers["Content-Type"]) == (
        *(first.status_code, first.content, first.headers["Content-Type"]),
    )
    assert (Sample.objects.count(), Event.objects.count()) == kept


@each
def test_another_content_type_is_a_415_that_says_what_is_taken(sender: Sender, sent: Sent) -> None:
    refused = sender.post(sent.path, sent.body(), "application/vnd.unheard-of", **_encoding(sent))
    assert refused.status_code == 415
    assert b"end" in refused.content
    assert Sample.objects.count() == 0


@each
def test_another_encoding_is_a_415(sender: Sender, sent: Sent) -> None:
    for encoding in ("br", "zstd", "gzip,gzip"):
        assert sender.send(sent, Content_Encoding=encoding).status_code == 415


@each
def test_an_unknown_parameter_is_a_422(sender: Sender, sent: Sent) -> None:
    path = f"{sent.path}{'&' if '?' in sent.path else '?'}dry_runn=1"
    refused = sender.send(Sent(**{**sent.__dict__, "path": path}))
    assert (refused.status_code, Sample.objects.count()) == (422, 0)


@each
def test_too_many_series_are_a_429(sender: Sender, sent: Sent, settings: LazySettings) -> None:
    settings.VIGIL_CARDINALITY_MAX = 0
    refused = sender.send(sent)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")


@each
def test_too_many_requests_are_a_429(sender: Sender, sent: Sent, settings: LazySettings) -> None:
    settings.VIGIL_INGEST_REQUESTS_PER_MINUTE = 1
    empty = Sent(**{**sent.__dict__, "body": lambda: b""})
    assert [sender.send(empty).status_code for _ in range(11)][-1] == 429


@each
def test_too_many_values_are_a_413(sender: Sender, sent: Sent, settings: LazySettings) -> None:
    settings.VIGIL_BATCH_MAX = 0
    assert sender.send(sent).status_code == 413
    settings.VIGIL_BODY_MAX_BYTES = 10
    assert sender.send(sent).status_code == 413


@each
def test_broken_bodies_are_the_clients_fault(sender: Sender, sent: Sent) -> None:
    good = sent.body()
    chance = random.Random(7)
    bodies = [b"", b"\x00", b"{}", b"[", b"null", b"\xff" * 50, good[: len(good) // 2], good + b"\x00\xff"]
    for _ in range(8):
        place = chance.randrange(len(good))
        bodies.append(good[:place] + bytes([chance.randrange(256)]) + good[place + 1 :])
    for body in bodies:
        answer = sender.send(Sent(**{**sent.__dict__, "body": lambda body=body: body}))
        assert answer.status_code < 500, (body, answer.content)
        if answer.headers["Content-Type"] == "application/json" and answer.content:
            assert b"Traceback" not in answer.content
            json.loads(answer.content)


def _encoding(sent: Sent) -> dict[str, str]:
    return {"Content_Encoding": said} if (said := sent.headers.get("Content-Encoding")) else {}
