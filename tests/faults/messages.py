"""Messages that no honest producer puts into the queue."""

import base64
import json
import pickle
import uuid
from functools import cache


def _wrapped(body: object, *, task: str = "actions.run_action", **headers: object) -> bytes:
    """As Celery and kombu would put it on Redis."""
    text = body if isinstance(body, str) else json.dumps(body)
    tag = str(uuid.uuid4())
    return json.dumps(
        {
            "body": base64.b64encode(text.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": headers.pop("content_type", "application/json"),
            "headers": {"lang": "py", "task": task, "id": tag, "root_id": tag, **headers},
            "properties": {
                "correlation_id": tag,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "vigil.actions", "routing_key": "vigil.actions"},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": tag,
            },
        }
    ).encode()


def _call(**kwargs: object) -> list[object]:
    return [[], kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


@cache
def malformed() -> tuple[bytes, ...]:
    """Each kind once."""
    return (
        b"not json at all",
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\x00\xff\xfe",
        b'{"body": "%%%", "headers": {}, "properties": {}}',
        pickle.dumps({"task": "actions.run_action"}),
        _wrapped("neither here nor there"),
        _wrapped(_call(action_id=1), task="actions.no_such_task"),
        _wrapped(_call(action_id=1), content_type="application/x-python-serialize"),
        _wrapped([[1, 2, 3], {}, {}]),
        _wrapped(_call()),
        _wrapped(_call(action_id="1; DROP TABLE actions_action")),
        _wrapped(_call(action_id=-1)),
        _wrapped(_call(action_id=True)),
        _wrapped(_call(action_id=2**70)),
        _wrapped(_call(action_id=1)),  # forged: long over by then
        _wrapped(_call(action_id=1, surprise={"deep": [1] * 1000})),
        _wrapped(_call(action_id=1, padding="x" * 5_000_000)),
    )
