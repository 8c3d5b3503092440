"""The forms for what mutes. What they mean is judged by `policies.muting`, as for the API."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms

from policies.engine import calendar
from policies.muting.bodies import Json
from vigil.kernel.errors import FieldError, VigilError

ONCE, WEEKLY = "once", "weekly"
_DAYS = list(zip(calendar.DAYS, ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], strict=True))


def _text(**more: Any) -> forms.CharField:
    options: dict[str, Any] = {"required": False, "max_length": 500, **more}
    return forms.CharField(**options)


def _lines(**more: Any) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})
    return forms.CharField(required=False, max_length=8000, widget=widget, **more)


def _moment(**more: Any) -> forms.CharField:
    return _text(widget=forms.DateTimeInput(attrs={"type": "datetime-local"}), **more)


class MutingForm(forms.Form):
    """What the forms have in common."""

    place_of: dict[str, str] = {}
    """The box for each field of the written shape, where it has another name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if not isinstance(field.widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
                field.widget.attrs["class"] = "vg-input"

    @property
    def raw(self) -> Json:
        """What was written, in the shape people write."""
        raise NotImplementedError

    def refuse(self, error: VigilError) -> None:
        """Put each refusal beside the box it is about."""
        for one in error.errors or (FieldError(path="", message=error.detail),):
            head = one.path.partition("[")[0].removeprefix("weekly.")
            box = self.place_of.get(head, head)
            self.add_error(box if box in self.fields else None, one.message)


class SilenceForm(MutingForm):
    """A new silence."""

    matchers = _lines(
        label="What",
        help_text="One matcher a line, all must hold: target = web-*, policy = high-cpu, severity != critical, "
        "region =~ us-(east|west)-1. Every other name is a tag. target = * is everything.",
    )
    duration = _text(label="For", initial="2h", help_text="Such as 30m, 2h or 1d.")
    starts_at = _moment(label="From (UTC)", help_text="Empty: now.")
    comment = _text(label="Why", help_text="Everybody reads it beside what is held.")
    place_of = {"ends_at": "duration"}

    @property
    def raw(self) -> Json:
        data = self.cleaned_data
        return {
            "matchers": list(_lines_of(data["matchers"])),
            "duration": data["duration"] or None,
            "starts_at": _at(data["starts_at"], ZoneInfo("UTC")),
            "comment": data["comment"],
        }


class WindowForm(MutingForm):
    """A new maintenance window."""

    target = _text(label="Targets", help_text="A name, a pattern such as db-*, or * for every target.")
    how = forms.ChoiceField(
        choices=[(ONCE, "Once"), (WEEKLY, "Every week")], initial=ONCE, widget=forms.RadioSelect, label="How often"
    )
    timezone = _text(
        label="Time zone",
        initial="UTC",
        help_text="Such as Europe/Berlin. Where clocks jump, it opens early and closes late.",
    )
    starts_at = _moment(label="Once: from", help_text="Empty: now.")
    duration = _text(label="Once: for", initial="2h", help_text="Such as 30m, 2h or 1d.")
    days = forms.MultipleChoiceField(
        choices=_DAYS, required=False, widget=forms.CheckboxSelectMultiple, label="Every week: on"
    )
    opens = _text(label="Every week: from", widget=forms.TimeInput(attrs={"type": "time"}))
    closes = _text(
        label="Every week: to",
        widget=forms.TimeInput(attrs={"type": "time"}),
        help_text="At or before the start it is on the next day.",
    )
    comment = _text(label="Why", help_text="Everybody reads it beside what is held.")
    place_of = {"ends_at": "duration", "from": "opens", "to": "closes"}

    def clean_timezone(self) -> str:
        """The once-only start is read in it, so it must exist before anything else is asked."""
        name = str(self.cleaned_data["timezone"]).strip() or "UTC"
        if name not in available_timezones():
            raise forms.ValidationError("Name a zone, such as Europe/Berlin or UTC.")
        return name

    @property
    def raw(self) -> Json:
        data = self.cleaned_data
        common: Json = {"target": data["target"].strip(), "comment": data["comment"]}
        if data["how"] == WEEKLY:
            hours = {"from": data["opens"][:5], "to": data["closes"][:5], "timezone": data["timezone"]}
            return {**common, "weekly": {"days": data["days"], **hours}}
        starts_at = _at(data["starts_at"], ZoneInfo(data["timezone"]))
        return {**common, "starts_at": starts_at, "duration": data["duration"] or None}


class InhibitionForm(MutingForm):
    """A new inhibition rule."""

    name = _text(label="Name", max_length=100, help_text="Such as: a dead host holds its services.")
    source = _lines(label="While this is open", help_text="One matcher a line: policy = host-down.")
    target = _lines(label="Hold this", help_text="One matcher a line: policy != host-down.")
    equal = _text(
        label="Where both agree on", help_text="Tags, comma separated, such as host; or target. Empty: always."
    )
    comment = _text(label="Why")

    @property
    def raw(self) -> Json:
        data = self.cleaned_data
        return {
            "name": data["name"],
            "source": list(_lines_of(data["source"])),
            "target": list(_lines_of(data["target"])),
            "equal": [part.strip() for part in data["equal"].split(",") if part.strip()],
            "comment": data["comment"],
        }


def _lines_of(text: str) -> Iterable[str]:
    return (line.strip() for line in text.splitlines() if line.strip())


def _at(text: str, zone: ZoneInfo) -> str | None:
    """What a date box holds, as a time with its zone; what cannot be read is passed on, to be refused with advice."""
    if not text.strip():
        return None
    try:
        wall = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    if wall.tzinfo is not None:
        return text
    try:
        return calendar.earliest(wall, zone).astimezone(UTC).isoformat()
    except OverflowError:
        return text
