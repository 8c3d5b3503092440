"""Inhibition rules as pages."""

from collections.abc import Mapping
from datetime import datetime

from django.contrib import admin

from policies.admin.muting import Facts, MutingAdmin
from policies.models import InhibitionRule
from policies.muteforms import InhibitionForm
from policies.muting import bodies, inhibitions, reach
from policies.muting.reach import Reach
from vigil.access import marks


@admin.register(InhibitionRule)
class InhibitionAdmin(MutingAdmin[InhibitionRule]):
    """What holds what."""

    list_display = ("name", "state", "rule", "author", "comment")
    search_fields = ("name", "comment", "author")
    search_help_text = "Name, reason or author"
    form_class = InhibitionForm
    introduction = (
        "While an incident of the first kind is open, incidents of the second kind that agree with it are held: a dead "
        "host holds the twenty services on it."
    )
    made = "The rule is in force."

    @admin.display(description="state")
    def state(self, obj: InhibitionRule) -> str:
        return marks.tag("removed" if obj.ended_at else "in force")

    @admin.display(description="rule")
    def rule(self, obj: InhibitionRule) -> str:
        return inhibitions.said(obj)

    def create(self, raw: Mapping[str, object], *, actor: str, at: datetime) -> InhibitionRule:
        return inhibitions.create(raw=raw, actor=actor, at=at)

    def end(self, number: int, *, actor: str, at: datetime) -> None:
        inhibitions.end(rule_id=number, actor=actor, at=at)

    def reach(self, raw: Mapping[str, object], *, at: datetime) -> Reach | None:
        return reach.of_matchers(bodies.inhibition(raw).target, at=at)

    def facts(self, row: InhibitionRule, *, at: datetime) -> Facts:
        return [
            ("State", self.state(row)),
            ("While open", " and ".join(row.source)),
            ("Holds", " and ".join(row.target)),
            ("Where both agree on", ", ".join(row.equal) or "nothing: always"),
            ("Why", row.comment or "not said"),
            ("By", row.author),
        ]

    def is_over(self, row: InhibitionRule, *, at: datetime) -> bool:
        return row.ended_at is not None

    def subject(self, row: InhibitionRule) -> str:
        return row.subject
