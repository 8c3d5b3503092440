"""What docs/muting.md shows is accepted, and says what the page says it does."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies import documents
from policies.engine import muting
from policies.muting import bodies

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "muting.md").read_text()
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BLOCKS = re.findall(r"^```\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
DOCUMENTS = [json.loads(part) for block in BLOCKS for part in re.split(r"\n\n", block) if part.startswith("{")]
INLINE = [json.loads(text) for text in re.findall(r"`(\{\"[^`]*\})`", PAGE)]
MATCHERS = [text.replace("\\|", "|") for text in re.findall(r"^\| `([^`]+)` \| ", PAGE, flags=re.MULTILINE)]


def test_the_page_has_examples() -> None:
    assert (len(DOCUMENTS), len(INLINE), len(MATCHERS)) == (4, 2, 4)


@pytest.mark.parametrize("text", MATCHERS)
def test_every_matcher_is_read(text: str) -> None:
    assert muting.text(muting.read(text)) == text


def test_every_window_and_rule_is_read() -> None:
    once, weekly, rule, policy = DOCUMENTS
    assert bodies.maintenance(once, at=AT).weekly is None
    assert bodies.maintenance(weekly, at=AT).weekly is not None
    assert bodies.inhibition(rule).equal == ("host",)
    whole = {"name": "a", "target": "web-*", "condition": "cpu > 90", "action": "restart"} | policy
    document = documents.read(whole).document
    assert document.common_cause is not None
    assert documents.from_stored("a", documents.stored(document)) == document


def test_the_silence_of_the_page_is_read() -> None:
    found = re.search(r"-d '(\{\"matchers.*?\})'", PAGE)
    assert found is not None
    assert muting.sentence(bodies.silence(json.loads(found[1]), at=AT).matchers) == (
        "target = web-* and severity != critical"
    )


def test_the_silence_of_an_incident_is_read() -> None:
    assert bodies.silence(INLINE[1], at=AT).ends_at is None


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"common_cause": {"percent": 0}}, "common_cause.percent"),
        ({"common_cause": {"percent": 101}}, "common_cause.percent"),
        ({"common_cause": {"within": "1m"}}, "common_cause.percent"),
        ({"common_cause": {"percent": 30, "within": "2h"}}, "common_cause.within"),
        ({"group_by": ""}, "group_by"),
        ({"act_in_maintenance": "yes"}, "act_in_maintenance"),
    ],
)
def test_a_policy_that_says_nonsense_about_muting_is_refused(fields: dict[str, object], path: str) -> None:
    whole = {"name": "a", "target": "web-*", "condition": "cpu > 90", "action": "restart"} | fields
    with pytest.raises(documents.UnableToReadPolicy) as caught:
        documents.read(whole)
    assert caught.value.errors[0].path == path
