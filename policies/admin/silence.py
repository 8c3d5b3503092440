"""Silences as pages."""

from collections.abc import Mapping
from datetime import datetime

from django.contrib import admin

from policies.admin.muting import Facts, MutingAdmin
from policies.models import Silence
from policies.muteforms import SilenceForm
from policies.muting import bodies, reach, silences
from policies.muting.reach import Reach
from vigil.access import marks
from vigil.kernel import clock


@admin.register(Silence)
class SilenceAdmin(MutingAdmin[Silence]):
    """Who wants no noise about what, until when, and why."""

    list_display = ("what", "state", "starts_at", "until", "author", "comment")
    search_fields = ("comment", "author")
    search_help_text = "Reason or author"
    form_class = SilenceForm
    introduction = (
        "What is silenced is recorded and shown, but Vigil announces nothing and orders nothing for it. "
        "What it ordered and has not begun is dropped."
    )
    made = "It is silenced."

    @admin.display(description="what")
    def what(self, obj: Silence) -> str:
        return " and ".join(obj.matchers) or f"incident {obj.incident_id}"

    @admin.display(description="state")
    def state(self, obj: Silence) -> str:
        return marks.tag(silences.state(obj, at=clock.now()))

    @admin.display(description="until", ordering="ends_at")
    def until(self, obj: Silence) -> str:
        return f"{obj.ends_at:%Y-%m-%d %H:%M:%S}" if obj.ends_at is not None else f"incident {obj.incident_id} is over"

    def create(self, raw: Mapping[str, object], *, actor: str, at: datetime) -> Silence:
        return silences.create(raw=raw, actor=actor, at=at)

    def end(self, number: int, *, actor: str, at: datetime) -> None:
        silences.end(silence_id=number, actor=actor, at=at)

    def reach(self, raw: Mapping[str, object], *, at: datetime) -> Reach | None:
        return reach.of_matchers(bodies.silence(raw, at=at).matchers, at=at)

    def facts(self, row: Silence, *, at: datetime) -> Facts:
        return [
            ("What", self.what(row)),
            ("State", marks.tag(silences.state(row, at=at))),
            ("From", row.starts_at),
            ("Until", self.until(row)),
            ("Why", row.comment),
            ("By", row.author),
        ]

    def is_over(self, row: Silence, *, at: datetime) -> bool:
        return silences.state(row, at=at) == "expired"

    def subject(self, row: Silence) -> str:
        return row.subject
