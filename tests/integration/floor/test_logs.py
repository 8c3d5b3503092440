"""One line for every request and every task, and one request id on both."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from celery.app.task import Context
from celery.signals import before_task_publish, task_postrun, task_prerun
from django.test import Client

from actions.tasks import run_action
from tests.browser import scene
from vigil.access import keys
from vigil.kernel import context
from vigil.telemetry import tasks_story

pytestmark = pytest.mark.django_db

type Lines = list[dict[str, Any]]


class _Kept(logging.Handler):
    """The lines as the log would have them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: Lines = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def log() -> Iterator[Lines]:
    kept, root = _Kept(), logging.getLogger()
    kept.setFormatter(next(one.formatter for one in root.handlers if type(one) is logging.StreamHandler))
    root.addHandler(kept)
    yield kept.lines
    root.removeHandler(kept)


def _key(*scopes: str) -> dict[str, str]:
    _, plain = keys.create(name="agent-1", scopes=scopes, actor="user:ana")
    keys.forget_cache()
    return {"Authorization": f"Bearer {plain}", "X-Request-ID": "req-1"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health", 200),
        ("/ready", 200),
        ("/metrics", 200),
        ("/static/console/console.css", 200),
        ("/api/v1/control", 200),
        ("/api/v1/nothing", 404),
        ("/api/v1/audit?limit=x", 422),
        ("/admin/", 302),
    ],
)
def test_a_request_has_one_line(client: Client, log: Lines, path: str, status: int) -> None:
    answer = client.get(path, headers=_key("read"))
    answer.close()  # one of them is a file
    assert answer.status_code == status
    [line] = [line for line in log if line["logger"] in ("vigil.http", "django.request")]
    assert (line["event"], line["level"], line["status"]) == ("http.request.answered", "info", status)
    assert (line["path"], line["request_id"]) == (path.partition("?")[0], "req-1")


def test_the_line_names_the_key_also_where_it_may_not(client: Client, log: Lines) -> None:
    assert client.get("/api/v1/audit", headers=_key("ingest")).status_code == 403
    assert [line["actor"] for line in log if line["logger"] == "vigil.http"] == ["key:agent-1"]


def test_the_line_of_a_page_names_the_person(client: Client, log: Lines) -> None:
    client.force_login(scene.person("ana", "viewer"), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/admin/").status_code == 200
    assert [line["actor"] for line in log if line["logger"] == "vigil.http"] == ["user:ana"]


def test_a_message_carries_the_request_id() -> None:
    headers: dict[str, Any] = {}
    with context.bind(request_id="req-1"):
        before_task_publish.send("actions.run_action", body=None, headers=headers)
    assert headers == {tasks_story.HEADER: "req-1"}


@pytest.mark.parametrize(
    ("sent", "kept"), [("req-1", "req-1"), (None, "abc1"), ("x\r\n", "abc1"), ("y" * 65, "abc1"), (7, "abc1")]
)
def test_a_task_has_one_line_under_the_id_it_was_sent_with(log: Lines, sent: object, kept: str) -> None:
    run_action.request_stack.push(Context({tasks_story.HEADER: sent}))
    try:
        task_prerun.send(run_action, task_id="abc-1", task=run_action)
        seen = context.request_id()
        task_postrun.send(run_action, task_id="abc-1", task=run_action, state="SUCCESS", kwargs={"action_id": 7})
    finally:
        run_action.request_stack.pop()
    assert seen == kept
    [line] = log
    assert (line["event"], line["request_id"], line["action_id"]) == ("task.run.finished", kept, 7)
    assert context.request_id() == ""
