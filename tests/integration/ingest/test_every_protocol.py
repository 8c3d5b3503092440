"""All protocols go in by the same door: what holds for one of them holds for each."""

import gzip
import json
from dataclasses import replace
from functools import partial

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

BOMB = gzip.compress(b"0" * 20_000_000)
"""Twenty kilobytes on the wire."""
each = pytest.mark.parametrize("sent", SENT.values(), ids=SENT.keys())


def _counted(kind: str) -> float:
    value: float = telemetry.ingest_total.labels(kind=kind, outcome="stored")._value.get()
    return value


def _rows() -> int:
    return Sample.objects.count() + Event.objects.count()


@each
def test_what_was_sent_arrives_and_is_judged_at_once(sender: Sender, sent: Sent) -> None:
    cast.policy(condition=sent.condition)
    kind = "event" if sent.event else "metric"
    before = _counted(kind)
    answer = sender.send(sent)
    assert answer.status_code == sent.status, answer.content
    if sent.event:
        assert [(event.name, event.target) for event in Event.objects.all()] == [(sent.event, "web-01")]
    else:
        assert [(name, value) for name, _, value in senders.stored()] == [(sent.metric, sent.value)]
        assert {target for (target,) in Series.objects.values_list("target")} == {"web-01"}
    assert _counted(kind) - before == 1
    assert [incident.target for incident in Incident.objects.all()] == ["web-01"]


@each
def test_it_takes_a_key_for_ingest_that_may_speak_for_the_target(sender: Sender, sent: Sent) -> None:
    assert Client().post(f"/api/v1/ingest/{sent.path}", sent.body(), sent.content_type).status_code == 401
    assert senders.of("read", "control", name="reader").send(sent).status_code == 403
    refused = senders.of(targets=["db-*"], name="db").send(sent)
    assert refused.status_code == 403
    assert b"may not speak for the target" in refused.content
    assert _rows() == 0
    assert senders.of(targets=["web-*"], name="web").send(sent).status_code == sent.status


@each
def test_the_same_request_under_one_idempotency_key_counts_once(sender: Sender, sent: Sent) -> None:
    body = sent.body()
    once = replace(sent, body=lambda: body)
    first = sender.send(once, Idempotency_Key="batch-1")
    kept = _rows()
    again = sender.send(once, Idempotency_Key="batch-1")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert _rows() == kept > 0


@each
def test_what_is_not_taken_is_refused_with_a_sentence(sender: Sender, sent: Sent, settings: LazySettings) -> None:
    encoding = {"Content_Encoding": said} if (said := sent.headers.get("Content-Encoding")) else {}
    refused = sender.post(sent.path, sent.body(), "application/vnd.unheard-of", **encoding)
    assert refused.status_code == 415
    assert b"end" in refused.content
    for unheard_of in ("br", "gzip,gzip"):
        assert sender.send(sent, Content_Encoding=unheard_of).status_code == 415
    bomb = replace(sent, body=lambda: BOMB)
    assert sender.send(bomb, Content_Encoding="gzip").status_code in (413, 415)  # remote write takes snappy alone
    misspelt = f"{sent.path}{'&' if '?' in sent.path else '?'}dry_runn=1"
    assert sender.send(replace(sent, path=misspelt)).status_code == 422
    settings.VIGIL_CARDINALITY_MAX = 0
    if not sent.event:  # events belong to no series
        refused = sender.send(sent)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    settings.VIGIL_BATCH_MAX = 0
    assert sender.send(sent).status_code == 413
    settings.VIGIL_BODY_MAX_BYTES = 5
    assert sender.send(sent).status_code == 413
    assert _rows() == 0


@each
def test_broken_bodies_are_the_clients_fault_and_too_many_are_held_off(
    sender: Sender, sent: Sent, settings: LazySettings
) -> None:
    settings.VIGIL_INGEST_REQUESTS_PER_MINUTE = 1
    good = sent.body()
    bodies = [b"", b"\x00", b"{}", b"[", b"null", b"\xff" * 50, b'{"metrics":{}}', b"[1]", good[: len(good) // 2]]
    for body in bodies:
        answer = sender.send(replace(sent, body=partial(bytes, body)))
        assert answer.status_code < 500, (body, answer.content)
        if answer.headers["Content-Type"] == "application/json" and answer.content:
            json.loads(answer.content)
    statuses = [sender.send(replace(sent, body=lambda: b"")).status_code for _ in range(3)]
    assert statuses[-1] == 429
