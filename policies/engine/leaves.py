"""The leaves of a sentence: comparisons, ratios, forecasts, anomalies, queries, silence and events."""

from dataclasses import dataclass, replace
from datetime import timedelta

from policies.engine import habits, rules, suggestions
from policies.engine.conditions import (
    DEFAULT_EVENT_WINDOW,
    DEFAULT_PERIOD,
    DEFAULT_SIGMA,
    DEFAULT_SOURCE,
    SEVERITIES,
    ZERO,
    Absent,
    Across,
    Anomaly,
    Band,
    Compare,
    Comparison,
    Condition,
    Direction,
    EventMatches,
    Forecast,
    Measure,
    Method,
    Outside,
    PromQL,
    Ratio,
    ResolvedBy,
)
from policies.engine.cursor import EVENT_WORDS
from policies.engine.phrases import Phrases
from policies.engine.sentences import SIGNS
from policies.engine.tags import TagMatcher
from policies.engine.tokens import Kind, Token

_COMPARISONS = {sign: comparison for comparison, sign in SIGNS.items()} | {"=": Comparison.EQUALS}
_ANOMALOUS_WORDS = ("anomalous", "anomalously")
_NO_METRICS = ("nan", "inf", "infinity", "null", "none", "true", "false")
_AFTER_METRIC = ("outside", *_ANOMALOUS_WORDS, *EVENT_WORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tail:
    """What may follow a comparison."""

    across: Across | None = None
    recover: float | Band | None = None
    hold_for: timedelta = ZERO


class Leaves(Phrases):
    """Reads one leaf; what is wrong with it as a whole is pointed at where it begins."""

    def leaf(self) -> Condition:
        start, self._fields = self.next, {}
        leaf = self._some_leaf()
        self.note(leaf, start, self._fields)
        problem = next(rules.own_problems(leaf), None)
        if problem is not None:
            self.fail(f"{problem[0]} {problem[1]}", at=self.place_of(leaf).of(problem[0]))
        return leaf

    def _some_leaf(self) -> Condition:
        if self.skip_word("no"):
            return self._absent()
        if self.next.kind is Kind.NUMBER:
            return self._counted_events()
        if self.skip_word("promql"):
            return self._promql()
        if self.is_function():
            return self._comparison(self.function())
        return self._named()

    def _absent(self) -> Condition:
        metric, matchers = self.selector("the name of a metric")
        if not self.is_word("for"):
            self.fail("expected `for` and how long the silence must last, as in `for 2m`", known=("for",))
        return Absent(metric=metric, tags=matchers, silent_for=self.hold())

    def _named(self) -> Condition:
        """What begins with a name: a comparison, or events with or without a severity."""
        first = self.next
        self.mark("event")
        name, matchers = self.selector("a metric such as `cpu_percent`, an event, `no`, `not` or `(`")
        if self.is_event_word():
            return self._events(1, None, name, matchers)
        if self._is_anomaly():
            return self._anomaly(name, matchers)
        if not matchers and self.is_name():
            return self._severe_events(1, first, "expected a comparison such as `> 90`, or `event`")
        return self._comparison(Measure(metric=name, tags=matchers))

    def _counted_events(self) -> Condition:
        self.mark("count")
        number = self.next
        count = self._count()
        if self._is_comparison():
            self.fail("the metric stands on the left and the number on the right, as in `cpu_percent > 90`", at=number)
        first = self.next
        self.mark("event")
        name, matchers = self.selector("the name of an event")
        if not matchers and self.is_name() and not self.is_event_word():
            return self._severe_events(count, first, "expected `event` or `events`")
        return self._events(count, None, name, matchers)

    def _severe_events(self, count: int, first: Token, expected: str) -> Condition:
        """Two names in a row; unless `event` follows, the second is where it went wrong."""
        second = self.next
        self._fields["severity"] = first
        self.mark("event")
        name, matchers = self.selector("the name of an event")
        if not self.is_event_word():
            self._not_two_names(first, second, expected)
        severity = first.text.lower() if first.text.lower() in SEVERITIES else first.text
        return self._events(count, severity, name, matchers)

    def _not_two_names(self, first: Token, second: Token, expected: str) -> None:
        """Fail unless the mistake may stand behind both."""
        opening = habits.instead_of_opening(first.text)
        if opening is not None:
            self.fail(opening, at=first)
        instead = habits.instead_of_comparing(second.text)
        if instead is not None:
            self.fail(instead, at=second)
        if self._is_comparison():
            self.fail(f"one name stands before `{self.next.text}`; one with a space goes in double quotes", at=second)
        if suggestions.closest(second.text, _AFTER_METRIC) is not None or not self.is_name():
            self.fail(expected, known=_AFTER_METRIC, at=second)

    def _events(self, count: int, severity: str | None, name: str, matchers: tuple[TagMatcher, ...]) -> Condition:
        if not self.is_event_word():
            self.fail("expected `event` or `events`", known=EVENT_WORDS)
        self.take()
        if any(self.is_word(word) for word in ("within", "during", "over")):
            self.fail("write `in`, as in `in 5m`")
        return EventMatches(
            event=name,
            severity=severity,
            tags=matchers,
            count=count,
            window=self.duration("in") if self.is_word("in") else DEFAULT_EVENT_WINDOW,
            resolved_by=self._resolving() if self.skip_word("resolved") else None,
            hold_for=self._maybe_hold(),
        )

    def _resolving(self) -> ResolvedBy:
        """`resolved by link_up{port="1"} with same host`; without a name it is the event itself."""
        if not self.skip_word("by"):
            self.fail("expected `by` and an event or its tags, as in `resolved by link_up`", known=("by",))
        expected = 'an event or its tags, as in `resolved by {status="resolved"}`'
        event = None if self.sign_at(0, "{") else self.name(expected)
        matchers = self.matchers()
        same: tuple[str, ...] = ()
        if self.skip_word("with"):
            if not self.skip_word("same"):
                self.fail("expected `same` and the names of tags, as in `with same host`", known=("same",))
            same = self.names()
        return ResolvedBy(event=event, tags=matchers, same=same)

    def _maybe_hold(self) -> timedelta:
        return self.hold() if self.is_word("for") else ZERO

    def _is_anomaly(self) -> bool:
        """`latency anomalous over 1h` is one; `critical anomalous event` is about an event of that name."""
        begins = any(self.is_word(word) for word in _ANOMALOUS_WORDS)
        return begins and not any(self.word_at(1, word) for word in EVENT_WORDS) and not self.sign_at(1, "{")

    def _anomaly(self, metric: str, matchers: tuple[TagMatcher, ...]) -> Anomaly:
        direction = self._direction()
        if not self.is_word("over"):
            self.fail("expected `over` and from how far back to learn what is usual, as in `over 1h`", known=("over",))
        self.mark("window")
        window = self.duration("over")
        method = self._method() if self.skip_word("using") else Method.ROBUST_Z
        seasonal = method is Method.SEASONAL and self.is_word("every")
        self.mark("period")
        return Anomaly(
            metric=metric,
            tags=matchers,
            window=window,
            direction=direction,
            method=method,
            period=self.duration("every") if seasonal else DEFAULT_PERIOD,
            sigma=self._sigma() if self.skip_word("beyond") else DEFAULT_SIGMA,
            hold_for=self._maybe_hold(),
        )

    def _direction(self) -> Direction:
        if self.take().text.lower() == _ANOMALOUS_WORDS[0]:
            return Direction.BOTH
        known = (str(Direction.HIGH), str(Direction.LOW))
        if not any(self.is_word(word) for word in known):
            self.fail("expected `high` or `low`", known=known)
        return Direction(self.take().text.lower())

    def _method(self) -> Method:
        known = tuple(str(method) for method in Method)
        if not any(self.is_word(word) for word in known):
            self.fail(f"expected a method: {', '.join(known)}", known=known)
        return Method(self.take().text.lower())

    def _sigma(self) -> float:
        self.mark("sigma")
        sigma = self.number()
        if not self.skip_word("sigma"):
            self.fail("expected `sigma`, as in `beyond 3 sigma`", known=("sigma",))
        return sigma

    def _promql(self) -> PromQL:
        token = self.next
        problem = rules.query_problem(token.text)
        if token.kind is not Kind.TEXT or problem is not None:
            self.fail("expected the query in double quotes" if token.kind is not Kind.TEXT else f"the query {problem}")
        self.take()
        source = self.name("the name of a server") if self.skip_word("from") else DEFAULT_SOURCE
        return PromQL(query=token.text, source=source, hold_for=self._maybe_hold())

    def _count(self) -> int:
        token = self.take()
        if not (token.text.isascii() and token.text.isdigit()) or len(token.text) > len(str(rules.MOST_EVENTS)):
            self.fail("expected how many events, as a whole number, or the name of a metric", at=token)
        return int(token.text)

    def _comparison(self, measure: Measure) -> Condition:
        under = self._side("under") if self.skip_sign("/") else None
        if under is None and self.skip_word("outside"):
            return self._outside(measure)
        sign = self.next
        comparison = self._sign()
        if self.is_name() and self.next.text.lower() not in _NO_METRICS:
            self.fail("expected a number; to compare two metrics divide them, as in `errors / requests > 1`")
        threshold = self.number()
        if self.is_word("within"):
            return self._forecast(measure, under, comparison, threshold, sign)
        tail = self._tail(_Tail(), is_band=False)
        recover = None if isinstance(tail.recover, Band) else tail.recover
        if under is not None:
            return Ratio(
                over=measure,
                under=under,
                comparison=comparison,
                threshold=threshold,
                recover=recover,
                across=tail.across or Across.ANY,
                hold_for=tail.hold_for,
            )
        return Compare(
            measure=self._spread(measure, tail),
            comparison=comparison,
            threshold=threshold,
            recover=recover,
            hold_for=tail.hold_for,
        )

    def _side(self, side: str) -> Measure:
        """The denominator; what was marked before belongs to the numerator."""
        self._fields = {f"over.{field}": token for field, token in self._fields.items()}
        before = dict(self._fields)
        self._fields = {}
        measure = self.value()
        self._fields = before | {f"{side}.{field}": token for field, token in self._fields.items()}
        return measure

    def _sign(self) -> Comparison:
        if not self._is_comparison():
            instead = habits.instead_of_comparing(self.next.text)
            if instead is not None:
                self.fail(instead)
            self.fail("expected a comparison: >, <, >=, <=, ==, != or `outside`", known=_AFTER_METRIC)
        sign = self.take()
        meant = habits.SIGNS.get(sign.text + self.next.text) if self.next.kind is Kind.SIGN else None
        if meant is not None:
            self.fail(f"write `{meant}`", at=sign)
        return _COMPARISONS[sign.text]

    def _is_comparison(self) -> bool:
        return self.next.kind is Kind.SIGN and self.next.text in _COMPARISONS

    def _forecast(
        self, measure: Measure, under: Measure | None, comparison: Comparison, threshold: float, sign: Token
    ) -> Forecast:
        """`disk_percent > 95 within 4h, from 6h`."""
        if under is not None or measure != Measure(metric=measure.metric, tags=measure.tags):
            self.fail("only a metric itself can be forecast, as in `disk_percent > 95 within 4h, from 6h`")
        if comparison not in (Comparison.EXCEEDS, Comparison.BELOW):
            self.fail("a forecast says > or <", at=sign)
        within = self.duration("within")
        self.skip_sign(",")
        if not self.is_word("from"):
            self.fail("expected `from` and the window to draw the line through, as in `from 6h`", known=("from",))
        return Forecast(
            metric=measure.metric,
            tags=measure.tags,
            comparison=comparison,
            threshold=threshold,
            within=within,
            window=self.duration("from"),
            hold_for=self._maybe_hold(),
        )

    def _outside(self, measure: Measure) -> Condition:
        band = self.band("high")
        tail = self._tail(_Tail(), is_band=True)
        recover = tail.recover if isinstance(tail.recover, Band) else None
        return Outside(measure=self._spread(measure, tail), band=band, recover=recover, hold_for=tail.hold_for)

    def _tail(self, tail: _Tail, *, is_band: bool) -> _Tail:
        """`on all series`, `recover at` and `for` in any order, each once."""
        if self.is_word("on"):
            self._once(tail.across is None)
            return self._tail(replace(tail, across=self._on_series()), is_band=is_band)
        if self.is_word("recover"):
            self._once(tail.recover is None)
            return self._tail(replace(tail, recover=self._recover(is_band=is_band)), is_band=is_band)
        if self.is_word("for"):
            self._once(not tail.hold_for)
            return self._tail(replace(tail, hold_for=self.hold()), is_band=is_band)
        return tail

    def _once(self, is_first: bool) -> None:
        if not is_first:
            self.fail(f"`{self.next.text}` is said twice")

    def _spread(self, measure: Measure, tail: _Tail) -> Measure:
        if tail.across is None:
            return measure
        if measure.across.is_number:
            self.fail(f"`{measure.across}(...)` already makes one number of all series; leave `on ... series` out")
        return replace(measure, across=tail.across)

    def _on_series(self) -> Across:
        self.mark("across")
        self.take()
        if not (self.is_word("all") or self.is_word("any")):
            self.fail("expected `all series` or `any series`", known=("all", "any"))
        across = Across(self.take().text.lower())
        if not self.skip_word("series"):
            self.fail("expected `series`", known=("series",))
        return across

    def _recover(self, *, is_band: bool) -> float | Band:
        self.take()
        if not self.skip_word("at"):
            self.fail("expected `at` and a number, as in `recover at 80`", known=("at",))
        self.mark("recover")
        return self.band("recover.high") if is_band else self.number()
