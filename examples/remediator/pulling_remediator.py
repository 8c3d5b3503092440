"""A remediator behind a firewall: fetches tasks from Vigil (VIGIL_URL, VIGIL_KEY), carries them out and reports."""

import argparse
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any


def restart(target: str, parameters: dict[str, Any]) -> None:
    """Do it here; raise when it fails."""
    print("restart", target, parameters, flush=True)


ACTIONS: dict[str, Callable[[str, dict[str, Any]], None]] = {"restart": restart, "restart-service": restart}


def call(path: str, body: object = None) -> Any:
    """One request to Vigil: GET without a body, POST with one."""
    url, data = os.environ["VIGIL_URL"].rstrip("/") + path, None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {os.environ['VIGIL_KEY']}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310  the operator's own URL
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  the same
        return json.load(answer)


def carry_out(task: dict[str, Any], remediator_id: str) -> dict[str, Any]:
    """Do one task, once; what to report of it."""
    begun, status, error, act = time.time(), "success", "", ACTIONS.get(task["action"])
    try:
        if act is None:
            raise RuntimeError(f"{task['action']} is not done here.")
        act(task["resource"], task["parameters"])
    except Exception as trouble:
        status, error = "failed", str(trouble)
    result = {name: task[name] for name in ("resource", "namespace", "action")}
    result |= {"task_id": task["id"], "status": status, "error_message": error, "details": {}}
    result |= {"timestamp": int(time.time()), "duration": int((time.time() - begun) * 1000)}
    return result | {"remediator_id": remediator_id, "remediator_version": "1.0.0"}


def report(result: dict[str, Any]) -> None:
    """Report until Vigil has it: the same result again changes nothing. A refusal is final, an outage is not."""
    for wait in (1, 2, 4, 8, 16, 30, 30, 30, 0):
        try:
            call("/remediator/results", result)
            return
        except OSError as trouble:
            print(f"not reported: {trouble}", flush=True)
            refused = isinstance(trouble, urllib.error.HTTPError) and trouble.code < 500
            if refused and "Retry-After" not in trouble.headers:  # type: ignore[attr-defined]
                return
        time.sleep(wait)


def main() -> None:
    """Fetch, do, report, for ever. One task at a time: what is fetched counts as begun."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id", required=True, help="names this process in Vigil")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two questions when there is no task")
    options = parser.parse_args()
    while True:
        try:
            tasks = call(f"/remediator/tasks?limit=1&remediator_id={options.id}")["tasks"]
        except OSError as trouble:
            print(f"nothing fetched: {trouble}", flush=True)
            tasks = []
        for task in tasks:
            report(carry_out(task, options.id))
        if not tasks:
            time.sleep(options.every)


if __name__ == "__main__":
    main()
