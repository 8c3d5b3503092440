"""What does not fit a msgspec shape, in words for whoever sent it."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from vigil.kernel.errors import FieldError

_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}
_STEP = re.compile(r"\.?([^.\[]+)|\[(\.\.\.|\d+)\]")
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_KIND = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_LENGTH = re.compile(r"Expected `([^`]+)` of length (>=|<=) (\d+)")
_BOUND = re.compile(r"Expected `([^`]+)` (>=|<=|>|<) (.+)")
_FORM = re.compile(r"Expected `str` matching regex '(.*)'")
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_UNITS = {"str": "characters", "object": "entries", "array": "entries"}


def field_error(error: msgspec.ValidationError, shape: Any) -> FieldError:
    """The place and what belongs there."""
    said, _, place = str(error).partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    field = _FIELD.fullmatch(said)
    if field is None:
        return FieldError(path=path, message=_message(said, path, shape))
    message = "is required" if field[1] == "missing required" else _unknown(path, shape)
    return FieldError(path=f"{path}.{field[2]}".lstrip("."), message=message)


def _message(said: str, path: str, shape: Any) -> str:
    if kind := _KIND.fullmatch(said):
        sent = "a fraction" if kind[2] == "float" else _named(kind[2])
        return f"must be {_named(kind[1])}, not {sent}"
    if length := _LENGTH.fullmatch(said):
        empty = (length[2], length[3]) == (">=", "1")
        return (
            "must not be empty"
            if empty
            else f"must have {_BOUNDS[length[2]]} {length[3]} {_UNITS.get(length[1], 'items')}"
        )
    if bound := _BOUND.fullmatch(said):
        return f"must be {_named(bound[1])} of {_BOUNDS[bound[2]]} {bound[3]}"
    if form := _FORM.fullmatch(said):
        return f"must be text of the form {form[1]}"
    choices = [choice for node in _nodes(path, shape) for choice in _choices(node)]
    if said.startswith("Invalid enum value") and choices:
        return f"must be one of {', '.join(choices)}"
    return said[:1].lower() + said[1:]


def _named(kinds: str) -> str:
    return " or ".join(_KINDS.get(kind, kind) for kind in kinds.split(" | "))


def _unknown(path: str, shape: Any) -> str:
    structs = (node for node in _nodes(path, shape) if isinstance(node, inspect.StructType))
    known = [field.encode_name for struct in structs for field in struct.fields]
    return f"is not a field; known are {', '.join(known)}" if known else "is not a field"


def _choices(node: inspect.Type) -> list[str]:
    if isinstance(node, inspect.LiteralType):
        return [str(value) for value in node.values if value != ""]
    return [str(member.value) for member in node.cls] if isinstance(node, inspect.EnumType) else []


def _nodes(path: str, shape: Any) -> list[inspect.Type]:
    """The types that may stand at `path`; more than one where the shape leaves a choice."""
    found = list(_alternatives(inspect.type_info(shape)))
    for step in _STEP.finditer(path):
        found = [deeper for node in found for deeper in _below(node, step[1])]
    return found


def _below(node: inspect.Type, name: str | None) -> Iterator[inspect.Type]:
    if isinstance(node, inspect.StructType):
        for field in node.fields:
            if field.encode_name == name:
                yield from _alternatives(field.type)
    elif isinstance(node, inspect.DictType):
        yield from _alternatives(node.value_type)
    elif isinstance(node, inspect.ListType | inspect.VarTupleType):
        yield from _alternatives(node.item_type)


def _alternatives(node: inspect.Type) -> Iterator[inspect.Type]:
    """What a choice of types leaves to choose from."""
    if isinstance(node, inspect.UnionType):
        for one in node.types:
            yield from _alternatives(one)
    elif isinstance(node, inspect.Metadata):
        yield from _alternatives(node.type)
    else:
        yield node
