"""Parameters with placeholders: `{{ target }}` becomes a value when the action is ordered, in one pass, and no more.

This is no template engine: the names are the table below, nothing is computed, and what is put in stays data, also when
it looks like a placeholder itself. A text that is nothing but a placeholder becomes the value with its type; inside a
longer text a value is written as text. Values come from strangers (tags, targets), so each must be printable and short.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from policies.engine import numerals, suggestions

LONGEST_TEXT = 250
LONGEST_REASON = 2_000
DEEPEST = 16
"""Levels that are looked into; action types take fewer."""

NUMBERS = frozenset({"value", "incident_id"})
TEXTS = frozenset({"target", "policy", "severity", "reason"})
KNOWN = (*sorted(NUMBERS | TEXTS), "tags.NAME")

_TAGS = "tags."
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_OPENING = re.compile(r"\{\{(?:[ \t]*([A-Za-z_][A-Za-z0-9_.-]{0,99})[ \t]*\}\})?")
"""Every `{{`, with the name when it opens a placeholder."""
_SAMPLE_TEXT, _SAMPLE_NUMBER = "x", 0

type Path = tuple[str | int, ...]
"""Where in the parameters something stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What may be put in: as it is known when the action is ordered."""

    target: str
    policy: str
    severity: str
    reason: str
    """Why the condition is violated, in a sentence."""
    value: float | None
    """The number that decided; None when none did."""
    incident_id: int | None
    """None: there is no incident, this is a dry run; it is then written as 0."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is wrong with the parameters."""

    path: str
    """Such as `params.hosts[0]`."""
    message: str


class UnableToRender(Exception):
    """Something that the parameters ask for is not there, or cannot be put in; the text is a sentence."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(f"{flaw.path}: {flaw.message}")
        self.flaw = flaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Parameters with samples in the places of placeholders: their types are the true ones, their values are not."""

    params: Mapping[str, object]
    open_at: frozenset[Path]


def flaws(params: Mapping[str, object]) -> list[Flaw]:
    """Every placeholder that is none, or is not known."""
    return [flaw for path, text, is_key in _texts(params, ()) for flaw in _flaws_of(path, text, is_key=is_key)]


def render(params: Mapping[str, object], facts: Facts) -> dict[str, object]:
    """The parameters with the facts put in; UnableToRender says what is missing, and where."""
    return {name: _rendered(value, (name,), facts) for name, value in params.items()}


def outline(params: Mapping[str, object]) -> Outline:
    """What can be said of the parameters before anything is known."""
    open_at: set[Path] = set()
    filled = {name: _outlined(value, (name,), open_at) for name, value in params.items()}
    return Outline(params=filled, open_at=frozenset(open_at))


def is_filled_in(params: Mapping[str, object]) -> bool:
    """Whether anything in them is put in when the action is ordered."""
    return any("{{" in text for _, text, _ in _texts(params, ()))


def _rendered(value: object, path: Path, facts: Facts) -> object:
    if isinstance(value, str):
        return _put_in(value, path, facts)
    return _inside(value, path, lambda one, place: _rendered(one, place, facts))


def _put_in(text: str, path: Path, facts: Facts) -> object:
    whole = _OPENING.fullmatch(text)
    if whole is not None and whole[1] is not None:
        return _looked_up(whole[1], path, facts)
    return _OPENING.sub(lambda found: _as_text(_looked_up(found[1], path, facts)), text)


def _looked_up(name: str | None, path: Path, facts: Facts) -> str | float:
    """The value of a placeholder; None is what opens like one and is none."""
    complaint = _complaint(name)
    if complaint or name is None:
        raise _unable(path, complaint)
    if name in NUMBERS:
        return _number(name, path, facts)
    text = facts.tags.get(name.removeprefix(_TAGS)) if name.startswith(_TAGS) else getattr(facts, name)
    if not text:
        raise _unable(path, f"`{name}` has no value here, and nothing stands in for it")
    longest = LONGEST_REASON if name == "reason" else LONGEST_TEXT
    if len(text) > longest or not text.isprintable():
        raise _unable(path, f"`{name}` cannot be put in: it must be printable and of at most {longest} characters")
    return str(text)


def _number(name: str, path: Path, facts: Facts) -> float:
    if name == "incident_id":
        return facts.incident_id or 0
    value = facts.value
    if value is None or value != value or value in (float("inf"), float("-inf")):
        raise _unable(path, "`value` has no value here: no number decided this")
    return numerals.plain(float(value))


def _as_text(value: str | float) -> str:
    return value if isinstance(value, str) else numerals.exact(value)


def _outlined(value: object, path: Path, open_at: set[Path]) -> object:
    if not isinstance(value, str):
        return _inside(value, path, lambda one, place: _outlined(one, place, open_at))
    if "{{" not in value:
        return value
    open_at.add(path)
    whole = _OPENING.fullmatch(value)
    return _SAMPLE_NUMBER if whole is not None and whole[1] in NUMBERS else _SAMPLE_TEXT


def _inside(value: object, path: Path, change: Callable[[object, Path], object]) -> object:
    """A container with each member changed; anything else as it is. Too deep a member is left alone."""
    if len(path) >= DEEPEST:
        return value
    if isinstance(value, Mapping):
        return {name: change(one, (*path, name)) for name, one in value.items()}
    if isinstance(value, list):
        return [change(one, (*path, place)) for place, one in enumerate(value)]
    return value


def _texts(value: object, path: Path) -> Iterator[tuple[Path, str, bool]]:
    """Every text with its place, and whether it is a name rather than a value."""
    if isinstance(value, str):
        yield path, value, False
    elif len(path) >= DEEPEST:
        return
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield (*path, name), name, True
            yield from _texts(one, (*path, name))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _texts(one, (*path, place))


def _flaws_of(path: Path, text: str, *, is_key: bool) -> Iterator[Flaw]:
    for found in _OPENING.finditer(text):
        complaint = "the name of a parameter cannot hold a placeholder" if is_key else _complaint(found[1])
        if complaint:
            yield Flaw(path=written(path), message=complaint)


def _complaint(name: str | None) -> str:
    """Why this is no placeholder; "" for one of the table."""
    known = ", ".join(KNOWN)
    if name is None:
        return f"`{{{{` begins a placeholder: write `{{{{ target }}}}` with one of {known}"
    if name.startswith(_TAGS):
        tag = name.removeprefix(_TAGS)
        return "" if _TAG.fullmatch(tag) else f"`{name}` names no tag; write it like `tags.region`"
    if name in NUMBERS | TEXTS:
        return ""
    return f"there is no placeholder `{name}`{suggestions.meant(name, NUMBERS | TEXTS)}; known are {known}"


def written(path: Path) -> str:
    """The path as errors name it."""
    return "params" + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path)


def _unable(path: Path, message: str) -> UnableToRender:
    return UnableToRender(Flaw(path=written(path), message=message))
