"""Read the fields of one JSON object strictly; every problem is collected with its path, not only the first."""

import math
from collections.abc import Collection, Mapping
from datetime import timedelta

from policies.engine import durations, rules, suggestions
from policies.engine.conditions import ZERO

_SHOWN = 40
_MOST_COMPLAINTS = 5


class Fields:
    """One object being read. A field that cannot be read yields a harmless value and leaves a problem behind."""

    def __init__(self, source: Mapping[str, object], *, path: str, problems: list[rules.Problem]) -> None:
        self._source = source
        self._path = path
        self._problems = problems

    def complain(self, field: str, message: str) -> None:
        self._problems.append((rules.at(self._path, field), message))

    def only(self, known: Collection[str]) -> None:
        """Refuse every field that is not known here."""
        unknown = [field for field in self._source if field not in known]
        for field in unknown[:_MOST_COMPLAINTS]:
            near = suggestions.meant(str(field), known)
            self.complain(clipped(field), f"unknown field{near or '; known here: ' + ', '.join(known)}")

    def has(self, field: str) -> bool:
        return field in self._source

    def raw(self, field: str) -> object:
        return self._source.get(field)

    def text(self, field: str) -> str:
        value = self._present(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.complain(field, f"must be a text, not {kind(value)}")
            return ""
        return value

    def name(self, field: str) -> str:
        value = self.text(field)
        if isinstance(self._source.get(field), str):
            problem = rules.name_problem(value)
            if problem is not None:
                self.complain(field, problem)
        return value

    def names(self, field: str) -> tuple[str, ...]:
        """A list of names of tags, at least one."""
        several = value = self._present(field)
        if not isinstance(several, list | tuple) or not several or len(several) > rules.MOST_TAGS:
            if value is not None:
                self.complain(field, f"must be a list of one to {rules.MOST_TAGS} names of tags")
            return ()
        for place, one in enumerate(several):
            problem = rules.name_problem(one) if isinstance(one, str) else f"must be a text, not {kind(one)}"
            if problem is not None:
                self.complain(f"{field}[{place}]", problem)
                return ()
        return tuple(str(one) for one in several)

    def choice(self, field: str, known: Collection[str]) -> str | None:
        """One of the known words; None after a complaint."""
        value = self.text(field)
        if value in known:
            return value
        if isinstance(self._source.get(field), str):
            near = suggestions.meant(value, known)
            self.complain(field, f"unknown {field} `{clipped(value)}`{near or '; known: ' + ', '.join(known)}")
        return None

    def number(self, field: str) -> float:
        value = self._present(field)
        if value is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.complain(field, f"must be a number, not {kind(value)}")
            return 0.0
        return self._finite(field, value)

    def whole(self, field: str) -> int:
        value = self._present(field)
        if value is None:
            return 1
        if isinstance(value, bool) or not isinstance(value, int):
            self.complain(field, f"must be a whole number, not {kind(value)}")
            return 1
        return value

    def duration(self, field: str) -> timedelta:
        value = self._present(field)
        if value is None:
            return ZERO
        if not isinstance(value, str):
            self.complain(field, f"must be a duration such as 30s, 5m, 2h or 1d, not {kind(value)}")
            return ZERO
        try:
            return durations.parse(value)
        except ValueError as error:
            self.complain(field, f"`{clipped(value)}` is no duration: {error}")
            return ZERO

    def inner(self, field: str) -> "Fields | None":
        """The object in this field; None after a complaint."""
        value = self._present(field)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.complain(field, f"must be an object, not {kind(value)}")
            return None
        return Fields(value, path=rules.at(self._path, field), problems=self._problems)

    def _present(self, field: str) -> object:
        if field not in self._source:
            self.complain(field, "is missing")
            return None
        value = self._source[field]
        if value is None:
            self.complain(field, "must not be null")
        return value

    def _finite(self, field: str, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.complain(field, "must be a finite number")
            return 0.0
        return number


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list | tuple) else "an object"


def clipped(text: object) -> str:
    """At most forty printable characters of something that came from outside."""
    said = "".join(character if character.isprintable() else "?" for character in str(text)[: _SHOWN + 1])
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
