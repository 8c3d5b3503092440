"""The phrases of a sentence: names, numbers, durations, tag matchers, and the numbers of metrics they make up."""

import math
from dataclasses import replace
from datetime import timedelta

from policies.engine import aggregates, durations, habits, rules, tagforms, tags, words
from policies.engine.conditions import Across, Band, Measure
from policies.engine.cursor import Cursor
from policies.engine.tags import TagMatcher, TagOperator
from policies.engine.tokens import Kind, Token

_ACROSS = tuple(across for across in Across if across.is_number)
_QUANTILE = "quantile"
_DEEPEST = 2


class Phrases(Cursor):
    """Each method reads one phrase that begins at the next token, or fails pointing at what is wrong with it."""

    def name(self, expected: str) -> str:
        token = self.next
        if not self.is_name():
            digits = "; a name that begins with a digit goes in double quotes" if token.kind is Kind.DURATION else ""
            self.fail(f"expected {expected}{digits}")
        problem = rules.name_problem(token.text)
        if problem is not None:
            self.fail(f"the name {problem}")
        return self.take().text

    def number(self) -> float:
        token = self.next
        if token.kind is Kind.DURATION:
            joined = token.text.lstrip("+-.0123456789").lower() in words.RESERVED
            self.fail("a space is missing behind the number" if joined else "expected a plain number, without a unit")
        if token.kind is not Kind.NUMBER:
            self.fail("expected a number")
        number = float(token.text)
        if not math.isfinite(number):
            self.fail("this number is too large")
        self.take()
        return number

    def band(self, high: str) -> Band:
        """Two numbers; the second one is the field `high`."""
        low = self.number()
        self.expect_sign("..", "expected `..` and the upper end, as in 10..90")
        self.mark(high)
        return Band(low=low, high=self.number())

    def hold(self) -> timedelta:
        self.mark("for")
        return self.duration("for")

    def duration(self, word: str) -> timedelta:
        """The length after this word, which comes next."""
        self.take()
        return self.length(f"expected a duration after `{word}`, such as 30s, 5m, 2h or 1d")

    def length(self, expected: str) -> timedelta:
        token = self.next
        if token.kind not in (Kind.DURATION, Kind.NUMBER):
            self.fail(expected)
        unit = self.peek(1)
        if token.kind is Kind.NUMBER and unit.kind is Kind.WORD and durations.is_unit(unit.text):
            self.fail(durations.advice(token.text + unit.text))
        try:
            length = durations.parse(token.text)
        except ValueError as error:
            self.fail(str(error))
        self.take()
        return length

    def value(self) -> Measure:
        """A metric, or a function of one."""
        if self.is_function():
            return self.function()
        metric, matchers = self.selector("the name of a metric")
        return Measure(metric=metric, tags=matchers)

    def function(self) -> Measure:
        """`avg(cpu_percent, 5m)` looks along time, `avg(cpu_percent)` across the series, and they nest."""
        return self._function(depth=1)

    def is_function(self) -> bool:
        """Does a function come next? A word and a bracket, also as Prometheus writes it: `sum by (zone) (errors)`."""
        if self.next.kind is not Kind.WORD:
            return False
        if self.sign_at(1, "("):
            return True
        grouped = self.word_at(1, "by") and (self.sign_at(2, "(") or self.sign_at(3, "("))
        return grouped and self.next.text.lower() in _ACROSS

    def _function(self, *, depth: int) -> Measure:
        name = self.take()
        before = self._by() if self.is_word("by") else None
        self.expect_sign("(", "expected `(`")
        instead = habits.instead_of_function(name.text)
        if instead is not None:
            self.fail(instead, at=name)
        measure = self._quantile() if name.text.lower() == _QUANTILE else self._inside(name, depth)
        within = self._by() if self.is_word("by") else None
        self.expect_sign(")", "expected `)`")
        after = self._by() if self.is_word("by") else None
        said = [by for by in (before, within, after) if by is not None]
        if len(said) > 1:
            self.fail("`by` is said twice", at=name)
        return replace(measure, by=said[0]) if said else measure

    def _inside(self, name: Token, depth: int) -> Measure:
        inner, is_selector = self._argument(depth)
        windowed = is_selector and self.skip_sign(",")
        return self._window(name, inner) if windowed else self._across(name, inner)

    def _argument(self, depth: int) -> tuple[Measure, bool]:
        if self.is_function():
            if depth == _DEEPEST:
                self.fail("expected a metric; nothing goes deeper than `sum(rate(errors, 5m))`")
            inner = self._function(depth=depth + 1)
            if inner.across.is_number:
                self.fail(f"`{inner.across}(...)` is one number already; nothing goes around it")
            return inner, False
        metric, matchers = self.selector("the name of a metric")
        return Measure(metric=metric, tags=matchers), True

    def _quantile(self) -> Measure:
        share = self.next
        name = aggregates.quantile_name(share.text) if share.kind is Kind.NUMBER else None
        if name is None:
            self.fail("expected a share between 0 and 1, as in `quantile(0.97, latency_ms, 5m)`")
        self.take()
        self.expect_sign(",", "expected `,` and a metric")
        metric, matchers = self.selector("the name of a metric")
        self.expect_sign(",", "expected `,` and a window such as 5m")
        window = self.length("expected a window such as 5m")
        return Measure(metric=metric, tags=matchers, aggregate=name, window=window)

    def _by(self) -> tuple[str, ...]:
        self.mark("by")
        self.take()
        return self.names()

    def names(self) -> tuple[str, ...]:
        """Names of tags with commas between them, in brackets or not."""
        bracket = self.skip_sign("(")
        found = [self.name("the name of a tag")]
        while self.skip_sign(","):
            found.append(self.name("the name of a tag"))
        if bracket:
            self.expect_sign(")", "expected `,` or `)`")
        return tuple(found)

    def _window(self, name: Token, inner: Measure) -> Measure:
        aggregate = name.text.lower()
        if not aggregates.known(aggregate):
            self.fail(f"expected an aggregate: {', '.join(aggregates.names())}", known=aggregates.names(), at=name)
        return replace(inner, aggregate=aggregate, window=self.length("expected a window such as 5m"))

    def _across(self, name: Token, inner: Measure) -> Measure:
        across = name.text.lower()
        if across not in _ACROSS:
            if aggregates.known(across) and inner.aggregate is None:
                self.fail(f"expected a window: `{name.text}(..., 5m)`")
            self.fail(f"expected one of {', '.join(_ACROSS)}", known=(*_ACROSS, *aggregates.names()), at=name)
        return replace(inner, across=Across(across))

    def selector(self, expected: str) -> tuple[str, tuple[TagMatcher, ...]]:
        name = self.name(expected)
        return name, self.matchers()

    def matchers(self) -> tuple[TagMatcher, ...]:
        """What stands in curly brackets, if they come next."""
        if not self.skip_sign("{"):
            return ()
        start = self.next
        matchers = [self._matcher()]
        while self.skip_sign(","):
            matchers.append(self._matcher())
        self.expect_sign("}", "expected `,` or `}`")
        if len(matchers) > rules.MOST_TAGS:
            self.fail(f"at most {rules.MOST_TAGS} demands on tags", at=start)
        return tagforms.grouped(matchers)

    def _matcher(self) -> TagMatcher:
        name = self.name("the name of a tag")
        sign = self.next
        if sign.kind is not Kind.SIGN or sign.text not in (*TagOperator, "=="):
            self.fail("expected =, !=, =~ or !~")
        self.take()
        pattern = self.next
        if pattern.kind is not Kind.TEXT:
            self.fail('expected a pattern in double quotes, as in "us-*"')
        self.take()
        operator = TagOperator.IS if sign.text == "==" else TagOperator(sign.text)
        matcher = TagMatcher(name=name, operator=operator, pattern=pattern.text)
        problem = tags.problem(matcher)
        if problem is not None:
            self.fail(problem, at=pattern)
        return matcher
