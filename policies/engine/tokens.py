"""Cut a sentence into words, quoted texts, numbers, durations and signs, each with its place."""

import enum
import string
from collections.abc import Iterator
from dataclasses import dataclass

from policies.engine import habits, words

LONGEST_SENTENCE = 65_536
_SIGNS = ("..", ">=", "<=", "==", "!=", "=~", "!~", ">", "<", "=", "(", ")", "{", "}", ",", "/")
_DIGITS = frozenset(string.digits)
_AROUND = 60


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
    UNREADABLE = "unreadable"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    kind: Kind
    text: str
    """For a quoted text, what is inside the quotes; for what is unreadable, what should stand there."""
    start: int
    end: int


def scan(sentence: str) -> list[Token]:
    """All tokens up to the end, or up to the first that is unreadable: what is wrong before it is to be told first."""
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
        try:
            token = _token(sentence, place)
        except _Unreadable as problem:
            yield Token(kind=Kind.UNREADABLE, text=problem.expected, start=problem.place, end=len(sentence))
            return
        yield token
        place = token.end
    yield Token(kind=Kind.END, text="", start=place, end=place)


class _Unreadable(Exception):
    def __init__(self, *, place: int, expected: str) -> None:
        self.place, self.expected = place, expected
        super().__init__(expected)


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
        raise _Unreadable(place=start, expected=_unreadable(sentence, start))
    return Token(kind=Kind.SIGN, text=sign, start=start, end=start + len(sign))


def _unreadable(sentence: str, place: int) -> str:
    instead = habits.instead_of_character(sentence, place)
    if instead is not None:
        return instead
    character = sentence[place]
    if character.isdecimal():
        return "write numbers with the digits 0 to 9"
    if character.isalpha():
        return f"a name with `{character}` in it goes in double quotes"
    if not character.isprintable():
        return f"an invisible character (U+{ord(character):04X}) stands here: take it out"
    return f"`{character}` has no meaning here"


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
    raise _Unreadable(place=start, expected="this quote is never closed")


def _escaped(sentence: str, place: int) -> str:
    character = sentence[place : place + 1]
    if character not in ('"', "\\"):
        expected = 'after a backslash comes `"` or another backslash'
        raise _Unreadable(place=place, expected=expected)
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
