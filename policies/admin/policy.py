"""Policies as pages: the list, the form with its live sentence and its try on recent data, and the versions."""

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from policies import authoring, conflicts, demotion, documents, forms, preview
from policies.admin import history
from policies.engine import conditions, durations
from policies.forms import Misread, PolicyForm
from policies.models import LIVE, Policy
from vigil.access import marks, scoped
from vigil.access.scoped import EDITORS, ScopedAdmin
from vigil.kernel import clock
from vigil.kernel.database import tx
from vigil.kernel.errors import FieldError, VigilError

PREVIEW_MAX = 200
MODES = {"observe": "observes", "suggest": "suggests", "approve": "asks for approval", "auto": "acts"}
IN_FORCE = {
    "observe": "only observes",
    "suggest": "proposes: an operator's click lets it act",
    "approve": "proposes: an approver lets it act",
    "auto": "acts",
}


class SeverityFilter(admin.SimpleListFilter):
    """The severity of the version in force."""

    title = "severity"
    parameter_name = "severity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("critical", "critical"), ("warning", "warning"), ("info", "info")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Policy]) -> QuerySet[Policy]:
        return queryset.filter(current__severity=self.value()) if self.value() else queryset


@admin.register(Policy)
class PolicyAdmin(ScopedAdmin[Policy]):
    """What is wrong, where, and what to do about it. Every write goes through `policies.authoring`."""

    to_add = to_change = to_act = EDITORS
    list_display = ("name", "state", "severity", "target", "sentence", "shown_mode", "remedy", "troubles", "last_error")
    list_filter = ("enabled", "mode", SeverityFilter)
    search_fields = ("name", "current__sentence")
    search_help_text = "Name, or a word of the condition"
    actions = ("enable_selected", "disable_selected")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Policy]:
        live = Count("incidents", filter=Q(incidents__status__in=LIVE))
        found = super().get_queryset(request).select_related("current", "health", "demotion")
        return found.annotate(live_incidents=live)

    def get_urls(self) -> list[URLPattern]:
        views: list[tuple[str, Callable[..., HttpResponse], str]] = [
            ("sentence/", self.sentence_view, "sentence"),
            ("preview/", self.preview_view, "preview"),
            ("<int:policy_id>/switch/", self.switch_view, "switch"),
            ("<int:policy_id>/return/<int:number>/", self.return_view, "return"),
            ("<int:policy_id>/promote/", self.promote_view, "promote"),
            ("<int:policy_id>/remove/", self.remove_view, "remove"),
        ]
        own = [
            path(route, self.admin_site.admin_view(view), name=f"policies_policy_{name}") for route, view, name in views
        ]
        return [*own, *super().get_urls()]

    # --- the list

    @admin.display(description="state", ordering="enabled")
    def state(self, obj: Policy) -> str:
        health = getattr(obj, "health", None)
        if obj.enabled and health is not None and health.disabled_by_error:
            return marks.tag("stopped by its errors", of="broken")
        return marks.tag("in force" if obj.enabled else "off")

    @admin.display(description="severity", ordering="current__severity")
    def severity(self, obj: Policy) -> str | None:
        return marks.tag(obj.current.severity) if obj.current is not None else None

    @admin.display(description="targets")
    def target(self, obj: Policy) -> str | None:
        return obj.current.document.get("target") if obj.current is not None else None

    @admin.display(description="condition")
    def sentence(self, obj: Policy) -> str | None:
        return obj.current.sentence if obj.current is not None else None

    @admin.display(description="mode", ordering="mode")
    def shown_mode(self, obj: Policy) -> str:
        shown = marks.tag(MODES[obj.mode], of="auto" if obj.mode == "auto" else "")
        if obj.demotion is None:
            return shown
        return format_html("{} {}", shown, marks.tag("demoted", of="warning"))

    @admin.display(description="remedy")
    def remedy(self, obj: Policy) -> str | None:
        if obj.current is None:
            return None
        steps = [
            obj.current.document.get("action", ""),
            *(one["action"] for one in obj.current.document.get("then", [])),
        ]
        return " → ".join(steps)

    @admin.display(description="incidents", ordering="live_incidents")
    def troubles(self, obj: Any) -> str | None:
        return marks.tag(f"{obj.live_incidents} live", of="open") if obj.live_incidents else None

    @admin.display(description="last error")
    def last_error(self, obj: Policy) -> str | None:
        health = getattr(obj, "health", None)
        return (health.last_error[:120] if health is not None else "") or None

    @admin.action(description="Put in force")
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Policy]) -> None:
        self._each(request, queryset, authoring.enable, "in force")

    @admin.action(description="Switch off (withdraws their incidents)")
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Policy]) -> None:
        self._each(request, queryset, authoring.disable, "off")

    def _each(self, request: HttpRequest, queryset: QuerySet[Policy], verb: Callable[..., object], word: str) -> None:
        scoped.demand(request, EDITORS)
        names = list(queryset.values_list("name", flat=True))
        for name in names:
            try:
                verb(name=name, actor=scoped.caller(request).actor, at=clock.now())
            except VigilError as error:
                messages.error(request, error.detail)
                return
        messages.success(request, f"{', '.join(names)}: {word}.")

    # --- the form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        scoped.demand(request, EDITORS)
        return self._form(request, None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        scoped.demand(request, self.to_view if request.method == "GET" else EDITORS)
        found = Policy.objects.filter(pk=object_id) if object_id.isdecimal() else Policy.objects.none()
        policy = found.select_related("current", "health", "demotion__incident").first()
        if policy is None or policy.current is None:
            raise Http404("There is no such policy; it may have been removed.")
        return self._form(request, policy)

    def _form(self, request: HttpRequest, policy: Policy | None) -> HttpResponse:
        if request.method == "POST":
            form = PolicyForm(request.POST, policy=policy)
            if form.is_valid():
                saved = self._save(request, form, policy)
                if saved is not None:
                    return HttpResponseRedirect(reverse("admin:policies_policy_change", args=[saved.pk]))
            return self._page(request, form, policy, status=422)
        return self._page(request, PolicyForm(initial=_initial(policy), policy=policy), policy)

    def _save(self, request: HttpRequest, form: PolicyForm, policy: Policy | None) -> Policy | None:
        actor, at, note = scoped.caller(request).actor, clock.now(), form.cleaned_data["note"]
        try:
            if policy is None:
                saved = authoring.create(raw=form.raw, actor=actor, at=at, note=note)
                messages.success(request, f"Policy {saved.name} is kept as version 1. {_force(saved)}")
                _warn(request, saved)
                return saved
            expected = form.cleaned_data["version"]
            done = _replace(policy, form.raw, actor=actor, at=at, note=note, expected=expected)
        except VigilError as error:
            form.refuse(forms.refusals(error))
            return None
        number = authoring.current(done.policy).number
        messages.success(
            request, f"Kept as version {number}. {_force(done.policy)}" if done.changed else "Nothing changed."
        )
        _warn(request, done.policy)
        return done.policy

    def _page(
        self, request: HttpRequest, form: PolicyForm, policy: Policy | None, *, status: int = 200
    ) -> HttpResponse:
        at = clock.now()
        context = {
            **self.admin_site.each_context(request),
            "title": policy.name if policy is not None else "New policy",
            "object": policy,
            "opts_of_list": self.model._meta,
            "form": form,
            "policy": policy,
            "policy_mode": MODES[policy.mode] if policy is not None else "",
            "health": getattr(policy, "health", None),
            "terms": history.terms(policy.current) if policy is not None and policy.current is not None else [],
            "editions": history.of(policy) if policy is not None else [],
            "may_write": scoped.allows(request, EDITORS),
            "schemas": {one.name: {"description": one.description, "schema": one.schema} for one in form.kinds},
            "conflicts": conflicts.of(policy.name) if policy is not None else [],
            "evidence": demotion.evidence(policy) if policy is not None and policy.demotion is not None else [],
            "live": policy.incidents.filter(status__in=LIVE).order_by("-id") if policy is not None else [],
            "at": at,
        }
        return TemplateResponse(request, "console/policy.html", context, status=status)

    # --- what the form asks while a person writes

    def sentence_view(self, request: HttpRequest) -> HttpResponse:
        """The condition in the other ways of writing, or where it is wrong."""
        if request.method != "POST":
            return JsonResponse({"problems": ["Send the form."]}, status=405)
        scoped.demand(request, EDITORS)
        try:
            condition = forms.read_condition(request.POST)
        except Misread as error:
            return JsonResponse({"problems": [one.message for one in error.places]})
        return JsonResponse({"problems": [], **forms.ways(condition)})

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """What the draft says of the data that is there: a piece of a page."""
        if request.method != "POST":
            return HttpResponse("Send the form.", status=405, content_type="text/plain")
        scoped.demand(request, EDITORS)
        at = clock.now()
        try:
            document = forms.provisional(forms.document_of(_posted(request)))
        except Misread as error:
            return self._tried(request, {"problems": error.places})
        except VigilError as error:
            return self._tried(request, {"problems": forms.refusals(error)})
        outlooks = preview.on_recent(document=document, at=at, limit=PREVIEW_MAX)
        return self._tried(
            request,
            {
                "outlooks": outlooks,
                "document": document,
                "violated": sum(one.verdict.violated for one in outlooks),
                "hold": durations.text(hold) if (hold := conditions.top_level_hold(document.condition)) else "",
                "capped": len(outlooks) == PREVIEW_MAX,
                "at": at,
            },
        )

    def _tried(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        return TemplateResponse(request, "console/policy_preview.html", context)

    # --- verbs

    def switch_view(self, request: HttpRequest, policy_id: int) -> HttpResponse:
        """In force or off."""
        on = request.POST.get("to") == "on"
        verb = authoring.enable if on else authoring.disable

        def do() -> str:
            name = _name(policy_id)
            verb(name=name, actor=scoped.caller(request).actor, at=clock.now())
            return f"Policy {name} is {'in force' if on else 'off; its incidents are withdrawn'}."

        return scoped.carry_out(request, needs=EDITORS, do=do, back=_change_page(policy_id))

    def return_view(self, request: HttpRequest, policy_id: int, number: int) -> HttpResponse:
        """Put what an earlier version said in force again, as a new version."""

        def do() -> str:
            policy = authoring.get(_name(policy_id))
            kept = policy.versions.filter(number=number).first()
            if kept is None:
                raise VigilError(f"There is no version {number}.", status=404)
            raw = documents.written(name=policy.name, enabled=policy.enabled, kept=kept.document)
            actor, note = scoped.caller(request).actor, f"Back to what version {number} said."
            done = _replace(policy, raw, actor=actor, at=clock.now(), note=note, expected=None)
            return f"Version {authoring.current(done.policy).number} says what version {number} said."

        return scoped.carry_out(request, needs=EDITORS, do=do, back=_change_page(policy_id))

    def promote_view(self, request: HttpRequest, policy_id: int) -> HttpResponse:
        """Give a demoted policy back what its version says."""

        def do() -> str:
            policy = authoring.get(_name(policy_id))
            note = request.POST.get("note", "").strip()[:500]
            ended = demotion.promote(policy, actor=scoped.caller(request).actor, note=note, at=clock.now())
            return f"Policy {policy.name} may do again what it says; it was demoted from {ended.from_mode}."

        return scoped.carry_out(request, needs=EDITORS, do=do, back=_change_page(policy_id))

    def remove_view(self, request: HttpRequest, policy_id: int) -> HttpResponse:
        """Remove it, once the person has typed its name."""
        back = {"page": _change_page(policy_id)}

        def do() -> str:
            name = _name(policy_id)
            if request.POST.get("name", "").strip() != name:
                raise VigilError("Type the policy's name to remove it; nothing was removed.")
            authoring.delete(name=name, actor=scoped.caller(request).actor, at=clock.now())
            back["page"] = reverse("admin:policies_policy_changelist")
            return f"Policy {name} is removed; its history stays."

        scoped.carry_out(request, needs=EDITORS, do=do, back=back["page"])
        return HttpResponseRedirect(back["page"])


def _warn(request: HttpRequest, policy: Policy) -> None:
    """It is kept all the same."""
    for one in conflicts.of(policy.name):
        messages.warning(request, f"It can fight: {one.message}.")


def _replace(
    policy: Policy, raw: documents.Json, *, actor: str, at: Any, note: str, expected: int | None
) -> authoring.Saved:
    """The whole policy anew, in one transaction, unless somebody else changed it since the form was opened."""
    draft = authoring.check(raw)

    def run() -> authoring.Saved:
        held = Policy.objects.select_for_update().filter(pk=policy.pk).first()
        number = authoring.current(held).number if held is not None else None
        if held is None or (expected is not None and number != expected):
            message = (
                f"Somebody saved version {number} while you were writing. Open the page in a second window and put "
                "your change on top of it."
            )
            raise authoring.PolicyChanged(message, errors=[FieldError(path="", message=message)])
        return authoring.save(draft, actor=actor, at=at, note=note)

    return tx(run)


def _posted(request: HttpRequest) -> dict[str, Any]:
    """The form's values without its complaints: a draft need not be complete to be tried."""
    form = PolicyForm(request.POST)
    form.is_valid()
    return {name: form.cleaned_data.get(name, request.POST.get(name, "")) for name in form.fields}


def _initial(policy: Policy | None) -> dict[str, Any] | None:
    if policy is None or policy.current is None:
        return None
    try:
        document = documents.from_stored(policy.name, policy.current.document)
    except VigilError:
        kept = policy.current.document
        as_json = json.dumps(kept.get("condition"), indent=2)
        return {
            **{key: value for key, value in kept.items() if isinstance(value, str)},
            "written_as": "json",
            "condition": as_json,
        }
    return forms.initial_of(policy, document, policy.current.document)


def _name(policy_id: int) -> str:
    name = Policy.objects.filter(pk=policy_id).values_list("name", flat=True).first()
    if name is None:
        raise VigilError("There is no such policy; it may have been removed.", status=404)
    return name


def _change_page(policy_id: int) -> str:
    return reverse("admin:policies_policy_change", args=[policy_id])


def _force(policy: Policy) -> str:
    if not policy.enabled:
        return "It is switched off."
    return f"It is in force and {IN_FORCE[policy.mode]}."
