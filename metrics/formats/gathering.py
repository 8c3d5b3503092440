"""What the decoders of foreign protocols share: the names Vigil takes, and readings gathered under the usual bounds."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import NamedTuple

from metrics.formats import payloads, text
from metrics.formats.moments import Span
from metrics.formats.reading import SEVERITIES, Decoded, EventReading, Reading, Rejected, Unreadable
from vigil.kernel.errors import FieldError

ERRORS_MOST = 8
_NAME_LOOKED_AT, _KEY_LOOKED_AT = 300, 100
"""Characters that are enough to see that it is too long."""


class Identity(NamedTuple):
    """Which series a value belongs to, in the words Vigil takes."""

    name: str
    tags: dict[str, str]
    errors: tuple[FieldError, ...] = ()
    """What keeps it from being a series."""


def identity(name: str, tags: Iterable[tuple[str, str]]) -> Identity:
    """`name` and `tags` with `_` for each character Vigil does not take in names and keys; a blank tag is no tag."""
    fitting = text.fitting_name(name)
    errors = [FieldError(path="name", message=flaw)] if (flaw := text.name_flaw(fitting[:_NAME_LOOKED_AT])) else []
    kept: dict[str, str] = {}
    for key, value in tags:
        if not value or value.isspace():
            continue
        fitting_key = text.fitting_key(key)
        flaw = _tag_flaw(fitting_key, value)
        if flaw:
            errors.append(FieldError(path=f"tags.{text.shown(key)}", message=flaw))
        kept[fitting_key] = value
        if len(kept) > text.TAGS_MOST or len(errors) >= ERRORS_MOST:
            break
    if len(kept) > text.TAGS_MOST:
        errors.append(_too_many_tags())
    return Identity(fitting, kept, tuple(errors))


def beside(one: Identity, suffix: str, **more: str) -> Identity:
    """The series that stands beside `one`: its name with `suffix`, its tags and `more`, whose values are known good."""
    if one.errors:
        return one
    name, tags = one.name + suffix, one.tags | more
    if flaw := text.name_flaw(name):
        return Identity(name, tags, (FieldError(path="name", message=flaw),))
    if len(tags) > text.TAGS_MOST:
        return Identity(name, tags, (_too_many_tags(),))
    return Identity(name, tags)


def _too_many_tags() -> FieldError:
    return FieldError(path="tags", message=f"has more than {text.TAGS_MOST} tags; send fewer")


def _tag_flaw(key: str, value: str) -> str:
    # What is refused for its length alone must not be remembered with the answers that are.
    if len(value) > text.TAG_VALUE_MOST:
        return text.too_long(value)
    return text.tag_key_flaw(key[:_KEY_LOOKED_AT]) or text.tag_value_flaw(value)


class Gathering:
    """Readings on their way out of a decoder. Everything that was sent has an index, whatever becomes of it.

    Where a protocol's things are several values each, `begin` begins one, and all its values have its index.
    """

    def __init__(self, span: Span, *, max_items: int) -> None:
        self._span = span
        self._most = max_items
        self._next = 0
        self._thing: int | None = None
        self._items: list[tuple[int, Reading | EventReading]] = []
        self._rejected: list[Rejected] = []
        self._skipped = 0

    def begin(self) -> None:
        """What follows belongs to the next thing."""
        self._thing = 0 if self._thing is None else self._thing + 1

    def expect(self, count: int) -> None:
        """Unreadable (413) when `count` more are more than a request may hold: to be asked before they are listed."""
        if self._next + count > self._most:
            raise self._too_many()

    def sample(self, one: Identity, value: float, at: datetime | float | None) -> None:
        """One value. What is not finite says that there is none, and is left out.

        Raises Unreadable (413) when there are more than a request may hold.
        """
        index = self._counted()
        if not isfinite(value):
            self._skipped += 1
            return
        moment = None if at is None else self._span.moment(at)
        if one.errors:
            self._rejected.append(Rejected(index=index, errors=one.errors))
        elif at is not None and moment is None:
            self._rejected.append(Rejected(index=index, errors=(self._outside(at),)))
        else:
            self._items.append((index, Reading(one.name, value, one.tags, moment)))

    def event(
        self,
        one: Identity,
        *,
        severity: str,
        payload: Mapping[str, object],
        at: datetime | float | None,
        once: str = "",
    ) -> None:
        """Something that happened; `once` tells it from every other, however often it is sent."""
        index = self._counted()
        moment = None if at is None else self._span.moment(at)
        errors = list(one.errors)
        if severity not in SEVERITIES:
            errors.append(FieldError(path="severity", message=f"must be one of {', '.join(SEVERITIES)}"))
        kept = dict(payload)
        if flaw := payloads.flaw(kept):
            errors.append(FieldError(path="payload", message=flaw))
        if at is not None and moment is None:
            errors.append(self._outside(at))
        if errors:
            self._rejected.append(Rejected(index=index, errors=tuple(errors)))
        else:
            self._items.append((index, EventReading(one.name, severity, one.tags, kept, moment, once)))

    def refuse(self, *errors: FieldError) -> None:
        """Something that cannot be a reading."""
        self._rejected.append(Rejected(index=self._counted(), errors=errors))

    def skip(self) -> None:
        """Something that says there is no value."""
        self._counted()
        self._skipped += 1

    def decoded(self) -> Decoded:
        """Everything gathered."""
        return Decoded(items=self._items, rejected=self._rejected, single=False, skipped=self._skipped)

    def _counted(self) -> int:
        index = self._next
        if index >= self._most:
            raise self._too_many()
        self._next = index + 1
        return index if self._thing is None else self._thing

    def _too_many(self) -> Unreadable:
        return Unreadable(f"Too many values in one request: send at most {self._most}.", code="too_many", status=413)

    def _outside(self, at: datetime | float) -> FieldError:
        return FieldError(path="timestamp", message=self._span.outside(at))
