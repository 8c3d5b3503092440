"""Expressions that are numbers: selectors, windows, aggregations, and arithmetic with constants."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import promql_parser as promql

from policies.engine import aggregates, durations
from policies.engine.conditions import Across, Forecast, Measure
from policies.engine.tags import TagMatcher, TagOperator
from policies.engine.translation import parts
from policies.engine.translation.parts import Number, Quotient, Scope, Untranslatable

ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "^", "atan2"})
_WINDOWED = {
    "rate": "rate",
    "increase": "increase",
    "delta": "delta",
    "changes": "changes",
    "avg_over_time": "avg",
    "min_over_time": "min",
    "max_over_time": "max",
    "sum_over_time": "sum",
    "count_over_time": "count",
    "last_over_time": "last",
    "stddev_over_time": "stddev",
}
_ACROSS = {"sum": Across.SUM, "avg": Across.AVG, "min": Across.MIN, "max": Across.MAX, "count": Across.COUNT}
_OPERATORS = (
    (promql.MatchOp.Equal, TagOperator.IS),
    (promql.MatchOp.NotEqual, TagOperator.IS_NOT),
    (promql.MatchOp.Re, TagOperator.FITS),
    (promql.MatchOp.NotRe, TagOperator.FITS_NOT),
)
_SOMETHING = "?*"
_GLOB_SIGNS = frozenset("*?")
_REGEX_SIGNS = frozenset(r"\.+*?()|[]{}^$")
_RATIO_NOTE = "a denominator of zero is no data here, where Prometheus has infinity or NaN"


def bare(expression: promql.Expr) -> promql.Expr:
    """The expression without brackets around it."""
    while isinstance(expression, promql.ParenExpr):
        expression = expression.expr
    return expression


def constant(expression: promql.Expr) -> float | None:
    """The value of an expression made of numbers alone; None when it is none."""
    expression = bare(expression)
    match expression:
        case promql.NumberLiteral():
            return float(expression.val)
        case promql.UnaryExpr():
            inner = constant(expression.expr)
            return None if inner is None else -inner
        case promql.BinaryExpr() if str(expression.op) in ARITHMETIC:
            left, right = constant(expression.lhs), constant(expression.rhs)
            return None if left is None or right is None else _reckoned(str(expression.op), left, right)
        case _:
            return None


def number(expression: promql.Expr) -> Number:
    """What this expression measures; Untranslatable says why it is nothing a condition can measure."""
    expression = bare(expression)
    match expression:
        case promql.VectorSelector():
            return _selected(expression)
        case promql.Call():
            return _called(expression)
        case promql.AggregateExpr():
            return _aggregated(expression)
        case promql.UnaryExpr():
            return _scaled(number(expression.expr), -1.0)
        case promql.BinaryExpr():
            return _computed(expression)
        case promql.SubqueryExpr():
            raise Untranslatable("subquery", "a subquery has no counterpart in a condition")
        case _:
            raise Untranslatable("other", "it is no number of a metric")


def series(selector: promql.VectorSelector) -> tuple[Measure, Scope]:
    """The metric and tags of a selector, and the labels it pins to one value."""
    if selector.offset is not None or selector.at is not None:
        raise Untranslatable("offset or @", "`offset` and `@` look at another time; a condition looks at now")
    if selector.matchers.or_matchers:
        raise Untranslatable("matchers", "matchers joined by `or` have no counterpart")
    matchers = list(selector.matchers.matchers)
    names = [one for one in matchers if one.name == "__name__"]
    name = selector.name or (names[0].value if len(names) == 1 and names[0].op == promql.MatchOp.Equal else None)
    if name is None or (selector.name is not None and names):
        raise Untranslatable("metric by pattern", "it selects metrics by a pattern of names; a condition names one")
    others = [one for one in matchers if one.name != "__name__"]
    pins = {one.name: one.value for one in others if one.op == promql.MatchOp.Equal and one.value}
    return Measure(metric=name, tags=_grouped([_matcher(one) for one in others])), Scope(pins=pins)


def window(length: timedelta) -> timedelta:
    """A length that a condition can have; Untranslatable otherwise."""
    if length.microseconds or not timedelta(0) < length <= durations.LONGEST:
        raise Untranslatable("window", "a window is a whole number of seconds, at most 30 days")
    return length


def _grouped(matchers: list[TagMatcher]) -> tuple[TagMatcher, ...]:
    """Those of one tag next to each other, as JSON keeps them."""
    names = list(dict.fromkeys(one.name for one in matchers))
    return tuple(one for name in names for one in matchers if one.name == name)


def _matcher(found: promql.Matcher) -> TagMatcher:
    """In Vigil `=` takes a glob and no blank text."""
    operator = next(ours for theirs, ours in _OPERATORS if theirs == found.op)
    value = str(found.value)
    if not value or (operator.is_regex and value == ".+"):
        missing = operator.negates is bool(value)
        return TagMatcher(
            name=found.name, operator=TagOperator.IS_NOT if missing else TagOperator.IS, pattern=_SOMETHING
        )
    if not operator.is_regex and _GLOB_SIGNS & set(value):
        quoted = "".join(f"\\{sign}" if sign in _REGEX_SIGNS else sign for sign in value)
        regex = TagOperator.FITS_NOT if operator.negates else TagOperator.FITS
        return TagMatcher(name=found.name, operator=regex, pattern=quoted)
    return TagMatcher(name=found.name, operator=operator, pattern=value)


def _selected(selector: promql.VectorSelector) -> Number:
    measure, scope = series(selector)
    return Number(base=measure, scope=scope)


def _called(call: promql.Call) -> Number:
    name = call.func.name
    if name in _WINDOWED:
        return _windowed(call.args[0], _WINDOWED[name])
    if name == "quantile_over_time":
        share = constant(call.args[0])
        quantile = None if share is None else aggregates.quantile_name(f"{share!r}")
        if quantile is None:
            raise Untranslatable("quantile", "a quantile is a number between 0 and 1")
        return _windowed(call.args[1], quantile)
    if name == "predict_linear":
        return _forecast(call)
    raise Untranslatable(f"{name}()", f"the function {name} has no counterpart in a condition")


def _windowed(argument: promql.Expr, aggregate: str) -> Number:
    selector, length = _matrix(argument)
    measure, scope = series(selector)
    return Number(base=replace(measure, aggregate=aggregate, window=length), scope=scope)


def _matrix(argument: promql.Expr) -> tuple[promql.VectorSelector, timedelta]:
    argument = bare(argument)
    if not isinstance(argument, promql.MatrixSelector):
        raise Untranslatable("subquery", "a subquery has no counterpart in a condition")
    return argument.vector_selector, window(argument.range)


def _forecast(call: promql.Call) -> Number:
    selector, length = _matrix(call.args[0])
    ahead = constant(call.args[1])
    if ahead is None or ahead <= 0 or ahead != int(ahead):
        raise Untranslatable("predict_linear()", "a forecast looks a whole number of seconds ahead")
    measure, scope = series(selector)
    within = window(timedelta(seconds=ahead))
    base = Forecast(metric=measure.metric, tags=measure.tags, threshold=0, window=length, within=within)
    return Number(base=base, scope=scope)


def _aggregated(found: promql.AggregateExpr) -> Number:
    name = str(found.op)
    if name not in _ACROSS:
        raise Untranslatable(f"{name}()", f"{name} over series has no counterpart in a condition")
    labels: frozenset[str] = frozenset()
    if found.modifier is not None:
        if found.modifier.type != promql.AggModifierType.By:
            raise Untranslatable("without", "`without` groups by whatever labels are left; a condition names them")
        labels = frozenset(found.modifier.labels)
    inner = _plain(found.expr, name)
    assert isinstance(inner.base, Measure)  # noqa: S101  _plain says so
    scope = Scope(labels=labels, pins=inner.scope.pins)
    return Number(base=replace(inner.base, across=_ACROSS[name]), scope=scope)


def _plain(expression: promql.Expr, name: str) -> Number:
    """A number of single series, which is all that can be aggregated."""
    inner_expression = bare(expression)
    if isinstance(inner_expression, promql.BinaryExpr) and str(inner_expression.op) not in ARITHMETIC:
        message = f"{name}() of series that were chosen by their value or joined; a condition aggregates all of them"
        raise Untranslatable("aggregated filter", message)
    inner = number(inner_expression)
    simple = isinstance(inner.base, Measure) and (inner.scale, inner.offset) == (1.0, 0.0)
    if not simple or inner.scope.labels is not None:
        raise Untranslatable("aggregated number", f"{name}() of a number that is computed or aggregated already")
    return inner


def _computed(found: promql.BinaryExpr) -> Number:
    sign = str(found.op)
    if sign not in ARITHMETIC:
        raise Untranslatable("filter in arithmetic", f"it reckons with what `{sign}` lets through")
    left, right = constant(found.lhs), constant(found.rhs)
    if left is None and right is None:
        return _of_two(found, sign)
    if right is not None:
        return _with_constant(number(found.lhs), sign, right)
    assert left is not None  # noqa: S101  one of the two is a constant
    return _before_constant(left, sign, number(found.rhs))


def _with_constant(inner: Number, sign: str, by: float) -> Number:
    match sign:
        case "*" if by:
            return _scaled(inner, by)
        case "/" if by:
            return _scaled(inner, 1 / by)
        case "+":
            return replace(inner, offset=inner.offset + by)
        case "-":
            return replace(inner, offset=inner.offset - by)
        case _:
            raise Untranslatable("arithmetic", f"`{sign} {by:g}` of a number is more than a line")


def _before_constant(by: float, sign: str, inner: Number) -> Number:
    match sign:
        case "*" if by:
            return _scaled(inner, by)
        case "+":
            return replace(inner, offset=inner.offset + by)
        case "-":
            negative = _scaled(inner, -1.0)
            return replace(negative, offset=negative.offset + by)
        case _:
            raise Untranslatable("arithmetic", f"`{by:g} {sign}` a number is more than a line")


def _scaled(inner: Number, by: float) -> Number:
    return replace(inner, scale=inner.scale * by, offset=inner.offset * by)


def _of_two(found: promql.BinaryExpr, sign: str) -> Number:
    if sign != "/":
        raise Untranslatable("arithmetic of metrics", f"`{sign}` between two metrics has no counterpart; only `/` has")
    rest = _rest_of_whole(found)
    if rest is not None:
        return rest
    over, under = number(found.lhs), number(found.rhs)
    if not isinstance(over.base, Measure) or not isinstance(under.base, Measure) or under.offset or over.offset:
        raise Untranslatable("arithmetic of metrics", "a ratio has one measure above and one below the line")
    scope = _paired(found, over.scope, under.scope)
    scale = over.scale / under.scale
    base = Quotient(over=over.base, under=under.base)
    return Number(base=base, scope=scope, scale=scale, notes=(_RATIO_NOTE,))


def _rest_of_whole(found: promql.BinaryExpr) -> Number | None:
    """`(a - b) / a` is `1 - b / a`, also with a constant before or after the brackets."""
    above, factor = _without_factor(bare(found.lhs))
    if not isinstance(above, promql.BinaryExpr) or str(above.op) != "-" or constant(above.rhs) is not None:
        return None
    if constant(above.lhs) is not None or bare(above.lhs).prettify() != bare(found.rhs).prettify():
        return None
    over, under = number(above.rhs), number(found.rhs)
    if not isinstance(over.base, Measure) or not isinstance(under.base, Measure):
        return None
    if (over.scale, over.offset, under.scale, under.offset) != (1.0, 0.0, 1.0, 0.0):
        return None
    _paired(found, over.scope, under.scope)
    scope = _paired(above, over.scope, under.scope)
    base = Quotient(over=over.base, under=under.base)
    return Number(base=base, scope=scope, scale=-factor, offset=factor, notes=(_RATIO_NOTE,))


def _without_factor(expression: promql.Expr) -> tuple[promql.Expr, float]:
    if isinstance(expression, promql.BinaryExpr) and str(expression.op) == "*":
        for one, other in ((expression.lhs, expression.rhs), (expression.rhs, expression.lhs)):
            factor = constant(one)
            if factor:
                return bare(other), factor
    return expression, 1.0


def _paired(found: promql.BinaryExpr, over: Scope, under: Scope) -> Scope:
    """Both sides are single series with the same labels, or both are one number for each group."""
    pins = parts.common(over.pins, under.pins)
    modifier = found.modifier
    if modifier is not None and modifier.card != promql.VectorMatchCardinality.OneToOne:
        raise Untranslatable("group_left", "`group_left` and `group_right` divide many series by one")
    matching = None if modifier is None else modifier.matching
    if over.labels != under.labels:
        raise Untranslatable("unlike groups", "the two sides are grouped by different labels")
    if matching is not None:
        named = matching.type == promql.LabelModifierType.Include and frozenset(matching.labels) == over.labels
        if not named:
            raise Untranslatable("on or ignoring", "it divides series that differ in their labels")
    return Scope(labels=over.labels, pins=pins)


def _reckoned(sign: str, left: float, right: float) -> float | None:
    reckon: dict[str, Callable[[float, float], float]] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "^": lambda a, b: math.pow(a, b),
        "%": math.fmod,
    }
    try:
        return reckon[sign](left, right)
    except (KeyError, ZeroDivisionError, OverflowError, ValueError):
        return None
