"""The leaves of a sentence: comparisons, ratios, forecasts, anomalies, queries, silence and events."""

from dataclasses import dataclass, replace
from datetime import timedelta

from policies.engine import rules, suggestions
from policies.engine.conditions import (
    DEFAULT_EVENT_WINDOW,
    DEFAULT_PERIOD,
    DEFAULT_SIGMA,
    DEFAULT_SOURCE,
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
        start = self.next
        leaf = self._some_leaf()
        problem = next(rules.own_problems(leaf), None)
        if problem is not None:
            self.fail(f"{problem[0]} {problem[1]}", at=start)
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
        name, matchers = self.selector("a metric such as `cpu_percent`, an event, `no`, `not` or `(`")
        if self.is_event_word():
            return self._events(1, None, name, matchers)
        if self._is_anomaly():
            return self._anomaly(name, matchers)
        if not matchers and self.is_name():
            return self._severe_events(1, name, "expected a comparison such as `> 90`, or `event`")
        return self._comparison(Measure(metric=name, tags=matchers))

    def _counted_events(self) -> Condition:
        count = self._count()
        name, matchers = self.selector("the name of an event")
        if not matchers and self.is_name() and not self.is_event_word():
            return self._severe_events(count, name, "expected `event` or `events`")
        return self._events(count, None, name, matchers)

    def _severe_events(self, count: int, severity: str, expected: str) -> Condition:
        """Two names in a row; unless `event` follows, the second is where it went wrong."""
        second = self.next
        name, matchers = self.selector("the name of an event")
        misspelt = suggestions.closest(second.text, _AFTER_METRIC) is not None
        if not self.is_event_word() and (misspelt or not self.is_name()):
            self.fail(expected, known=_AFTER_METRIC, at=second)
        return self._events(count, severity, name, matchers)

    def _events(self, count: int, severity: str | None, name: str, matchers: tuple[TagMatcher, ...]) -> Condition:
        if not self.is_event_word():
            self.fail("expected `event` or `events`", known=EVENT_WORDS)
        self.take()
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
        window = self.duration("over")
        method = self._method() if self.skip_word("using") else Method.ROBUST_Z
        seasonal = method is Method.SEASONAL and self.is_word("every")
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
        under = self.value() if self.skip_sign("/") else None
        if under is None and self.skip_word("outside"):
            return self._outside(measure)
        comparison = _COMPARISONS.get(self.next.text) if self.next.kind is Kind.SIGN else None
        if comparison is None:
            self.fail("expected a comparison: >, <, >=, <=, ==, != or `outside`", known=_AFTER_METRIC)
        sign = self.take()
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
        band = self.band()
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
        return self.band() if is_band else self.number()
