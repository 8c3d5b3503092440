"""Common causes as pages: many targets that went bad at once, held together."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from policies.mutes import CommonCause
from policies.muting import common_causes
from vigil.access import marks
from vigil.access.scoped import ScopedAdmin


class StandingFilter(admin.SimpleListFilter):
    """Those that hold targets now, or those that are over."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "holding"), ("over", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[CommonCause]) -> QuerySet[CommonCause]:
        if self.value() not in ("live", "over"):
            return queryset
        return queryset.filter(ended_at__isnull=self.value() == "live")


@admin.register(CommonCause)
class CommonCauseAdmin(ScopedAdmin[CommonCause]):
    """Vigil makes and ends them; a person looks for the cause."""

    list_display = ("policy", "shown_group", "state", "bad", "known", "began_at", "ended_at")
    list_filter = (StandingFilter,)
    search_fields = ("policy__name", "group")
    search_help_text = "Policy or group"
    list_select_related = ("policy",)
    ordering = ("-id",)
    fields = ("policy", "shown_group", "state", "reason", "bad", "known", "held", "began_at", "ended_at")

    @admin.display(description="group")
    def shown_group(self, obj: CommonCause) -> str:
        return f"{obj.group_by}={obj.group}" if obj.group_by else "all its targets"

    @admin.display(description="state")
    def state(self, obj: CommonCause) -> str:
        return marks.tag("holding", of="open") if obj.ended_at is None else marks.tag("over")

    @admin.display(description="incidents it holds")
    def held(self, obj: CommonCause) -> SafeString | str:
        found = (
            (reverse("admin:policies_incident_change", args=[one.pk]), one.target) for one in common_causes.held(obj)
        )
        return format_html_join(", ", '<a href="{}">{}</a>', found) or "none now"
