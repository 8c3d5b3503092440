"""The reference page of conditions: every example on it is true."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from policies.engine import aggregates, language, parser
from policies.engine.language import SentenceError
from policies.engine.words import RESERVED

PAGE = (Path(__file__).parents[3] / "docs" / "conditions.md").read_text()


def blocks() -> Iterator[tuple[str, str, str]]:
    """Each fenced block: its kind, its text, and what stands between it and the next one."""
    opened, *rest = PAGE.split("```")
    fenced = zip(rest[::2], rest[1::2], strict=True)
    for inside, after in fenced:
        kind, _, text = inside.partition("\n")
        yield kind, text.strip(), after.strip()
    assert opened


def lines(kind: str) -> list[str]:
    return [line for found, text, _ in blocks() if found == kind for line in text.splitlines()]


def inline() -> list[str]:
    """Whole conditions in tables and running text: what has a comparison or begins like a sentence."""
    prose = "".join(PAGE.split("```")[::2]).partition("## Limits and mistakes")[0]
    quoted = re.findall(r"`([^`\n]+)`", prose)
    return [text for text in quoted if re.search(r"[a-z)] (?:[<>]=?|[=!]=|outside) ?[0-9]|^no [a-z]", text)]


def pairs() -> list[tuple[str, str]]:
    return [
        (one[1], other[1])
        for one, other in pairwise(blocks())
        if (one[0], one[2], other[0]) == ("json", "", "sentence")
    ]


@pytest.mark.parametrize("sentence", lines("sentence"))
def test_every_sentence_parses_and_reads_back(sentence: str) -> None:
    tree = language.parse(sentence)
    assert language.parse(language.to_sentence(tree)) == tree


@pytest.mark.parametrize(("document", "sentence"), pairs())
def test_json_and_its_sentence_are_the_same_condition(document: str, sentence: str) -> None:
    tree = language.from_json(json.loads(document))
    assert language.parse(sentence) == tree
    assert language.to_sentence(tree) == sentence
    assert language.to_json(tree) == json.loads(document)


def test_every_json_block_has_its_sentence() -> None:
    assert len(pairs()) == sum(kind == "json" for kind, _, _ in blocks()) >= 18


@pytest.mark.parametrize("sentence", lines("refused"))
def test_every_refused_sentence_is_refused(sentence: str) -> None:
    with pytest.raises(SentenceError):
        language.parse(sentence)


def test_the_printed_mistake_is_what_vigil_says() -> None:
    (shown,) = [text for kind, text, _ in blocks() if kind == "text"]
    sentence, _, message = shown.split("\n")
    with pytest.raises(SentenceError) as caught:
        language.parse(sentence)
    assert f"{caught.value.pointed()}\n{caught.value}" == shown
    assert message == str(caught.value)


def mistakes() -> list[tuple[str, str]]:
    """The rows of the tables of mistakes: what was typed, and the message."""
    tables = [rest.partition("\n\n")[0] for rest in PAGE.split("| typed | told |\n|---|---|\n")[1:]]
    rows = [row for table in tables for row in table.splitlines()]
    return [(row.split("` | ")[0].removeprefix("| `"), row.split("` | ", 1)[1][:-2]) for row in rows]


@pytest.mark.parametrize(("typed", "told"), mistakes())
def test_every_mistake_in_the_table_gets_the_printed_message(typed: str, told: str) -> None:
    with pytest.raises(SentenceError) as caught:
        language.parse(typed)
    assert str(caught.value) == told


def test_there_are_ten_mistakes_and_nine_habits() -> None:
    assert len(mistakes()) == 10 + 9


def test_the_grammar_is_the_one_the_parser_is_written_by() -> None:
    (shown,) = [text for kind, text, _ in blocks() if kind == "ebnf"]
    assert parser.__doc__ is not None
    assert shown == parser.__doc__.partition("\n\n")[2].strip()


@pytest.mark.parametrize("sentence", inline())
def test_every_condition_in_running_text_and_tables_parses(sentence: str) -> None:
    assert language.parse(sentence)


@pytest.mark.parametrize("word", [*language.TYPES, *sorted(RESERVED)])
def test_every_type_and_reserved_word_is_on_the_page(word: str) -> None:
    assert f"`{word}`" in PAGE or f'"{word}"' in PAGE


@pytest.mark.parametrize("name", [name for name in aggregates.names() if not name.startswith("p")])
def test_every_aggregate_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE
