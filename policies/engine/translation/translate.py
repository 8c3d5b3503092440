"""translate(expression) -> a condition with the targets it is about, never one that means something else."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import promql_parser as promql

from policies.engine import language, sentences, targets
from policies.engine.conditions import (
    USUAL_STALENESS,
    ZERO,
    Absent,
    Across,
    AllOf,
    AnyOf,
    Compare,
    Comparison,
    Condition,
    Forecast,
    Measure,
    Outside,
    Ratio,
)
from policies.engine.translation import numbers, parts
from policies.engine.translation.parts import Number, Part, Quotient, Scope, Untranslatable

_COMPARISONS = {
    ">": Comparison.EXCEEDS,
    "<": Comparison.BELOW,
    ">=": Comparison.AT_LEAST,
    "<=": Comparison.AT_MOST,
    "==": Comparison.EQUALS,
    "!=": Comparison.NOT_EQUALS,
}
_TURNED = {
    Comparison.EXCEEDS: Comparison.BELOW,
    Comparison.BELOW: Comparison.EXCEEDS,
    Comparison.AT_LEAST: Comparison.AT_MOST,
    Comparison.AT_MOST: Comparison.AT_LEAST,
    Comparison.EQUALS: Comparison.EQUALS,
    Comparison.NOT_EQUALS: Comparison.NOT_EQUALS,
}
_ORDERED = (Comparison.EXCEEDS, Comparison.BELOW, Comparison.AT_LEAST, Comparison.AT_MOST)
_ALWAYS_THERE = frozenset({"job", "instance"})
_PREFERRED = ("instance", "host", "pod", "deployment", "service", "job", "app")
_MOST_STEPS = 64
_NEVER_NEGATIVE = frozenset({"rate", "increase", "count", "changes", "stddev"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A condition that says what the expression says, and the targets it is about."""

    condition: Condition
    target: str = "*"
    target_tag: str = ""
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        return sentences.to_sentence(self.condition)


def translate(expression: str, *, hold_for: timedelta = ZERO, join_per_target: bool = False) -> Translated:
    """The condition of an alerting rule. Untranslatable says why there is none; ValueError: it is no PromQL.

    `join_per_target` takes it that both sides of an `and` have one series for each target, so that joining them by
    target means the same as joining them by all their labels.
    """
    if hold_for:
        numbers.window(hold_for)
    part = _Joiner(per_target=join_per_target).part(promql.parse(expression))
    return _checked(_framed(replace(part, condition=_held(part.condition, hold_for))))


class _Joiner:
    """Reads conditions and joins them."""

    def __init__(self, *, per_target: bool) -> None:
        self._per_target = per_target

    def part(self, expression: promql.Expr) -> Part:
        expression = numbers.bare(expression)
        match expression:
            case promql.BinaryExpr() if str(expression.op) in _COMPARISONS:
                return _comparison(expression)
            case promql.BinaryExpr() if str(expression.op) in ("and", "or", "unless"):
                return self._joined(expression, str(expression.op))
            case promql.Call() if expression.func.name in ("absent", "absent_over_time"):
                return _absence(expression)
            case promql.VectorSelector():
                return _existence(expression)
            case _:
                numbers.number(expression)
                raise Untranslatable("no comparison", "it compares nothing, so any value at all would do")

    def _joined(self, found: promql.BinaryExpr, word: str) -> Part:
        left, right = self.part(found.lhs), self.part(found.rhs)
        on = _on(found)
        if word == "or":
            return _either(left, right, on)
        if word == "unless":
            message = "`unless` holds where its right side has no data; in Vigil no data is unknown, and nothing opens"
            raise Untranslatable("unless", message)
        guarded = _guarded(left, right, on) or _guarded(right, left, on)
        if guarded is not None:
            return guarded
        scope, notes = self._met(left, right, on)
        condition = _all(left.condition, right.condition)
        return Part(condition=condition, scope=scope, notes=(*left.notes, *right.notes, *notes))

    def _met(self, left: Part, right: Part, on: frozenset[str] | None) -> tuple[Scope, tuple[str, ...]]:
        """Whose verdict both together are."""
        pins = parts.common(left.scope.pins, right.scope.pins)
        grouped = {labels for labels in (left.scope.labels, right.scope.labels) if labels is not None}
        if on is not None:
            if not on or grouped - {on}:
                raise Untranslatable("on", "`on` joins by other labels than the sides are grouped by")
            return Scope(labels=on, pins=pins), ()
        if len(grouped) == 1 and None not in (left.scope.labels, right.scope.labels):
            return Scope(labels=grouped.pop(), pins=pins), ()
        if grouped:
            raise Untranslatable("unlike groups", "the two sides are grouped by different labels")
        if not self._per_target:
            message = "it joins series that agree on all their labels; a condition joins all series of a target"
            raise Untranslatable("joined by all labels", message)
        return Scope(pins=pins), ("both sides are taken to have one series for each target",)


def _guarded(ratio: Part, guard: Part, on: frozenset[str] | None) -> Part | None:
    """`a / b > x and b > 0` is the ratio alone, which never divides by zero."""
    one, other = ratio.condition, guard.condition
    if not isinstance(one, Ratio) or not isinstance(other, Compare) or other.measure != one.under:
        return None
    guards = other.threshold == 0 and other.comparison in (Comparison.EXCEEDS, Comparison.NOT_EQUALS)
    if not guards or ratio.scope.labels != guard.scope.labels or on not in (None, ratio.scope.labels):
        return None
    sure = other.comparison is Comparison.NOT_EQUALS or one.under.aggregate in _NEVER_NEGATIVE
    note = () if sure else ("`> 0` of the denominator is taken as `not zero`: a negative one is judged here",)
    return replace(ratio, notes=(*ratio.notes, *note))


def _on(found: promql.BinaryExpr) -> frozenset[str] | None:
    """The labels after `on`; None when series are joined by all of them."""
    matching = None if found.modifier is None else found.modifier.matching
    if matching is None:
        return None
    if matching.type != promql.LabelModifierType.Include:
        raise Untranslatable("ignoring", "`ignoring` joins by whatever labels are left; a condition names them")
    return frozenset(matching.labels)


def _either(left: Part, right: Part, on: frozenset[str] | None) -> Part:
    """What the right side adds is hidden only by a left side with the same labels, so of the same target."""
    pins = parts.common(left.scope.pins, right.scope.pins)
    named = left.scope.labels, right.scope.labels
    scopes = tuple(None if labels is None else frozenset(labels - pins.keys()) for labels in named)
    one_each = scopes[0] == scopes[1] and on in (None, *named)
    together = frozenset[str]()
    pinned = together in scopes and set(scopes) <= {None, together} and bool(pins) and on is None
    if not (one_each or pinned):
        raise Untranslatable("or", "the two sides of `or` are about different things")
    labels = together if pinned else scopes[0]
    condition = AnyOf(conditions=(*_members(left.condition, AnyOf), *_members(right.condition, AnyOf)))
    return Part(condition=condition, scope=Scope(labels=labels, pins=pins), notes=(*left.notes, *right.notes))


def _all(*several: Condition) -> AllOf:
    return AllOf(conditions=tuple(one for condition in several for one in _members(condition, AllOf)))


def _members(condition: Condition, kind: type[AllOf] | type[AnyOf]) -> tuple[Condition, ...]:
    return condition.conditions if isinstance(condition, kind) else (condition,)


def _comparison(found: promql.BinaryExpr) -> Part:
    if found.modifier is not None and found.modifier.return_bool:
        raise Untranslatable("bool", "`bool` makes a number of the comparison, and any number fires")
    comparison = _COMPARISONS[str(found.op)]
    left, right = numbers.constant(found.lhs), numbers.constant(found.rhs)
    if left is not None and right is not None:
        raise Untranslatable("no metric", "it compares two constants")
    if right is not None:
        return _against(numbers.number(found.lhs), comparison, right)
    if left is not None:
        return _against(numbers.number(found.rhs), _TURNED[comparison], left)
    numbers.number(found.lhs)
    numbers.number(found.rhs)
    raise Untranslatable("two metrics compared", "it compares two metrics; a condition compares with a constant")


def _against(number: Number, comparison: Comparison, limit: float) -> Part:
    """`scale * x + offset` against a limit is `x` against another one."""
    turned = comparison if number.scale > 0 else _TURNED[comparison]
    threshold = (limit - number.offset) / number.scale
    if not math.isfinite(threshold):
        raise Untranslatable("threshold", "the threshold is no finite number")
    threshold = _exact(number, comparison, turned, limit, threshold)
    condition: Condition
    match number.base:
        case Measure():
            condition = Compare(measure=number.base, comparison=turned, threshold=threshold)
        case Quotient(over=over, under=under):
            condition = Ratio(over=over, under=under, comparison=turned, threshold=threshold)
        case Forecast() if turned in (Comparison.EXCEEDS, Comparison.BELOW):
            condition = replace(number.base, comparison=turned, threshold=threshold)
        case _:
            raise Untranslatable("predict_linear()", "a forecast is compared with > or <")
    return Part(condition=condition, scope=number.scope, notes=number.notes)


def _exact(number: Number, comparison: Comparison, turned: Comparison, limit: float, near: float) -> float:
    """Rounding may move the line by a last digit: take the readable threshold if it lies right, else step to one."""
    if (number.scale, number.offset) == (1.0, 0.0):
        return near

    def fires(x: float) -> bool:
        return _holds(comparison, number.scale * x + number.offset, limit)

    readable = float(f"{near:.12g}")
    if isinstance(number.base, Quotient):
        return readable  # which of several ways a quotient was reckoned in is not known any more
    if fires(readable) is _holds(turned, readable, readable) or comparison not in _ORDERED:
        return readable
    return _stepped(fires, turned, near)


def _stepped(fires: Callable[[float], bool], turned: Comparison, near: float) -> float:
    """The threshold at which both ways of reckoning agree, if there is one in the last digits of `near`."""
    upward = turned in (Comparison.EXCEEDS, Comparison.AT_LEAST)
    outward, inward = (math.inf, -math.inf) if upward else (-math.inf, math.inf)
    edge = near
    for _ in range(_MOST_STEPS):
        if not fires(edge):
            break
        edge = math.nextafter(edge, inward)
    for _ in range(_MOST_STEPS):
        following = math.nextafter(edge, outward)
        if fires(following):
            return edge if turned in (Comparison.EXCEEDS, Comparison.BELOW) else following
        edge = following
    return near


def _holds(comparison: Comparison, value: float, limit: float) -> bool:
    match comparison:
        case Comparison.EXCEEDS:
            return value > limit
        case Comparison.AT_LEAST:
            return value >= limit
        case Comparison.BELOW:
            return value < limit
        case Comparison.AT_MOST:
            return value <= limit
        case Comparison.EQUALS:
            return value == limit
        case Comparison.NOT_EQUALS:
            return value != limit


def _absence(call: promql.Call) -> Part:
    argument = numbers.bare(call.args[0])
    length = USUAL_STALENESS
    if isinstance(argument, promql.MatrixSelector):
        length, argument = numbers.window(argument.range), argument.vector_selector
    if not isinstance(argument, promql.VectorSelector):
        raise Untranslatable("absent()", "absent() of something that is computed; a condition watches one metric")
    measure, scope = numbers.series(argument)
    return Part(
        condition=Absent(metric=measure.metric, tags=measure.tags, silent_for=length),
        scope=Scope(labels=frozenset(), pins=scope.pins),
        notes=("silence of what was never heard is unknown here, where Prometheus fires",),
    )


def _existence(selector: promql.VectorSelector) -> Part:
    """A selector alone fires for any value."""
    measure, scope = numbers.series(selector)
    counted = replace(measure, across=Across.COUNT)
    return Part(condition=Compare(measure=counted, comparison=Comparison.AT_LEAST, threshold=1), scope=scope)


def _held(condition: Condition, hold_for: timedelta) -> Condition:
    if not hold_for:
        return condition
    if isinstance(condition, Absent):
        return replace(condition, silent_for=numbers.window(condition.silent_for + hold_for))
    return replace(condition, hold_for=hold_for)


def _framed(part: Part) -> Translated:
    """Say whose verdict it is in the words of a policy: a target tag, a target, or groups."""
    labels, pins = part.scope.labels, part.scope.pins
    if labels is None:
        return Translated(condition=part.condition, notes=part.notes)
    open_labels = sorted(labels - pins.keys())
    unsure = [label for label in open_labels if label not in _ALWAYS_THERE]
    notes = (*part.notes, *(f"series without the label {label} are not judged" for label in unsure))
    if not open_labels:
        tag = _pin(pins)
        return Translated(condition=part.condition, target=pins[tag], target_tag=tag, notes=notes)
    if len(open_labels) == 1:
        return Translated(condition=part.condition, target_tag=open_labels[0], notes=notes)
    return Translated(condition=_grouped(part.condition, tuple(open_labels)), notes=notes)


def _pin(pins: Mapping[str, str]) -> str:
    """The pinned label that names the one target best."""
    usable = [label for label, value in pins.items() if _names_a_target(value)]
    if not usable:
        message = "it is about the whole fleet, and no label with one value says what to call that"
        raise Untranslatable("whole fleet", message)
    return min(usable, key=lambda label: (_PREFERRED.index(label) if label in _PREFERRED else len(_PREFERRED), label))


def _names_a_target(value: str) -> bool:
    try:
        targets.check(value)
    except ValueError:
        return False
    return value not in targets.EVERYTHING and not {"*", "?"} & set(value)


def _grouped(condition: Condition, by: tuple[str, ...]) -> Condition:
    """The same condition with every measure grouped by these labels."""
    match condition:
        case Compare() | Outside():
            return replace(condition, measure=replace(condition.measure, by=by))
        case Ratio():
            return replace(condition, over=replace(condition.over, by=by), under=replace(condition.under, by=by))
        case AllOf() | AnyOf():
            return replace(condition, conditions=tuple(_grouped(one, by) for one in condition.conditions))
        case _:
            raise Untranslatable("groups of several labels", "this kind of condition cannot be grouped by labels")


def _checked(translated: Translated) -> Translated:
    """What a policy could not hold is no translation."""
    try:
        same = language.from_json(language.to_json(translated.condition)) == translated.condition
    except language.ConditionError as error:
        raise Untranslatable("limits", f"a condition may not be so large or so written: {error}") from error
    if not same:
        raise Untranslatable("limits", "a condition cannot be written so")
    return translated
