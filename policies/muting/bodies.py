"""Silences, windows and rules as people write them -> checked values. Every field is strict; nothing is guessed."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from policies.engine import calendar, durations, muting, suggestions, targets
from policies.engine.muting import UnusableMatcher
from policies.engine.tags import TagMatcher
from vigil.kernel.errors import FieldError, VigilError, summary

SILENCE_FIELDS = ("matchers", "comment", "starts_at", "ends_at", "duration", "incident_id")
MAINTENANCE_FIELDS = ("target", "comment", "starts_at", "ends_at", "duration", "weekly")
WEEKLY_FIELDS = ("days", "from", "to", "timezone")
INHIBITION_FIELDS = ("name", "comment", "source", "target", "equal")
MATCHERS_MAX = 20
COMMENT_MAX = 500
NAME_MAX = 100
LONGEST = timedelta(days=366)
"""More is not a silence but a policy that should be switched off."""
FARTHEST = timedelta(days=36_525)
"""A century. Near the ends of the calendar there would be no next week to reckon with."""
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_NAMED_MAX = 20

type Json = dict[str, object]


class UnableToMute(VigilError):
    """What was written is no silence, window or rule; `errors` names each place."""

    code = "invalid_muting"
    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceDraft:
    """A silence, checked."""

    matchers: tuple[TagMatcher, ...]
    starts_at: datetime
    ends_at: datetime | None
    comment: str
    incident_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDraft:
    """A maintenance window, checked."""

    target: str
    starts_at: datetime
    ends_at: datetime | None
    weekly: calendar.Weekly | None
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InhibitionDraft:
    """An inhibition rule, checked."""

    name: str
    source: tuple[TagMatcher, ...]
    target: tuple[TagMatcher, ...]
    equal: tuple[str, ...]
    comment: str


def silence(raw: Mapping[str, object], *, at: datetime) -> SilenceDraft:
    """Read a silence; UnableToMute names every place that is wrong."""
    reader = _Reader("a silence", raw, SILENCE_FIELDS)
    incident_id = reader.number("incident_id")
    lone = incident_id is not None and not raw.get("matchers")
    starts_at, ends_at = reader.span(at, endless=incident_id is not None)
    draft = SilenceDraft(
        matchers=() if lone else reader.matchers("matchers"),
        starts_at=starts_at,
        ends_at=ends_at,
        comment=reader.comment(),
        incident_id=incident_id,
    )
    reader.finish()
    return draft


def maintenance(raw: Mapping[str, object], *, at: datetime) -> WindowDraft:
    """Read a maintenance window; UnableToMute names every place that is wrong."""
    reader = _Reader("a maintenance window", raw, MAINTENANCE_FIELDS)
    weekly = reader.weekly(raw.get("weekly"))
    starts_at, ends_at = reader.span(at, endless=raw.get("weekly") is not None)
    draft = WindowDraft(
        target=reader.target(), starts_at=starts_at, ends_at=ends_at, weekly=weekly, comment=reader.comment()
    )
    reader.finish()
    return draft


def inhibition(raw: Mapping[str, object]) -> InhibitionDraft:
    """Read an inhibition rule; UnableToMute names every place that is wrong."""
    reader = _Reader("an inhibition rule", raw, INHIBITION_FIELDS)
    equal = reader.labels("equal")
    draft = InhibitionDraft(
        name=reader.name(),
        source=reader.matchers("source"),
        target=reader.matchers("target", broad=bool(equal)),
        equal=equal,
        comment=reader.comment(required=False),
    )
    reader.finish()
    return draft


def matchers(written: object) -> tuple[TagMatcher, ...]:
    """Read a list of matchers alone, as a preview takes them."""
    reader = _Reader("a preview", {"matchers": written}, ("matchers",))
    found = reader.matchers("matchers")
    reader.finish()
    return found


def target(written: object) -> str:
    """Read a target pattern alone, as a preview takes it."""
    reader = _Reader("a preview", {"target": written}, ("target",))
    found = reader.target()
    reader.finish()
    return found


class _Reader:
    """Collects what is wrong, so that one answer names all of it."""

    def __init__(self, what: str, raw: Mapping[str, object], fields: Sequence[str]) -> None:
        self.what = what
        self.raw = raw
        self.errors: list[FieldError] = []
        self.unknown(raw, fields)

    def finish(self) -> None:
        if self.errors:
            raise UnableToMute(f"This is not {self.what}: {summary(self.errors)}", errors=self.errors)

    def fail(self, path: str, message: str) -> None:
        end = "" if message.endswith((".", "?")) else "."
        self.errors.append(FieldError(path=path, message=f"{message[:1].upper()}{message[1:]}{end}"))

    def unknown(self, raw: Mapping[str, object], fields: Sequence[str], *, below: str = "") -> None:
        for name in [str(name) for name in raw if name not in fields][:_NAMED_MAX]:
            near = suggestions.closest(name, fields)
            advice = f"did you mean `{near}`?" if near else f"the fields are {', '.join(fields)}"
            self.errors.append(FieldError(path=f"{below}{name[:80]}", message=f"There is no such field; {advice}"))

    def text(self, path: str, *, most: int, required: bool, example: str) -> str:
        value = self.raw.get(path)
        if value is None or (isinstance(value, str) and not value.strip()):
            if required:
                self.fail(path, f"say it, as in {example}")
            return ""
        if not isinstance(value, str) or len(value) > most:
            self.fail(path, f"write a text of at most {most} characters")
            return ""
        if any(not letter.isprintable() and letter not in "\n\t" for letter in value):
            self.fail(path, "control and invisible characters are not allowed here")
        return value.strip()

    def comment(self, *, required: bool = True) -> str:
        return self.text("comment", most=COMMENT_MAX, required=required, example="`deploy of the shop`")

    def name(self) -> str:
        return self.text("name", most=NAME_MAX, required=True, example="`a dead host holds its services`")

    def target(self) -> str:
        written = self.raw.get("target")
        try:
            targets.check(written)
        except ValueError as error:
            self.fail("target", str(error))
        return written if isinstance(written, str) else ""

    def number(self, path: str) -> int | None:
        value = self.raw.get(path)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 60:
            self.fail(path, "write the number of an incident")
            return None
        return value

    def labels(self, path: str) -> tuple[str, ...]:
        written = self.raw.get(path, [])
        if not isinstance(written, list) or len(written) > MATCHERS_MAX:
            self.fail(path, f"write a list of at most {MATCHERS_MAX} names, such as ['host']")
            return ()
        for index, name in enumerate(written):
            if not isinstance(name, str) or _TAG.fullmatch(name) is None:
                self.fail(f"{path}[{index}]", "name a tag, or one of target, policy and severity")
        return tuple(dict.fromkeys(str(name) for name in written))

    def matchers(self, path: str, *, broad: bool = False) -> tuple[TagMatcher, ...]:
        """`broad`: they may say alone what is not meant, because something else bounds them."""
        written = self.raw.get(path)
        if not isinstance(written, list) or len(written) > MATCHERS_MAX:
            self.fail(path, f"write a list of at most {MATCHERS_MAX} matchers, such as ['target = web-*']")
            return ()
        before = len(self.errors)
        found = [self.matcher(f"{path}[{index}]", one) for index, one in enumerate(written)]
        whole = tuple(one for one in found if one is not None)
        if broad and whole:
            return whole
        if len(self.errors) == before and (problem := muting.objection(whole)) is not None:
            self.fail(path, problem)
        return whole

    def matcher(self, path: str, written: object) -> TagMatcher | None:
        try:
            if isinstance(written, str):
                return muting.read(written)
            if isinstance(written, dict) and set(written) == {"name", "operator", "value"}:
                name, operator, value = written["name"], written["operator"], written["value"]
                if isinstance(name, str) and isinstance(operator, str) and isinstance(value, str):
                    if _TAG.fullmatch(name) is None:
                        raise UnusableMatcher("`name` is target, policy, severity or a tag")
                    return muting.made(name=name, operator=operator, value=value)
        except UnusableMatcher as error:
            self.fail(path, str(error))
            return None
        self.fail(path, "write `target = web-*`, or an object with name, operator and value")
        return None

    def span(self, at: datetime, *, endless: bool) -> tuple[datetime, datetime | None]:
        """From when until when; an end can be left out only where something else ends it."""
        starts_at = self.moment("starts_at") or at
        ends_at, length = self.moment("ends_at"), self.duration()
        if abs(starts_at - at) > FARTHEST:
            self.fail("starts_at", "that is more than a century away")
            return starts_at, None
        if ends_at is not None and length is not None:
            self.fail("duration", "send `ends_at` or `duration`, not both")
        if length is not None:
            ends_at = max(starts_at, at) + length
        if ends_at is None:
            if not endless and not any(one.path in ("ends_at", "duration") for one in self.errors):
                self.fail("ends_at", "say when it ends: `ends_at` with a time, or `duration` such as 2h")
            return starts_at, None
        if ends_at <= at:
            self.fail("ends_at", "this is in the past already")
        elif ends_at <= starts_at:
            self.fail("ends_at", "it ends before it starts")
        elif ends_at - max(starts_at, at) > LONGEST and self.raw.get("weekly") is None:
            self.fail("ends_at", f"it lasts at most {LONGEST.days} days; disable the policy instead")
        return starts_at, ends_at

    def moment(self, path: str) -> datetime | None:
        value = self.raw.get(path)
        if value is None:
            return None
        try:
            parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
            if parsed is not None and parsed.tzinfo is not None and "T" in str(value).upper():
                return parsed.astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # said below
        self.fail(path, "write a time with a zone, such as 2026-01-19T12:00:00Z")
        return None

    def duration(self) -> timedelta | None:
        value = self.raw.get("duration")
        if value is None:
            return None
        try:
            return durations.parse(value if isinstance(value, str) else "")
        except ValueError as error:
            self.fail("duration", str(error))
            return None

    def weekly(self, written: object) -> calendar.Weekly | None:
        if written is None:
            return None
        if not isinstance(written, dict):
            self.fail("weekly", "write an object with days, from, to and timezone")
            return None
        self.unknown(written, WEEKLY_FIELDS, below="weekly.")
        before = len(self.errors)
        days, zone = self.days(written.get("days")), self.zone(written.get("timezone"))
        opens, closes = self.wall("from", written.get("from")), self.wall("to", written.get("to"))
        if len(self.errors) > before or zone is None:
            return None
        return calendar.Weekly(days=days, opens=opens, closes=closes, zone=zone)

    def days(self, written: object) -> frozenset[int]:
        names = ", ".join(calendar.DAYS)
        if not isinstance(written, list) or not written:
            self.fail("weekly.days", f"list at least one of {names}")
            return frozenset()
        for index, day in enumerate(written):
            if day not in calendar.DAYS:
                self.fail(f"weekly.days[{index}]", f"the days are {names}")
        return frozenset(calendar.DAYS.index(day) for day in written if day in calendar.DAYS)

    def wall(self, field: str, written: object) -> time:
        if isinstance(written, str) and _CLOCK.fullmatch(written):
            return time.fromisoformat(written)
        self.fail(f"weekly.{field}", "write hours and minutes as a clock shows them, such as 22:00")
        return time(0)

    def zone(self, written: object) -> ZoneInfo | None:
        known = _zones()
        if isinstance(written, str) and known.get(written.lower()) == written:
            return ZoneInfo(written)
        self.fail("weekly.timezone", f"name a zone, such as Europe/Berlin or UTC{_meant(written)}")
        return None


def _meant(written: object) -> str:
    """A zone that this looks like, or one of that city."""
    if not isinstance(written, str):
        return ""
    city = written.lower().replace(" ", "_")
    near = suggestions.closest(written, _zones()) or min(
        (name for name in _zones() if name.rpartition("/")[2] == city), default=None
    )
    return f"; did you mean {_zones()[near]}?" if near is not None else ""


@functools.cache
def _zones() -> Mapping[str, str]:
    """Every zone by its name in small letters; looking them up reads many files."""
    return {name.lower(): name for name in available_timezones()}
