"""docs/remediator-openapi.yaml is valid, and says what Vigil sends and what the reference remediator answers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
import yaml
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from actions.api.bodies import ResultBody
from actions.remediators import answers, base, http, payload
from examples.remediator import reference_remediator as r
from tests.contracts import repository
from tests.contracts.remediator import reference
from tests.contracts.remediator.test_reference_remediator import call
from vigil.kernel import clock

DOCUMENT: Any = yaml.safe_load((repository.ROOT / "docs" / "remediator-openapi.yaml").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
PARAMETERS = DOCUMENT["components"]["parameters"]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    remediator = r.Remediator(
        actions=r.load_actions(""), memory=r.Memory(str(tmp_path / "m.sqlite3")), secret=reference.SECRET, cap=3
    )
    with reference.served(remediator) as found:
        yield found


def post(url: str, one: base.Call, *, secret: str = reference.SECRET) -> requests.Response:
    body = json.dumps(payload.of(one)).encode()
    return requests.post(url, data=body, headers=http.call_headers(one, body=body, secret=secret), timeout=10)


def ask(url: str, key: str, *, secret: str = reference.SECRET) -> requests.Response:
    headers = http.ask_headers(key, at=clock.now(), secret=secret)
    return requests.get(http.ask_url(url, uid=key), headers=headers, timeout=10)


def cancel(url: str, key: str, *, secret: str = reference.SECRET) -> requests.Response:
    headers = http.ask_headers(key, at=clock.now(), secret=secret, what="cancel")
    return requests.post(http.cancel_url(url, uid=key), headers=headers, timeout=10)


def complaints(path: str, verb: str, answer: requests.Response) -> list[str]:
    """What the document says against an answer."""
    told = DOCUMENT["paths"][path][verb]["responses"]
    if str(answer.status_code) not in told:
        return [f"there is no {answer.status_code}"]
    return _against(told[str(answer.status_code)]["content"]["application/json"]["schema"], answer.json())


def _against(schema: Any, value: object) -> list[str]:
    whole = {**schema, "components": DOCUMENT["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def _named(parameters: list[dict[str, str]]) -> set[str]:
    found = [one if "name" in one else PARAMETERS[one["$ref"].rpartition("/")[2]] for one in parameters]
    return {one["name"] for one in found if one["in"] == "header"}


def test_it_is_valid() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    validate_schema(DOCUMENT)  # type: ignore[no-untyped-call]
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


def test_a_call_is_what_vigil_sends() -> None:
    sent = payload.of(call(uid="a"))
    assert set(sent) == set(SCHEMAS["Call"]["properties"]) == set(SCHEMAS["Call"]["required"])
    assert _against(SCHEMAS["Call"], sent) == []
    assert _against(SCHEMAS["Call"], {**sent, "attempt": 0}) != []


def test_the_headers_are_those_that_vigil_sends() -> None:
    sent = set(http.call_headers(call(uid="a"), body=b"", secret=reference.SECRET)) - {"Content-Type"}
    signature = DOCUMENT["components"]["securitySchemes"]["signature"]["name"]
    assert _named(DOCUMENT["paths"]["/"]["post"]["parameters"]) | {signature} == sent
    asked = set(http.ask_headers("a", at=clock.now(), secret=reference.SECRET))
    assert _named(DOCUMENT["paths"]["/runs/{key}"]["get"]["parameters"]) | {signature} == asked


def test_the_words_are_those_that_vigil_understands() -> None:
    assert set(SCHEMAS["Ended"]["allOf"][2]["properties"]["status"]["enum"]) == answers.SUCCEEDED | answers.FAILED
    assert set(SCHEMAS["Begun"]["allOf"][2]["properties"]["status"]["enum"]) == answers.RUNNING
    run = set(SCHEMAS["Run"]["allOf"][2]["properties"]["status"]["enum"])
    assert run == answers.SUCCEEDED | answers.FAILED | answers.RUNNING | answers.CANCELLED | {"not_found", "done"}
    assert set(SCHEMAS["Report"]["properties"]["status"]["enum"]) == answers.SUCCEEDED | answers.FAILED


def test_a_report_is_what_vigil_takes() -> None:
    taken = msgspec.structs.fields(ResultBody)
    assert {field.name for field in taken} == set(SCHEMAS["Report"]["properties"])
    assert {field.name for field in taken if field.required} == set(SCHEMAS["Report"]["required"])


def test_the_reference_answers_as_it_says(url: str) -> None:
    good = call(uid="a", fence=5)
    told = {
        "done": post(url, good),
        "again": post(url, replace(good, attempt=2)),
        "replayed": post(url, good),
        "another body": post(url, replace(good, attempt=3, reason="other")),
        "stale": post(url, call(uid="b", fence=4)),
        "unknown action": post(url, call(uid="c", kind="fly")),
        "unsigned": post(url, call(uid="d"), secret=""),
        "second": post(url, call(uid="e", fence=6)),
        "third": post(url, call(uid="f", fence=7)),
        "too many": post(url, call(uid="g", fence=8)),
    }
    assert {name: answer.status_code for name, answer in told.items()} == {
        "done": 200,
        "again": 200,
        "replayed": 409,
        "another body": 422,
        "stale": 409,
        "unknown action": 422,
        "unsigned": 401,
        "second": 200,
        "third": 200,
        "too many": 429,
    }
    assert {name: found for name, answer in told.items() if (found := complaints("/", "post", answer))} == {}
    asked = {"done": ask(url, "a"), "not found": ask(url, "z"), "unsigned": ask(url, "a", secret="")}
    assert [answer.status_code for answer in asked.values()] == [200, 404, 401]
    assert {name: found for name, one in asked.items() if (found := complaints("/runs/{key}", "get", one))} == {}


def test_a_long_run_is_answered_as_it_says(tmp_path: Path) -> None:
    remediator = r.Remediator(
        actions=r.load_actions(""),
        memory=r.Memory(str(tmp_path / "m.sqlite3")),
        secret=reference.SECRET,
        answer_within=0.01,
        latency=0.3,
    )
    with reference.served(remediator) as url:
        begun, asked = post(url, call(uid="a")), ask(url, "a")
        answers_ = [cancel(url, "a"), cancel(url, "z"), cancel(url, "a", secret="")]
    assert (begun.status_code, asked.status_code) == (202, 202)
    assert complaints("/", "post", begun) == complaints("/runs/{key}", "get", asked) == []
    assert [one.status_code for one in answers_] == [202, 404, 401]
    assert [complaints("/runs/{key}/cancel", "post", one) for one in answers_] == [[], [], []]
