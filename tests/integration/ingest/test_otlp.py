import gzip
import json
import time
from typing import Any

import pytest

from tests.integration.ingest import sender as senders
from tests.integration.ingest.sender import SENT, Sender
from tests.unit.metrics import wire_out as out

pytestmark = pytest.mark.django_db

JSON, PROTOBUF = "application/json", "application/x-protobuf"
PATH = "otlp/v1/metrics"


def _request(*names: str) -> dict[str, Any]:
    point = {"timeUnixNano": str(time.time_ns()), "asInt": "3"}
    metrics = [{"name": name, "gauge": {"dataPoints": [point]}} for name in names]
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}


def test_success_is_an_empty_response_in_the_form_that_was_sent(sender: Sender) -> None:
    for name, content in (("OTLP as JSON", b"{}"), ("OTLP as protobuf", b"")):
        answer = sender.send(SENT[name])
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["Content-Type"] == SENT[name].content_type


def test_gzip_is_taken(sender: Sender) -> None:
    sent = SENT["OTLP as protobuf"]
    assert sender.post(PATH, gzip.compress(sent.body()), PROTOBUF, Content_Encoding="gzip").status_code == 200
    assert senders.stored() == [("cpu_usage", {"host": "web-01"}, 87.5)]


def test_values_that_are_refused_are_a_partial_success(sender: Sender) -> None:
    answer = sender.post(PATH, json.dumps(_request("cpu", "")).encode(), JSON)
    assert answer.status_code == 200
    told = json.loads(answer.content)["partialSuccess"]
    assert told == {"rejectedDataPoints": "1", "errorMessage": "Not stored: [1].name: must not be blank."}
    assert [name for name, _, _ in senders.stored()] == ["cpu"]


def test_a_partial_success_as_a_protocol_buffer(sender: Sender) -> None:
    gauge = out.some(5, out.some(1, out.double(4, 1.0)))
    metrics = [out.some(2, out.some(1, name) + gauge) for name in ("cpu", "")]
    answer = sender.post(PATH, out.some(1, out.some(2, b"".join(metrics))), PROTOBUF)
    partial = out.whole(1, 1) + out.some(2, "Not stored: [1].name: must not be blank.")
    assert (answer.status_code, answer.content) == (200, out.some(1, partial))


def test_nothing_but_bad_values_is_a_400(sender: Sender) -> None:
    answer = sender.post(PATH, json.dumps(_request("")).encode(), JSON)
    assert answer.status_code == 400
    assert "must not be blank" in json.loads(answer.content)["message"]


def test_a_refusal_is_a_status_in_the_form_that_was_sent(sender: Sender) -> None:
    answer = sender.post(PATH, b"\x0b", PROTOBUF)
    detail = "The body is not the protocol buffer it should be: it holds the wire type 3."
    assert (answer.status_code, answer.content) == (400, out.whole(1, 3) + out.some(2, detail))
    assert answer.headers["Content-Type"] == PROTOBUF
