"""A JSON Schema of conditions, for forms and for the API's description; from_json stays the judge."""

from policies.engine import aggregates, documents, leafforms, rules
from policies.engine.conditions import Across, Comparison, Direction, Method

type Schema = dict[str, object]

_DURATION: Schema = {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$", "examples": ["30s", "5m", "2h", "1d"]}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": rules.MOST_NAME_CHARACTERS}
_NUMBER: Schema = {"type": "number"}
_PATTERN: Schema = {"type": "string", "minLength": 1, "maxLength": 128}
_PERCENTILE = r"^p([1-9][0-9]?|(0|[1-9][0-9]?)\.[0-9]*[1-9])$"
_CHILD: Schema = {"$ref": "#/$defs/condition"}
_CHILDREN: Schema = {"type": "array", "items": _CHILD, "minItems": 1, "maxItems": rules.MOST_NODES}
_NAMES: Schema = {"type": "array", "items": _NAME, "minItems": 1, "maxItems": rules.MOST_TAGS, "uniqueItems": True}
_HOLD: Schema = {"$ref": "#/$defs/duration", "title": "For", "description": "How long it must stay violated."}


def json_schema() -> Schema:
    """The whole schema, draft 2020-12, with every condition type as one alternative."""
    alternatives = [_comparison(str(one)) for one in Comparison]
    alternatives += [_outside(), _ratio(), _anomaly(), *(_forecast(name) for name in leafforms.FORECASTS), _promql()]
    alternatives += [_absent(), _event(), _group(documents.ALL), _group(documents.ANY), _negation()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Condition",
        "$ref": "#/$defs/condition",
        "$defs": {
            "condition": {"oneOf": alternatives},
            "duration": _DURATION,
            "tags": _tags(),
            "names": _NAMES,
        },
    }


def _object(name: str, properties: Schema, required: list[str]) -> Schema:
    return {
        "type": "object",
        "title": name,
        "properties": {"type": {"const": name}, **properties},
        "required": ["type", *required],
        "additionalProperties": False,
    }


def _measure() -> Schema:
    return {
        "metric": _NAME,
        "tags": {"$ref": "#/$defs/tags"},
        "aggregate": {
            "anyOf": [{"enum": list(aggregates.names())}, {"type": "string", "pattern": _PERCENTILE}],
            "description": "Goes together with window.",
        },
        "window": {"$ref": "#/$defs/duration"},
        "across": {"enum": [str(across) for across in Across], "default": str(Across.ANY)},
        "by": {"$ref": "#/$defs/names", "description": "Judged for each group that agrees on these tags."},
    }


def _paired(schema: Schema) -> Schema:
    return {**schema, "dependentRequired": {"aggregate": ["window"], "window": ["aggregate"]}}


def _comparison(name: str) -> Schema:
    equality = name in (Comparison.EQUALS, Comparison.NOT_EQUALS)
    back: Schema = {} if equality else {"recover": {**_NUMBER, "description": "Once violated, healthy only beyond."}}
    limits: Schema = {"threshold": _NUMBER, **back, "for": _HOLD}
    return _paired(_object(name, {**_measure(), **limits}, ["metric", "threshold"]))


def _outside() -> Schema:
    ends: Schema = {"low": _NUMBER, "high": _NUMBER}
    back = {"type": "object", "properties": ends, "required": ["low", "high"], "additionalProperties": False}
    properties = {**_measure(), **ends, "recover": back, "for": _HOLD}
    return _paired(_object(documents.OUTSIDE, properties, ["metric", "low", "high"]))


def _ratio() -> Schema:
    side = {"type": "object", "properties": _measure(), "required": ["metric"], "additionalProperties": False}
    properties: Schema = {
        "over": _paired(side),
        "under": _paired(side),
        "comparison": {"enum": list(leafforms.COMPARISONS), "default": "exceeds"},
        "threshold": _NUMBER,
        "recover": {**_NUMBER, "description": "Once violated, healthy only beyond."},
        "across": {"enum": [str(Across.ANY), str(Across.ALL)], "default": str(Across.ANY)},
        "for": _HOLD,
    }
    return _object(leafforms.RATIO, properties, ["over", "under", "threshold"])


def _anomaly() -> Schema:
    properties: Schema = {
        "metric": _NAME,
        "tags": {"$ref": "#/$defs/tags"},
        "window": {"$ref": "#/$defs/duration", "description": "From how far back to learn what is usual."},
        "sigma": {"type": "number", "exclusiveMinimum": 0, "maximum": rules.MOST_SIGMA, "default": 4},
        "method": {"enum": [str(method) for method in Method], "default": str(Method.ROBUST_Z)},
        "direction": {"enum": [str(direction) for direction in Direction], "default": str(Direction.BOTH)},
        "period": {"$ref": "#/$defs/duration", "description": "Of the method seasonal alone; one day unless said."},
        "for": _HOLD,
    }
    return _object(leafforms.ANOMALY, properties, ["metric", "window"])


def _forecast(name: str) -> Schema:
    duration: Schema = {"$ref": "#/$defs/duration"}
    what: Schema = {"metric": _NAME, "tags": {"$ref": "#/$defs/tags"}, "threshold": _NUMBER}
    times: Schema = {"window": duration, "within": duration, "for": _HOLD}
    return _object(name, {**what, **times}, ["metric", "threshold", "window", "within"])


def _promql() -> Schema:
    query = {"type": "string", "minLength": 1, "maxLength": rules.MOST_QUERY_CHARACTERS}
    source: Schema = {**_NAME, "default": "prometheus"}
    return _object(leafforms.PROMQL, {"source": source, "query": query, "for": _HOLD}, ["query"])


def _absent() -> Schema:
    silence = {"$ref": "#/$defs/duration", "description": "How long the silence must last."}
    properties: Schema = {"metric": _NAME, "tags": {"$ref": "#/$defs/tags"}, "for": silence}
    return _object(documents.ABSENT, properties, ["metric", "for"])


def _event() -> Schema:
    count = {"type": "integer", "minimum": 1, "maximum": rules.MOST_EVENTS, "default": 1}
    what: Schema = {"event": _NAME, "severity": _NAME, "tags": {"$ref": "#/$defs/tags"}}
    resolving: Schema = {"event": _NAME, "tags": {"$ref": "#/$defs/tags"}, "same": {"$ref": "#/$defs/names"}}
    resolved = {"type": "object", "properties": resolving, "minProperties": 1, "additionalProperties": False}
    when: Schema = {"count": count, "window": {"$ref": "#/$defs/duration"}, "resolved_by": resolved, "for": _HOLD}
    return _object(leafforms.EVENT, {**what, **when}, ["event"])


def _group(name: str) -> Schema:
    return _object(name, {"conditions": _CHILDREN, "for": _HOLD}, ["conditions"])


def _negation() -> Schema:
    only = {**_CHILDREN, "maxItems": 1}
    schema = _object(documents.NOT, {"condition": _CHILD, "conditions": only, "for": _HOLD}, [])
    return {**schema, "oneOf": [{"required": ["condition"]}, {"required": ["conditions"]}]}


def _tags() -> Schema:
    words: Schema = dict.fromkeys(("not", "regex", "not_regex"), _PATTERN)
    demand: Schema = {"type": "object", "properties": words, "minProperties": 1, "maxProperties": 1}
    one: list[Schema] = [_PATTERN, {**demand, "additionalProperties": False}]
    several = {"type": "array", "items": {"anyOf": one}, "minItems": 1, "maxItems": rules.MOST_TAGS}
    return {
        "type": "object",
        "additionalProperties": {"anyOf": [*one, several]},
        "minProperties": 1,
        "maxProperties": rules.MOST_TAGS,
    }
