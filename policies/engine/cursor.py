"""A place in a token list: look at the next token, take it, or fail pointing at it."""

from typing import NoReturn

from policies.engine import suggestions, words
from policies.engine.tokens import Kind, SentenceError, Token, scan

EVENT_WORDS = ("event", "events")


class Cursor:
    """Moves forward only; words are compared without regard to upper and lower case."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._tokens = scan(sentence)
        self._place = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._place]

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

    def fail(self, expected: str, *, known: tuple[str, ...] = (), at: Token | None = None) -> NoReturn:
        """Stop here, with the known word that a misspelt one resembles."""
        token = self.next if at is None else at
        near = suggestions.closest(token.text, known) if token.kind is Kind.WORD and known else None
        suggestion = near if near != token.text.lower() else None
        raise SentenceError(sentence=self._sentence, position=token.start, expected=expected, suggestion=suggestion)
