"""Incidents as pages: a list, and the whole story of each with what a person may do about it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import Case, Exists, IntegerField, OuterRef, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from policies import incidents, oscillation, story
from policies.engine import durations
from policies.models import LIVE, Decision, FlapHistory, Incident
from policies.story import Moment, Story
from vigil.access import marks, scoped
from vigil.access.scoped import OPERATORS, LongList
from vigil.kernel import clock
from vigil.kernel.errors import NotFound, VigilError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """One line of the timeline."""

    at: datetime
    title: str
    reason: str
    by: str
    tone: str
    action_id: int | None = None
    numbers: Any = None
    request_id: str = ""


def _flapping() -> QuerySet[FlapHistory]:
    return FlapHistory.objects.filter(flapping_since__isnull=False)


LIVE_FIRST = Case(When(status__in=LIVE, then=Value(0)), default=Value(1), output_field=IntegerField())


class LiveFilter(admin.SimpleListFilter):
    """Live ones, or how they ended."""

    title = "status"
    parameter_name = "is"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("live", "live"),
            ("open", "open"),
            ("pending", "pending"),
            ("exhausted", "needs a person"),
            ("flapping", "flapping"),
            ("healed", "healed"),
            ("resolved", "resolved in any way"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        match self.value():
            case "live":
                return queryset.filter(status__in=LIVE)
            case "exhausted":
                return queryset.filter(status__in=LIVE, exhausted=True, acknowledged_by="")
            case "flapping":
                return queryset.filter(pk__in=_flapping().values("incident"))
            case "healed":
                return queryset.filter(resolution="healed")
            case str(status):
                return queryset.filter(status=status)
            case _:
                return queryset


class PolicyFilter(admin.SimpleListFilter):
    """By policy name, also those removed."""

    title = "policy"
    parameter_name = "policy"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = Incident.objects.order_by("policy__name").values_list("policy__name", flat=True).distinct()
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        return queryset.filter(policy__name=self.value()) if self.value() else queryset


@admin.register(Incident)
class IncidentAdmin(LongList[Incident]):
    """Nothing is edited here: a person acknowledges or resolves, and the policies do the rest."""

    list_display = (
        "what",
        "shown_status",
        "shown_severity",
        "policy",
        "value",
        "opened_at",
        "lasted",
        "acknowledged_by",
    )
    list_filter = (LiveFilter, "severity", PolicyFilter)
    search_fields = ("target", "policy__name", "status_reason")
    search_help_text = "Target, policy, or reason"
    ordering = (LIVE_FIRST, "-id")
    list_select_related = ("policy",)
    actions = ("acknowledge_selected",)
    to_act = OPERATORS

    def get_urls(self) -> list[URLPattern]:
        verbs = (("acknowledge", self.acknowledge_view), ("resolve", self.resolve_view), ("lift", self.lift_view))
        own = [
            path(f"<int:incident_id>/{verb}/", self.admin_site.admin_view(view), name=f"policies_incident_{verb}")
            for verb, view in verbs
        ]
        return [*own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        return super().get_queryset(request).annotate(flapping=Exists(_flapping().filter(incident=OuterRef("pk"))))

    @admin.display(description="target", ordering="target")
    def what(self, obj: Incident) -> str:
        return obj.target

    @admin.display(description="status", ordering="status")
    def shown_status(self, obj: Incident) -> str:
        if obj.live and obj.exhausted and not obj.acknowledged_by:
            return marks.tag("needs a person", of="open")
        status = marks.tag(obj.resolution or obj.status)
        return format_html("{} {}", status, marks.tag("flapping")) if getattr(obj, "flapping", False) else status

    @admin.display(description="severity", ordering="severity")
    def shown_severity(self, obj: Incident) -> str:
        return marks.tag(obj.severity)

    @admin.display(description="lasted")
    def lasted(self, obj: Incident) -> str:
        return durations.spell((obj.resolved_at or clock.now()) - (obj.opened_at or obj.since))

    @admin.action(description="Acknowledge what is selected")
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet[Incident]) -> None:
        scoped.demand(request, OPERATORS)
        at, actor, done = clock.now(), scoped.caller(request).actor, 0
        for incident_id in queryset.values_list("pk", flat=True):
            try:
                incidents.acknowledge(incident_id=incident_id, actor=actor, note="", at=at)
                done += 1
            except VigilError as error:
                messages.error(request, error.detail)
        if done:
            messages.success(request, f"Acknowledged {done} incident{'s' if done > 1 else ''}.")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method != "GET":
            scoped.demand(request, scoped.NOBODY)
        try:
            at = clock.now()
            told = story.of(int(object_id), at=at)
        except (NotFound, ValueError) as error:
            raise Http404("There is no such incident.") from error
        context = {
            **self.admin_site.each_context(request),
            "title": f"{told.incident.target}: {told.incident.policy.name}",
            "object": told.incident,
            "told": told,
            "tales": list(tales(told)),
            "healed_in": story.time_to_heal(told.incident),
            "may_steer": scoped.allows(request, OPERATORS) and told.incident.live,
            "at": at,
        }
        part = request.GET.get("part") == "body"
        return TemplateResponse(request, "console/incident_body.html" if part else "console/incident.html", context)

    def acknowledge_view(self, request: HttpRequest, incident_id: int) -> HttpResponse:
        """A person has seen it."""
        return self._steer(request, incident_id, incidents.acknowledge, "is acknowledged")

    def resolve_view(self, request: HttpRequest, incident_id: int) -> HttpResponse:
        """A person closes it."""
        return self._steer(request, incident_id, incidents.resolve, "is resolved")

    def lift_view(self, request: HttpRequest, incident_id: int) -> HttpResponse:
        """Let the policies that fought over its target act there again."""

        def do() -> str:
            number = request.POST.get("freeze", "")
            if not number.isdecimal():
                raise VigilError("Name the freeze to lift.")
            actor = scoped.caller(request).actor
            note = scoped.said(request, "note")
            lifted = oscillation.lift(freeze_id=int(number[:18]), actor=actor, note=note, at=clock.now())
            return f"The freeze of {lifted.target} is lifted."

        back = reverse("admin:policies_incident_change", args=[incident_id])
        return scoped.carry_out(request, needs=OPERATORS, do=do, back=back)

    def _steer(self, request: HttpRequest, incident_id: int, verb: Callable[..., Incident], done: str) -> HttpResponse:
        def do() -> str:
            note = scoped.said(request, "note")
            verb(incident_id=incident_id, actor=scoped.caller(request).actor, note=note, at=clock.now())
            return f"Incident {incident_id} {done}."

        back = reverse("admin:policies_incident_change", args=[incident_id])
        return scoped.carry_out(request, needs=OPERATORS, do=do, back=back)


def tales(told: Story) -> Iterable[Tale]:
    """The audit trail and the decisions as one line of events, oldest first."""
    for one in story.in_order(told):
        yield _of_moment(one) if isinstance(one, Moment) else _of_decision(one)


def _of_decision(decision: Decision) -> Tale:
    return Tale(
        at=decision.at,
        title=_DECIDED[decision.answer] + (f" ({decision.guard.replace('_', ' ')})" if decision.guard else ""),
        reason=decision.reason,
        by="",
        tone=marks.tone(decision.answer),
        action_id=decision.action_id,
        numbers=decision.numbers,
    )


_DECIDED = {
    "order": "Decided to act",
    "hold": "Held back",
    "refuse": "Refused to act",
    "nothing": "Decided to do nothing",
}


def _of_moment(moment: Moment) -> Tale:
    whose, _, number = moment.subject.partition(":")
    word = moment.kind.partition(".")[2].replace("_", " ")
    return Tale(
        at=moment.at,
        title=f"Incident {word}" if whose == "incident" else f"Action {number} {word}",
        reason=moment.reason,
        by=moment.actor,
        tone=marks.tone(word.replace(" ", "_")) or marks.tone(moment.after if whose == "incident" else ""),
        action_id=int(number) if whose == "action" else None,
        numbers=moment.numbers,
        request_id=moment.request_id,
    )
