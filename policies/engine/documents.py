"""A condition as JSON: the canonical form, read strictly and written without what is default."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from policies.engine import durations, leafforms, measureforms, rules, tagforms
from policies.engine.conditions import (
    ZERO,
    Absent,
    AllOf,
    Anomaly,
    AnyOf,
    Band,
    Compare,
    Comparison,
    Condition,
    EventMatches,
    Forecast,
    Not,
    Outside,
    PromQL,
    Ratio,
    hold_of,
)
from policies.engine.fields import Fields, kind
from policies.engine.leafforms import ANOMALY, EVENT, FORECASTS, PROMQL, RATIO, Json, hold
from policies.engine.numerals import plain

OUTSIDE, ABSENT = "metric_outside", "metric_absent"
ALL, ANY, NOT = "all", "any", "not"
TYPES = (*Comparison, OUTSIDE, RATIO, ANOMALY, *FORECASTS, PROMQL, ABSENT, EVENT, ALL, ANY, NOT)


class ConditionError(ValueError):
    """The JSON is no condition; `errors` has every problem as (path, message)."""

    def __init__(self, errors: Sequence[rules.Problem]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{path or 'condition'}: {message}" for path, message in self.errors))


def from_json(document: object) -> Condition:
    """The condition this JSON value describes; raises ConditionError with every problem found."""
    problems: list[rules.Problem] = []
    condition = _Reader(problems).read(document, path="", depth=1)
    if condition is not None and not problems:
        problems.extend(rules.problems(condition))
    if problems or condition is None:
        raise ConditionError(problems)
    return condition


class _Reader:
    """Reads a tree of unknown size, and stops looking when it is deeper or larger than any condition may be."""

    def __init__(self, problems: list[rules.Problem]) -> None:
        self._problems = problems
        self._seen = 0

    def read(self, document: object, *, path: str, depth: int) -> Condition | None:
        self._seen += 1
        if depth > rules.DEEPEST or self._seen > rules.MOST_NODES:
            self._complain_of_size(path, depth)
            return None
        if not isinstance(document, Mapping):
            self._problems.append((path, f"must be an object with a type, not {kind(document)}"))
            return None
        fields = Fields(document, path=path, problems=self._problems)
        return self._of_type(fields.choice("type", TYPES), fields, path=path, depth=depth)

    def _complain_of_size(self, path: str, depth: int) -> None:
        deep = depth > rules.DEEPEST
        limit = f"{rules.DEEPEST} levels deep" if deep else f"made of {rules.MOST_NODES} parts"
        if deep or self._seen == rules.MOST_NODES + 1:
            self._problems.append((path, f"a condition is at most {limit}"))

    def _of_type(self, name: str | None, fields: Fields, *, path: str, depth: int) -> Condition | None:
        match name:
            case None:
                return None
            case "metric_outside":
                return _outside(fields)
            case "metric_absent":
                return _absent(fields)
            case "event_matches":
                return leafforms.read_event(fields)
            case "ratio":
                return leafforms.read_ratio(fields)
            case "anomaly":
                return leafforms.read_anomaly(fields)
            case "promql":
                return leafforms.read_promql(fields)
            case "forecast_exceeds" | "forecast_below":
                return leafforms.read_forecast(name, fields)
            case "all" | "any":
                return self._group(name, fields, path=path, depth=depth)
            case "not":
                return self._negation(fields, path=path, depth=depth)
            case _:
                return _compare(Comparison(name), fields)

    def _group(self, name: str, fields: Fields, *, path: str, depth: int) -> Condition | None:
        fields.only(("type", "conditions", "for"))
        held = hold(fields)
        members = [one for one in self._members(fields, path=path, depth=depth) if one is not None]
        if not members:
            return None
        if len(members) == 1:
            return self._alone(members[0], held, path)
        group = AllOf if name == ALL else AnyOf
        return group(conditions=tuple(members), hold_for=held)

    def _alone(self, only: Condition, held: timedelta, path: str) -> Condition:
        """A group of one means its one member, which then also carries the group's `for`."""
        if not held:
            return only
        if isinstance(only, Absent) or only.hold_for:
            self._problems.append((rules.at(path, "for"), "the only condition inside has a `for` of its own"))
            return only
        return replace(only, hold_for=held)

    def _members(self, fields: Fields, *, path: str, depth: int) -> list[Condition | None]:
        members = fields.raw("conditions")
        if not isinstance(members, list | tuple) or not members:
            fields.complain("conditions", "must be a list of at least one condition")
            return []
        steps = ((rules.at(path, f"conditions[{place}]"), member) for place, member in enumerate(members))
        return [self.read(member, path=where, depth=depth + 1) for where, member in steps if self._room()]

    def _room(self) -> bool:
        """One more than allowed is read, so that it is complained about."""
        return self._seen <= rules.MOST_NODES

    def _negation(self, fields: Fields, *, path: str, depth: int) -> Condition | None:
        fields.only(("type", "condition", "conditions", "for"))
        held = hold(fields)
        if fields.has("condition") and fields.has("conditions"):
            fields.complain("conditions", "give `condition` alone")
            return None
        if fields.has("condition"):
            inner = self.read(fields.raw("condition"), path=rules.at(path, "condition"), depth=depth + 1)
            return None if inner is None else Not(condition=inner, hold_for=held)
        members = self._members(fields, path=path, depth=depth) if fields.has("conditions") else []
        if len(members) == 1 and members[0] is not None:
            return Not(condition=members[0], hold_for=held)
        if not fields.has("conditions") or len(members) > 1:
            fields.complain("condition", "`not` takes exactly one condition")
        return None


def _compare(comparison: Comparison, fields: Fields) -> Condition:
    fields.only(("type", *measureforms.FIELDS, "threshold", "recover", "for"))
    return Compare(
        measure=measureforms.read(fields),
        comparison=comparison,
        threshold=fields.number("threshold"),
        recover=fields.number("recover") if fields.has("recover") else None,
        hold_for=hold(fields),
    )


def _outside(fields: Fields) -> Condition:
    fields.only(("type", *measureforms.FIELDS, "low", "high", "recover", "for"))
    inner = fields.inner("recover") if fields.has("recover") else None
    if inner is not None:
        inner.only(("low", "high"))
    return Outside(
        measure=measureforms.read(fields),
        band=_band(fields),
        recover=None if inner is None else _band(inner),
        hold_for=hold(fields),
    )


def _band(fields: Fields) -> Band:
    return Band(low=fields.number("low"), high=fields.number("high"))


def _absent(fields: Fields) -> Condition:
    fields.only(("type", "metric", "tags", "for"))
    if not fields.has("for"):
        fields.complain("for", "say how long the silence must last, such as 2m")
    silent_for = fields.duration("for") if fields.has("for") else ZERO
    return Absent(metric=fields.name("metric"), tags=tagforms.read(fields), silent_for=silent_for)


def to_json(condition: Condition) -> Json:
    """The canonical JSON value, in which nothing that is the default is written."""
    document = _document(condition)
    held = hold_of(condition)
    return {**document, "for": durations.text(held)} if held else document


def _document(condition: Condition) -> Json:
    match condition:
        case Compare():
            recover: Json = {} if condition.recover is None else {"recover": plain(condition.recover)}
            limit = {"threshold": plain(condition.threshold)}
            return {"type": str(condition.comparison), **measureforms.write(condition.measure), **limit, **recover}
        case Outside():
            back: Json = {} if condition.recover is None else {"recover": _band_json(condition.recover)}
            return {"type": OUTSIDE, **measureforms.write(condition.measure), **_band_json(condition.band), **back}
        case Absent():
            named: Json = {"metric": condition.metric, **tagforms.write(condition.tags)}
            return {"type": ABSENT, **named, "for": durations.text(condition.silent_for)}
        case EventMatches():
            return leafforms.write_event(condition)
        case Ratio():
            return leafforms.write_ratio(condition)
        case Anomaly():
            return leafforms.write_anomaly(condition)
        case Forecast():
            return leafforms.write_forecast(condition)
        case PromQL():
            return leafforms.write_promql(condition)
        case AllOf():
            return {"type": ALL, "conditions": [to_json(child) for child in condition.conditions]}
        case AnyOf():
            return {"type": ANY, "conditions": [to_json(child) for child in condition.conditions]}
        case Not():
            return {"type": NOT, "condition": to_json(condition.condition)}


def _band_json(band: Band) -> Json:
    return {"low": plain(band.low), "high": plain(band.high)}
