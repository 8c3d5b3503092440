"""The audit trail as a page: to be searched and read, by nobody to be changed."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from vigil.access.scoped import LongList
from vigil.audit.models import Entry

SUBJECTS = (
    "action", "incident", "policy", "control", "silence", "maintenance", "inhibition", "common_cause", "key",
    "remediator", "action-type", "user", "lockout", "schedule", "simulator",
)  # fmt: skip


class SubjectFilter(admin.SimpleListFilter):
    """By the sort of thing that changed."""

    title = "about"
    parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(one, one) for one in SUBJECTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        about = self.value()
        if about is None:
            return queryset
        return (
            queryset.filter(subject="control")
            if about == "control"
            else queryset.filter(subject__startswith=f"{about}:")
        )


class ByFilter(admin.SimpleListFilter):
    """People, keys, or Vigil by itself."""

    title = "by"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("user:", "people"), ("key:", "API keys"), ("policy:", "policies"), ("vigil", "Vigil itself")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Entry]) -> QuerySet[Entry]:
        by = self.value()
        return queryset.filter(actor__startswith=by) if by else queryset


@admin.register(Entry)
class EntryAdmin(LongList[Entry]):
    """Who did what, when and why."""

    list_display = ("at", "subject", "kind", "change", "actor", "reason")
    list_filter = (SubjectFilter, ByFilter)
    search_fields = ("=subject", "kind", "actor", "reason", "=request_id")
    search_help_text = "Subject (such as action:12), kind, actor, reason, or a request id"
    ordering = ("-at", "-id")
    fields = (
        "at", "subject", "seq", "kind", "change", "actor", "reason", "numbers", "request_id", "previous_digest",
        "digest",
    )  # fmt: skip

    @admin.display(description="change")
    def change(self, obj: Entry) -> str | None:
        if not obj.to_state or obj.from_state == obj.to_state:
            return None
        return f"{obj.from_state} → {obj.to_state}" if obj.from_state else obj.to_state
