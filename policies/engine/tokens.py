"""Cut a sentence into words, quoted texts, numbers, durations and signs, each with its place."""

import enum
import string
from collections.abc import Iterator
from dataclasses import dataclass

from policies.engine import words

LONGEST_SENTENCE = 65_536
_SIGNS = ("..", ">=", "<=", "==", "!=", "=~", "!~", ">", "<", "=", "(", ")", "{", "}", ",", "/")
_DIGITS = frozenset(string.digits)
_AROUND = 60
_MEANT = {
    "[": "a window stands in the brackets of an aggregate, as in `avg(cpu_percent, 5m)`",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "*": "there is no arithmetic but one `/` between two metrics; a pattern goes in double quotes",
}


class SentenceError(ValueError):
    """The sentence is no condition: where it stops making sense, what was expected there, and a likely correction."""

    def __init__(self, *, sentence: str, position: int, expected: str, suggestion: str | None = None) -> None:
        self.sentence = sentence
        self.position = position
        """Characters before the place, so 0 is the first one."""
        self.expected = expected
        self.suggestion = suggestion
        hint = f"; did you mean `{suggestion}`?" if suggestion else ""
        super().__init__(f"at character {position + 1}: {expected}{hint}")

    def pointed(self) -> str:
        """Two lines: the sentence around the place, and a caret below it."""
        start = max(0, self.position - _AROUND)
        shown = self.sentence[start : self.position + _AROUND]
        line = "".join(character if character.isprintable() else " " for character in shown)
        return f"{line}\n{' ' * (self.position - start)}^"


class Kind(enum.Enum):
    WORD = "word"
    TEXT = "quoted text"
    NUMBER = "number"
    DURATION = "duration"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    kind: Kind
    text: str
    """For a quoted text, what is inside the quotes."""
    start: int
    end: int


def scan(sentence: str) -> list[Token]:
    """All tokens, the last one of kind END; raises SentenceError at a character that can begin none."""
    if len(sentence) > LONGEST_SENTENCE:
        limit = f"a sentence has at most {LONGEST_SENTENCE} characters"
        raise SentenceError(sentence=sentence, position=LONGEST_SENTENCE, expected=limit)
    return list(_tokens(sentence))


def _tokens(sentence: str) -> Iterator[Token]:
    place = 0
    while place < len(sentence):
        if sentence[place].isspace():
            place += 1
            continue
        token = _token(sentence, place)
        yield token
        place = token.end
    yield Token(kind=Kind.END, text="", start=place, end=place)


def _token(sentence: str, start: int) -> Token:
    first = sentence[start]
    word = words.word_at(sentence, start)
    if word:
        return Token(kind=Kind.WORD, text=word, start=start, end=start + len(word))
    if first == '"':
        return _quoted(sentence, start)
    if _number_begins(sentence, start):
        return _number(sentence, start)
    sign = next((sign for sign in _SIGNS if sentence.startswith(sign, start)), None)
    if sign is None:
        raise SentenceError(sentence=sentence, position=start, expected=_unreadable(first))
    return Token(kind=Kind.SIGN, text=sign, start=start, end=start + len(sign))


def _unreadable(character: str) -> str:
    if character == "%":
        return "write a percentage as a plain number, without `%`"
    if character in "'`\u201c\u201d\u2018\u2019":
        return 'use double quotes: "..."'
    if character in _MEANT:
        return _MEANT[character]
    return f"`{character}` has no meaning here" if character.isprintable() else "a character that cannot be printed"


def _quoted(sentence: str, start: int) -> Token:
    inside: list[str] = []
    place = start + 1
    while place < len(sentence):
        character = sentence[place]
        if character == '"':
            return Token(kind=Kind.TEXT, text="".join(inside), start=start, end=place + 1)
        if character == "\\":
            place += 1
            character = _escaped(sentence, place)
        inside.append(character)
        place += 1
    raise SentenceError(sentence=sentence, position=start, expected="this quote is never closed")


def _escaped(sentence: str, place: int) -> str:
    character = sentence[place : place + 1]
    if character not in ('"', "\\"):
        expected = 'after a backslash comes `"` or another backslash'
        raise SentenceError(sentence=sentence, position=place, expected=expected)
    return character


def _number_begins(sentence: str, start: int) -> bool:
    rest = sentence[start + 1 :][:2] if sentence[start] in "+-" else sentence[start : start + 2]
    return rest[:1] in _DIGITS or (rest[:1] == "." and rest[1:2] in _DIGITS)


def _number(sentence: str, start: int) -> Token:
    """A number, or a duration when letters follow at once, as in `5m`."""
    end = _skip_digits(sentence, start + (sentence[start] in "+-"))
    if sentence[end : end + 1] == "." and sentence[end + 1 : end + 2] in _DIGITS:
        end = _skip_digits(sentence, end + 1)
    end = _skip_exponent(sentence, end)
    if sentence[end : end + 1] not in words.NAME_START:
        return Token(kind=Kind.NUMBER, text=sentence[start:end], start=start, end=end)
    end += len(words.word_at(sentence, end))
    return Token(kind=Kind.DURATION, text=sentence[start:end], start=start, end=end)


def _skip_digits(sentence: str, place: int) -> int:
    while sentence[place : place + 1] in _DIGITS:
        place += 1
    return place


def _skip_exponent(sentence: str, place: int) -> int:
    if sentence[place : place + 1] not in ("e", "E"):
        return place
    digits = place + 1 + (sentence[place + 1 : place + 2] in ("+", "-"))
    end = _skip_digits(sentence, digits)
    return end if end > digits else place
