import gzip
import json

import pytest
from django.test import Client

from tests.integration.ingest import sender as senders
from tests.integration.ingest.sender import Sender

pytestmark = pytest.mark.django_db

each = pytest.mark.parametrize("path", ["influx/write", "influx/api/v2/write"])
PLAIN = "text/plain; charset=utf-8"


@each
def test_a_good_body_is_answered_with_nothing(sender: Sender, path: str) -> None:
    answer = sender.post(path, b'cpu,host=web-01 usage=1,idle=99i\nlog msg="x"\n', PLAIN)
    assert (answer.status_code, answer.content) == (204, b"")
    tags = {"host": "web-01"}
    assert senders.stored() == [("cpu_usage", tags, 1.0), ("cpu_idle", tags, 99.0)]


@each
def test_a_bad_line_is_a_partial_write(sender: Sender, path: str) -> None:
    answer = sender.post(path, b"cpu value=1\ncpu value=high\n", PLAIN)
    told = json.loads(answer.content)
    said = "partial write: [1].fields: holds a value that is no number, text, true or false. dropped=1"
    assert (answer.status_code, told["error"], told["message"]) == (400, said, said)
    assert len(senders.stored()) == 1


@each
def test_nothing_but_bad_lines_cannot_be_parsed(sender: Sender, path: str) -> None:
    answer = sender.post(path, b"hello\n", PLAIN)
    assert answer.status_code == 400
    assert json.loads(answer.content)["error"].startswith("unable to parse: Nothing was stored")


@each
def test_gzip_is_taken(sender: Sender, path: str) -> None:
    assert sender.post(path, gzip.compress(b"cpu value=1\n"), PLAIN, Content_Encoding="gzip").status_code == 204
    assert len(senders.stored()) == 1


def test_a_key_may_come_as_a_token_here_and_nowhere_else(sender: Sender) -> None:
    client = Client(headers={"Authorization": f"Token {sender.plain}"})
    body, addresses = b'{"name":"a","value":1}', {"influx/api/v2/write": 400, "influx/write": 400, "prometheus": 401}
    for path, status in addresses.items():
        assert client.post(f"/api/v1/ingest/{path}", body, content_type="text/plain").status_code == status


def test_credentials_in_the_address_open_nothing(sender: Sender) -> None:
    path = f"/api/v1/ingest/influx/write?u=agent&p={sender.plain}"
    assert Client().post(path, b"cpu value=1", content_type="text/plain").status_code == 401


@pytest.mark.parametrize("precision", ["years", "", "NS"])
def test_an_unknown_precision_is_refused(sender: Sender, precision: str) -> None:
    answer = sender.post(f"influx/write?precision={precision}", b"cpu value=1", PLAIN)
    assert answer.status_code == 422
    assert "must be one of" in json.loads(answer.content)["error"]
