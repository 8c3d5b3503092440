"""The simulated remediator's judgement: which calls it takes, and what it answers. HTTP is in `remediator`.

It keeps the strict contract: it verifies the signature, answers a repeated key with the same answer, refuses an old
fence and a passed deadline, and tells what became of a key. What it remembers lasts as long as its process, like the
fleet it acts on.
"""

import json
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from standardwebhooks import Webhook, WebhookVerificationError

from simulator import cures
from simulator.configuration import Chaos
from simulator.world import World

SILENCE_SECONDS = 15.0
"""Longer than Vigil waits for an answer (12 s)."""
SLOW_ACTIONS: Mapping[str, timedelta] = {"snapshot": timedelta(seconds=1)}
"""Answered with 202 and done in the background, as a real snapshot would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer; with `silence` the caller is left waiting and then hung up on."""

    status: int
    body: Mapping[str, object]
    silence: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A call, read and found sound."""

    key: str
    asked: Mapping[str, object]
    """The body without what may differ between attempts."""
    action_id: int
    action: str
    target: str
    params: Mapping[str, object]
    attempt: int
    deadline: datetime | None
    fence: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is remembered of a key."""

    task: Task
    state: Literal["running", "done", "failed"]
    body: Mapping[str, object]
    done_at: datetime


class Refused(Exception):
    """A call that is not taken, and the answer that says why."""

    def __init__(self, *, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def reply(self) -> Reply:
        return Reply(status=self.status, body={"status": "failed", "code": self.code, "message": self.message})


@dataclass(slots=True, kw_only=True)
class Desk:
    """Takes calls for one world. Thread safe."""

    world: World
    secret: str = field(default="", repr=False)
    """"" verifies nothing; two secrets separated by a space are both good."""
    chaos: Chaos = field(default_factory=Chaos)
    seed: int = 0
    slow_actions: Mapping[str, timedelta] = field(default_factory=lambda: SLOW_ACTIONS)
    _runs: dict[str, Run] = field(default_factory=dict, init=False)
    _fences: dict[str, int] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def verify(self, *, headers: Mapping[str, str], body: bytes) -> None:
        """Raises Refused unless the body, and the key it comes with, carry a good signature."""
        if not self.secret:
            return
        if not any(_signed(part, headers, body) for part in self.secret.split()):
            raise Refused(
                status=401, code="bad_signature", message="The signature does not match; compare the secrets."
            )
        # Headers are not signed, but the message id is, and it begins with the key.
        if not headers.get("webhook-id", "").startswith(headers.get("idempotency-key", "")):
            raise Refused(status=401, code="bad_signature", message="The signed message id is that of another key.")

    def take(self, *, headers: Mapping[str, str], body: bytes, at: datetime) -> Reply:
        """Answer one POST. Header names in lower case."""
        try:
            self.verify(headers=headers, body=body)
            task = read_task(headers=headers, body=body)
            with self._lock:
                return self._known(task, at) or self._carry_out(task, at)
        except Refused as refused:
            return refused.reply()

    def run(self, *, key: str, at: datetime) -> Reply:
        """Answer GET runs/{key}."""
        with self._lock:
            run = self._settle(key, at)
        if run is None:
            return Reply(status=404, body={"status": "not_found", "key": key, "message": "This key did nothing here."})
        return Reply(status=200, body={**run.body, "status": run.state, "run_id": key})

    def settle(self, *, at: datetime) -> None:
        """Finish the background runs that are due by `at`."""
        with self._lock:
            for key in [key for key, run in self._runs.items() if run.state == "running"]:
                self._settle(key, at)

    def _known(self, task: Task, at: datetime) -> Reply | None:
        run = self._settle(task.key, at)
        if run is None:
            return None
        if run.task.asked != task.asked:
            raise Refused(status=422, code="key_reused", message="This key was used for another call.")
        if run.state == "running":
            return _accepted(task)
        # What failed may be tried anew, but the very same attempt gets the very same answer.
        if run.state == "failed" and task.attempt > run.task.attempt:
            return None
        return Reply(status=200, body=run.body)

    def _carry_out(self, task: Task, at: datetime) -> Reply:
        self._check_deadline(task, at)
        if task.action not in cures.CURES:
            raise Refused(status=422, code="unknown_action", message=cures.unknown(task.action))
        self._raise_fence(task)
        trouble = self.chaos.pick(_roll(self.seed, task.key, task.attempt))
        if trouble == "failure":
            raise Refused(status=503, code="chaos", message="The simulated remediator fails on purpose; try again.")
        slow = self.slow_actions.get(task.action)
        if slow is not None:
            return self._begin(task, at + slow)
        reply = Reply(status=200, body=self._act(task, at).body)
        # The worst case: it was done, and nobody was told.
        return Reply(status=reply.status, body=reply.body, silence=True) if trouble == "timeout" else reply

    def _begin(self, task: Task, done_at: datetime) -> Reply:
        self._runs[task.key] = Run(task=task, state="running", body=_echo(task), done_at=done_at)
        return _accepted(task)

    def _settle(self, key: str, at: datetime) -> Run | None:
        run = self._runs.get(key)
        if run is not None and run.state == "running" and run.done_at <= at:
            return self._act(run.task, at)
        return run

    def _act(self, task: Task, at: datetime) -> Run:
        effect = self.world.apply(action=task.action, target=task.target, params=task.params, at=at)
        body = _echo(task) | {"status": "success" if effect.ok else "failed", "message": effect.message}
        run = Run(task=task, state="done" if effect.ok else "failed", body=body, done_at=at)
        self._runs[task.key] = run
        return run

    def _check_deadline(self, task: Task, at: datetime) -> None:
        if task.deadline is not None and task.deadline <= at:
            raise Refused(status=409, code="deadline_passed", message=f"The deadline {task.deadline} has passed.")

    def _raise_fence(self, task: Task) -> None:
        highest = self._fences.get(task.target, 0)
        if task.fence is not None and task.fence < highest:
            message = f"Fence {task.fence} is older than {highest}, already seen for {task.target}."
            raise Refused(status=409, code="stale_fence", message=message)
        self._fences[task.target] = max(highest, task.fence or 0)


def read_task(*, headers: Mapping[str, str], body: bytes) -> Task:
    """The call in a POST; Refused says what is missing."""
    asked = _object(body)
    key = headers.get("idempotency-key", "")
    if not key:
        raise Refused(status=400, code="no_key", message="An Idempotency-Key header is needed.")
    attempt = asked.pop("attempt", 1)
    return Task(
        key=key,
        asked=asked,
        action_id=_number(asked, "action_id"),
        action=_text(asked, "action"),
        target=_text(asked, "target"),
        params=_params(asked),
        attempt=attempt if isinstance(attempt, int) else 1,
        deadline=_moment(headers.get("vigil-deadline", "") or str(asked.get("deadline") or "")),
        fence=_fence(headers.get("vigil-fence", "")),
    )


def _signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    # Written with whsec_ a secret is base64; any other is taken as it is.
    webhook = Webhook(secret if secret.startswith("whsec_") else secret.encode())
    try:
        webhook.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True


def _object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refused(status=400, code="bad_json", message=f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused(status=400, code="bad_json", message="The body is to be a JSON object.")
    return value


def _text(asked: Mapping[str, object], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(status=422, code="invalid", message=f"{name} is to be a text.")
    return value


def _number(asked: Mapping[str, object], name: str) -> int:
    value = asked.get(name)
    if not isinstance(value, int):
        raise Refused(status=422, code="invalid", message=f"{name} is to be a whole number.")
    return value


def _params(asked: Mapping[str, object]) -> Mapping[str, object]:
    params = asked.get("params", {})
    if not isinstance(params, dict):
        raise Refused(status=422, code="invalid", message="params is to be an object.")
    return params


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(status=422, code="invalid", message=f"The deadline {text!r} is not a time.") from error
    if moment.tzinfo is None:
        raise Refused(status=422, code="invalid", message=f"The deadline {text!r} needs a time zone.")
    return moment


def _fence(text: str) -> int | None:
    token = text.rpartition(";")[2].strip()
    if not text:
        return None
    if not token.isdigit():
        raise Refused(status=400, code="bad_fence", message="Vigil-Fence is to be <target>;<token>.")
    return int(token)


def _echo(task: Task) -> dict[str, object]:
    return {"action_id": task.action_id, "key": task.key, "target": task.target, "action": task.action}


def _accepted(task: Task) -> Reply:
    return Reply(status=202, body=_echo(task) | {"status": "running", "run_id": task.key})


def _roll(seed: int, key: str, attempt: int) -> float:
    """A number in [0, 100) that is new for every attempt, and the same when the story is played again."""
    return zlib.crc32(f"{seed}/{key}/{attempt}".encode()) / 0x100000000 * 100
