import struct
from typing import Any

import pytest
from django.http import HttpResponse

from tests.integration.ingest import sender as senders
from tests.integration.ingest.sender import Sender, now_ms
from tests.unit.metrics import wire_out as out

pytestmark = pytest.mark.django_db

ONE = "application/x-protobuf"
TWO = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
CPU = {"__name__": "cpu_usage", "host": "web-01"}
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0002))[0]


def _write(sender: Sender, message: bytes, content_type: str = ONE, **headers: str) -> HttpResponse:
    return sender.post("prometheus", out.snappy(message), content_type, Content_Encoding="snappy", **headers)


def _written(answer: HttpResponse) -> Any:
    return answer.headers["X-Prometheus-Remote-Write-Samples-Written"]


def test_samples_out_of_order_are_stored_and_the_newest_stays_the_newest(sender: Sender) -> None:
    now = now_ms()
    answer = _write(sender, out.series(CPU, (1, now), (2, now - 30_000)) + out.series(CPU, (3, now - 60_000)))
    assert (answer.status_code, answer.content) == (204, b"")
    assert [value for _, _, value in senders.stored()] == [1, 2, 3]


def test_a_stale_marker_is_no_data_and_no_error(sender: Sender) -> None:
    answer = _write(sender, out.request_two([(CPU, [(STALE, now_ms())])]), TWO)
    assert (answer.status_code, senders.stored(), _written(answer)) == (204, [], "1")


def test_bad_samples_are_a_400_and_the_others_are_stored(sender: Sender) -> None:
    now = now_ms()
    many = [(CPU, [(1.0, now)]), ({"__name__": "up", "note": "x\ny"}, [(1.0, now)])]
    answer = _write(sender, out.request_two(many), TWO)
    assert (answer.status_code, _written(answer)) == (400, "1")
    assert b"1 samples were not stored: [1].tags.note: must not hold control characters." in answer.content
    assert senders.stored() == [("cpu_usage", {"host": "web-01"}, 1.0)]


def test_nothing_but_bad_samples_is_a_400_too(sender: Sender) -> None:
    answer = _write(sender, out.series({"host": "a"}, (1, now_ms())))
    assert (answer.status_code, senders.stored()) == (400, [])
    assert b"has no __name__" in answer.content


def test_a_block_that_claims_gigabytes_is_a_413(sender: Sender) -> None:
    answer = sender.post("prometheus", b"\x80\x80\x80\x80\x0a" + b"x" * 42, ONE, Content_Encoding="snappy")
    assert answer.status_code == 413


def test_an_unknown_message_is_a_415_that_names_the_known(sender: Sender) -> None:
    answer = _write(sender, b"", "application/x-protobuf;proto=io.prometheus.write.v3.Request")
    assert answer.status_code == 415
    assert b"io.prometheus.write.v2.Request" in answer.content


def test_what_a_client_accepts_does_not_matter(sender: Sender) -> None:
    answer = _write(sender, out.series(CPU, (1, now_ms())), Accept="application/x-protobuf")
    assert answer.status_code == 204


def test_an_empty_request_is_no_error(sender: Sender) -> None:
    assert _write(sender, b"").status_code == 204
