"""When a reading was measured: RFC 3339 with a zone or epoch seconds, within what Vigil keeps."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_SECONDS_FROM = 1e11
"""As seconds this is the year 5138, as milliseconds 1973: nobody means the former."""
_EXAMPLE = "such as 2026-01-19T12:00:00Z, or as epoch seconds, or leave it out"


class NotAMoment(ValueError):
    """The message says what to send instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The times a reading may have."""

    oldest: datetime
    newest: datetime
    future_tolerance: timedelta
    retention: timedelta | None
    oldest_second: float
    newest_second: float
    """The same bounds as epoch seconds."""

    def moment(self, sent: datetime | float) -> datetime | None:
        """`sent` in UTC, or None when it is outside. Quick: `explained` says why."""
        if isinstance(sent, datetime):
            return sent.astimezone(UTC) if self.oldest <= sent <= self.newest else None
        return datetime.fromtimestamp(sent, UTC) if self.oldest_second <= sent <= self.newest_second else None

    def explained(self, sent: object) -> datetime:
        """`sent` in UTC; NotAMoment says what is wrong with it."""
        if isinstance(sent, bool) or not isinstance(sent, str | int | float):
            raise NotAMoment(f"must be a time, {_EXAMPLE}")
        told = _parsed(sent) if isinstance(sent, str) else float(sent)
        if isinstance(told, float) and abs(told) >= _NOT_SECONDS_FROM:
            raise NotAMoment("is too large for epoch seconds; milliseconds are not taken, send seconds")
        moment = self.moment(told)
        if moment is None:
            raise NotAMoment(self.outside(told))
        return moment

    def outside(self, told: datetime | float) -> str:
        """What is wrong with a time that is not inside."""
        late = told > self.newest if isinstance(told, datetime) else told > self.newest_second
        if late:
            seconds = round(self.future_tolerance.total_seconds())
            return f"is more than {seconds} s in the future; set the sender's clock, or leave the timestamp out"
        if self.retention is None:
            return "is before 1970; send the time of the measurement"
        return f"is older than the {self.retention.days} days that are kept; send only newer readings"


def span(*, received_at: datetime, retention: timedelta | None, future_tolerance: timedelta) -> Span:
    """What is taken from a body received at `received_at`."""
    oldest = _EPOCH if retention is None else max(_EPOCH, received_at - retention)
    newest = received_at + future_tolerance
    return Span(
        oldest=oldest,
        newest=newest,
        future_tolerance=future_tolerance,
        retention=retention,
        oldest_second=oldest.timestamp(),
        newest_second=newest.timestamp(),
    )


def _parsed(text: str) -> datetime:
    if re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", text, re.ASCII):
        raise NotAMoment("is a number in quotes; send epoch seconds as a number")
    if re.search(r":60(\.\d+)?\s*([zZ]|[+-]\d\d:?\d\d)?$", text):
        raise NotAMoment("has a leap second (:60), which cannot be stored; send the second before it (:59)")
    if re.search(r"[tT ]24:", text):
        raise NotAMoment("has the hour 24; send 00:00 of the next day")
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise NotAMoment(f"is not an RFC 3339 time; send one {_EXAMPLE}") from None
    if moment.tzinfo is None:
        raise NotAMoment("has no time zone; end it with Z or an offset such as +01:00")
    return moment
