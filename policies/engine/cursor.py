"""A place in a token list: look at the next token, take it, or fail pointing at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from policies.engine import suggestions, words
from policies.engine.conditions import Condition
from policies.engine.tokens import Kind, SentenceError, Token, scan

EVENT_WORDS = ("event", "events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a condition was read, so that what is wrong with it as a whole can be pointed at."""

    condition: Condition
    start: Token
    fields: Mapping[str, Token]
    """Where each of its fields stands, by the name that it has in JSON."""

    def of(self, field: str) -> Token:
        """The field with this path, or else where the condition begins."""
        last = field.rpartition(".")[2]
        return self.fields.get(field) or self.fields.get(last) or self.start


class Cursor:
    """Moves forward only; words are compared without regard to upper and lower case."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._tokens = scan(sentence)
        self._place = 0
        self._fields: dict[str, Token] = {}
        self._places: list[Place] = []

    @property
    def next(self) -> Token:
        return self._tokens[self._place]

    @property
    def before(self) -> Token:
        """The token taken last; the first one while none was."""
        return self._tokens[max(self._place - 1, 0)]

    def peek(self, places: int) -> Token:
        """The token so many places after the next one; the last one when there are fewer."""
        return self._tokens[min(self._place + places, len(self._tokens) - 1)]

    def word_at(self, places: int, word: str) -> bool:
        token = self.peek(places)
        return token.kind is Kind.WORD and token.text.lower() == word

    def sign_at(self, places: int, sign: str) -> bool:
        token = self.peek(places)
        return token.kind is Kind.SIGN and token.text == sign

    def take(self) -> Token:
        token = self.next
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def is_word(self, word: str) -> bool:
        return self.next.kind is Kind.WORD and self.next.text.lower() == word

    def is_event_word(self) -> bool:
        return any(self.is_word(word) for word in EVENT_WORDS)

    def is_name(self) -> bool:
        plain = self.next.kind is Kind.WORD and self.next.text.lower() not in words.RESERVED
        return plain or self.next.kind is Kind.TEXT

    def skip_word(self, word: str) -> bool:
        if not self.is_word(word):
            return False
        self.take()
        return True

    def skip_sign(self, sign: str) -> bool:
        if self.next.kind is not Kind.SIGN or self.next.text != sign:
            return False
        self.take()
        return True

    def expect_sign(self, sign: str, expected: str, known: tuple[str, ...] = ()) -> None:
        if not self.skip_sign(sign):
            self.fail(expected, known=known)

    def mark(self, field: str) -> None:
        """Remember that this field of the condition being read stands here."""
        self._fields[field] = self.next

    def note(self, condition: Condition, start: Token, fields: Mapping[str, Token]) -> None:
        """Remember where a whole condition was read."""
        self._places.append(Place(condition=condition, start=start, fields=dict(fields)))

    def place_of(self, condition: Condition) -> Place:
        """Where this very condition was read; an equal one may stand elsewhere too."""
        return next(one for one in reversed(self._places) if one.condition is condition)

    def fail(self, expected: str, *, known: tuple[str, ...] = (), at: Token | None = None) -> NoReturn:
        """Stop here, with the known word that a misspelt one resembles."""
        token = self.next if at is None else at
        if token.kind is Kind.UNREADABLE:
            expected = token.text
        near = suggestions.closest(token.text, known) if token.kind is Kind.WORD and known else None
        suggestion = near if near != token.text.lower() else None
        raise SentenceError(sentence=self._sentence, position=token.start, expected=expected, suggestion=suggestion)
