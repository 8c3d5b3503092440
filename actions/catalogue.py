"""Action types: which are known, and whether parameters fit them."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from actions.models import ActionType
from vigil.kernel.errors import FieldError, VigilError

PARAMS_LIMIT_BYTES = 16 * 1024
PARAMS_DEEPEST = 8
_LONGEST_COMPLAINT = 200

_NOTHING_ELSE: Registry[bool | Mapping[str, Any]] = Registry()
"""What a schema may refer to besides itself: left to itself the validator would fetch it from wherever it points."""


class UnableToOrder(VigilError):
    """The order makes no sense as it is; `errors` says where."""

    code = "unable_to_order"
    status = 422


def known_type(kind: str) -> ActionType:
    """The action type of that name; UnableToOrder lists those there are."""
    found = ActionType.objects.select_related("remediator").defer("remediator__secret").filter(name=kind).first()
    if found is None:
        names = ", ".join(ActionType.objects.filter(enabled=True).order_by("name").values_list("name", flat=True))
        raise UnableToOrder(
            f"There is no action type {kind[:100]!r}; known are: {names}.",
            code="unknown_action",
            errors=[FieldError(path="action", message=f"there is no action type {kind[:100]!r}; known are: {names}")],
        )
    return found


type Place = tuple[str | int, ...]
"""Where in the parameters something stands: `("hosts", 0)`."""

_BY_SHAPE = frozenset(
    {"type", "required", "dependentRequired", "additionalProperties"}
    | {"minProperties", "maxProperties", "minItems", "maxItems"}
)
"""Rules that do not look at the values inside: these judge a sample as they will judge the true value."""


def check_params(known: ActionType, params: Mapping[str, object], *, open_at: Collection[Place] = frozenset()) -> None:
    """UnableToOrder when the parameters are too large or too deep, or do not fit the type's JSON Schema.

    `open_at` are places where a sample of the right type stands for a value that is not known yet: then only what holds
    for every such value is a complaint.
    """
    if len(msgspec.json.encode(dict(params))) > PARAMS_LIMIT_BYTES:
        raise UnableToOrder(
            "The parameters are too large; 16 KiB are the most.",
            errors=[FieldError(path="params", message="at most 16 KiB as JSON")],
        )
    if _deeper_than(params, PARAMS_DEEPEST):
        raise UnableToOrder(
            f"The parameters are nested too deeply; {PARAMS_DEEPEST} levels are the most.",
            errors=[FieldError(path="params", message=f"at most {PARAMS_DEEPEST} levels")],
        )
    found = (one for one in _complaints(known, params) if not _may_pass(one, open_at))
    complaints = sorted(found, key=lambda one: one.json_path)
    if complaints:
        raise UnableToOrder(
            f"The parameters do not fit {known.name}: {_said(complaints[0])}.",
            errors=[FieldError(path=_path(one), message=_said(one)) for one in complaints[:20]],
        )


def schema_fault(schema: object) -> str:
    """Why this is no JSON Schema for parameters; "" when it is one."""
    if not isinstance(schema, dict):
        return "a JSON Schema is an object"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return error.message[:_LONGEST_COMPLAINT]
    lost = next((ref for ref in _refs(schema) if _is_lost(ref, schema)), None)
    return "" if lost is None else f"{lost[:_LONGEST_COMPLAINT]} leads nowhere in it"


def _complaints(known: ActionType, params: Mapping[str, object]) -> list[ValidationError]:
    validator = Draft202012Validator(known.schema or {}, registry=_NOTHING_ELSE)
    try:
        return list(validator.iter_errors(dict(params)))
    except (Unresolvable, RecursionError) as error:
        raise UnableToOrder(
            f"The schema of {known.name} leads nowhere or in a circle, so no parameters fit it; an administrator has "
            "to correct the action type."
        ) from error


def _may_pass(complaint: ValidationError, open_at: Collection[Place]) -> bool:
    """Whether another value in an open place could make the complaint go away."""
    if not open_at:
        return False
    if {"then", "else"} & set(complaint.absolute_schema_path):
        return True
    place = tuple(complaint.absolute_path)
    return complaint.validator not in _BY_SHAPE and any(one[: len(place)] == place for one in open_at)


def _refs(schema: object) -> Iterator[str]:
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for one in inside:
        yield from _refs(one)
    if isinstance(schema, dict):
        yield from (schema[key] for key in ("$ref", "$dynamicRef") if isinstance(schema.get(key), str))


def _is_lost(ref: str, schema: Mapping[str, Any]) -> bool:
    resolver = _NOTHING_ELSE.resolver_with_root(DRAFT202012.create_resource(schema))
    try:
        resolver.lookup(ref)
    except Unresolvable:
        return True
    return False


def _deeper_than(value: object, levels: int) -> bool:
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else None
    return inside is not None and (levels == 0 or any(_deeper_than(one, levels - 1) for one in inside))


def _path(error: ValidationError) -> str:
    return "params" + error.json_path.removeprefix("$")


def _said(error: ValidationError) -> str:
    return error.message[:_LONGEST_COMPLAINT]
