"""The console's pages about acting: actions are read and steered by verbs, their types and remediators are edited."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from actions import approvals, dispatch, queries, steering
from actions.consent import Asks, Voice
from actions.forms import ActionTypeForm, OrderForm, RemediatorForm
from actions.models import Action, ActionType, Remediator
from actions.states import TERMINAL, State, Status, states_of
from vigil.access import marks, scoped, scopes
from vigil.access.scoped import ADMINISTRATORS, APPROVERS, OPERATORS, LongList, ScopedAdmin
from vigil.audit import entries
from vigil.kernel import clock, context
from vigil.kernel.errors import VigilError

RETRIABLE = frozenset({State.FAILED, State.EXPIRED, State.CANCELLED, State.REJECTED, State.NEEDS_HUMAN})

PARTS = {part: f"console/action_{part}.html" for part in ("body", "head", "rest")}
"""Parts of an action's page that refresh by themselves; what a person is writing in is in none."""


class StatusFilter(admin.SimpleListFilter):
    """By the public word, plus the one that matters most."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        special = [("needs_human", "needs human"), ("awaiting_approval", "waits for approval"), ("live", "not over")]
        return [*special, *((one.value, one.value) for one in Status)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Action]) -> QuerySet[Action]:
        match self.value():
            case None:
                return queryset
            case "needs_human":
                return queryset.filter(state=State.NEEDS_HUMAN)
            case "awaiting_approval":
                return queryset.filter(state=State.AWAITING_APPROVAL)
            case "live":
                return queryset.exclude(state__in=sorted(TERMINAL))
            case said:
                return queryset.filter(state__in=sorted(states_of(said)))


@admin.register(Action)
class ActionAdmin(LongList[Action]):
    """Every action with its story. Nothing is edited: a person orders, cancels, retries, or leaves a note."""

    list_display = (
        *("what", "shown_state", "policy", "incident", "tries", "shown_verification", "created_at", "ordered_by"),
    )
    list_filter = (StatusFilter, "verification", "action_type", "severity")
    search_fields = ("target", "policy_name", "ordered_by", "request_id", "action_type__name")
    search_help_text = "Target, policy, type, who ordered it, or a request id"
    ordering = ("-id",)
    actions = ("cancel_selected",)
    to_add = to_act = OPERATORS

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(f"<int:action_id>/{verb}/", self.admin_site.admin_view(view), name=f"actions_action_{verb}")
            for verb, view in (
                ("cancel", self.cancel_view),
                ("retry", self.retry_view),
                ("note", self.note_view),
                ("approve", self.approve_view),
                ("reject", self.reject_view),
            )
        ]
        return [*own, *super().get_urls()]

    @admin.display(description="action", ordering="id")
    def what(self, obj: Action) -> str:
        return f"{obj.action_type_id} on {obj.target}"

    @admin.display(description="state", ordering="state")
    def shown_state(self, obj: Action) -> str:
        return marks.tag(obj.state, of=obj.state if obj.state in marks.TONES else obj.status)

    @admin.display(description="policy", ordering="policy_name", empty_value="by hand")
    def policy(self, obj: Action) -> str | None:
        return obj.policy_name or None

    @admin.display(description="incident", ordering="incident_id")
    def incident(self, obj: Action) -> str | None:
        return (
            marks.link(f"#{obj.incident_id}", "policies_incident_change", obj.incident_id) if obj.incident_id else None
        )

    @admin.display(description="attempts", ordering="attempt_no")
    def tries(self, obj: Action) -> str:
        return f"{obj.attempt_no} of {obj.max_attempts}"

    @admin.display(description="verified", ordering="verification")
    def shown_verification(self, obj: Action) -> str | None:
        return marks.tag(obj.verification) if obj.verification else None

    @admin.action(description="Cancel what is selected")
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Action]) -> None:
        scoped.demand(request, OPERATORS)
        at, actor, done = clock.now(), scoped.caller(request).actor, 0
        for action_id in queryset.values_list("pk", flat=True):
            try:
                steering.cancel(action_id=action_id, actor=actor, reason="Cancelled from the list.", at=at)
                done += 1
            except VigilError as error:
                messages.error(request, error.detail)
        if done:
            messages.success(request, f"Cancelled, or asked to cancel, {done} action{'s' if done > 1 else ''}.")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        scoped.demand(request, OPERATORS)
        first = {"key": context.new_request_id(), "target": request.GET.get("target", "")}
        form = OrderForm(request.POST) if request.method == "POST" else OrderForm(initial=first)
        if request.method == "POST" and form.is_valid():
            ordered = self._order(request, form)
            if ordered is not None:
                return HttpResponseRedirect(reverse("admin:actions_action_change", args=[ordered.id]))
        shown = {**self.admin_site.each_context(request), "title": "Order an action", "form": form}
        return TemplateResponse(request, "console/order.html", shown, status=422 if form.errors else 200)

    def _order(self, request: HttpRequest, form: OrderForm) -> queries.ActionView | None:
        said = form.cleaned_data
        try:
            answer = dispatch.order_by_hand(
                kind=said["kind"],
                target=said["target"],
                params=said["params"],
                reason=said["reason"],
                actor=scoped.caller(request).actor,
                at=clock.now(),
                idempotency_key=f"console:{said['key']}",
            )
        except VigilError as error:
            form.refuse(error)
            return None
        if isinstance(answer, dispatch.Ordered):
            messages.success(request, f"Ordered as action {answer.action.id}.")
            return answer.action
        form.add_error(None, f"Not ordered: {answer.reason}.")
        return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method != "GET":
            scoped.demand(request, scoped.NOBODY)
        row = self.get_queryset(request).filter(pk=object_id).first() if object_id.isdecimal() else None
        if row is None:
            raise Http404("There is no such action.")
        shown = queries.view(row)
        may_judge = approvals.may_judge(shown, _voice(request))
        page = {
            **self.admin_site.each_context(request),
            "title": f"{shown.kind} on {shown.target}",
            "object": row,
            "action": shown,
            "attempts": queries.attempts_of(row.pk),
            "story": entries.of(row.subject),
            "retries": row.retries.order_by("id"),
            "may_steer": scoped.allows(request, OPERATORS),
            "may_cancel": shown.is_live and not may_judge and not (shown.cancel_requested and not shown.needs_human),
            "may_retry": shown.state in RETRIABLE,
            "approval": approvals.picture(shown, at=clock.now()),
            "may_judge": may_judge,
            "why_not": approvals.why_not_approve(shown, _voice(request)) if shown.waits_for_a_word else "",
            "at": clock.now(),
        }
        return TemplateResponse(request, PARTS.get(request.GET.get("part", ""), "console/action.html"), page)

    def cancel_view(self, request: HttpRequest, action_id: int) -> HttpResponse:
        """Cancel it, or ask the remediator's worker to."""
        return self._steer(request, action_id, self._cancel)

    def retry_view(self, request: HttpRequest, action_id: int) -> HttpResponse:
        """Order it again as a new action."""
        return self._steer(request, action_id, self._retry)

    def approve_view(self, request: HttpRequest, action_id: int) -> HttpResponse:
        """Say yes to what waits for a word."""
        return self._judge(request, action_id, self._approve)

    def reject_view(self, request: HttpRequest, action_id: int) -> HttpResponse:
        """Say no to it."""
        return self._judge(request, action_id, self._reject)

    def note_view(self, request: HttpRequest, action_id: int) -> HttpResponse:
        """Replace its notes."""
        return self._steer(request, action_id, self._annotate)

    def _steer(self, request: HttpRequest, action_id: int, verb: Callable[[HttpRequest, int], str]) -> HttpResponse:
        back = reverse("admin:actions_action_change", args=[action_id])
        return scoped.carry_out(request, needs=OPERATORS, do=lambda: verb(request, action_id), back=back)

    def _cancel(self, request: HttpRequest, action_id: int) -> str:
        after = steering.cancel(
            action_id=action_id, actor=scoped.caller(request).actor, reason=_reason(request), at=clock.now()
        )
        if after.state == State.CANCELLED:
            return f"Action {action_id} is cancelled."
        state = after.state.replace("_", " ")
        return f"Action {action_id} is {state}: the cancellation is requested, no new attempt starts."

    def _judge(self, request: HttpRequest, action_id: int, verb: Callable[[HttpRequest, int], str]) -> HttpResponse:
        asks = self.get_queryset(request).filter(pk=action_id).values_list("asks", flat=True).first()
        needs = OPERATORS if asks == Asks.OPERATOR and not scoped.allows(request, APPROVERS) else APPROVERS
        back = reverse("admin:actions_action_change", args=[action_id])
        return scoped.carry_out(request, needs=needs, do=lambda: verb(request, action_id), back=back)

    def _approve(self, request: HttpRequest, action_id: int) -> str:
        after = approvals.approve(
            action_id=action_id, voice=_voice(request), reason=scoped.said(request, "reason"), at=clock.now()
        )
        if after.waits_for_a_word:
            return f"Your approval of action {action_id} is kept; it waits for somebody else's as well."
        return f"Action {action_id} is approved and starts."

    def _reject(self, request: HttpRequest, action_id: int) -> str:
        approvals.reject(
            action_id=action_id, voice=_voice(request), reason=scoped.said(request, "reason"), at=clock.now()
        )
        return f"Action {action_id} is rejected; it will not run."

    def _retry(self, request: HttpRequest, action_id: int) -> str:
        answer = steering.retry(
            action_id=action_id, actor=scoped.caller(request).actor, reason=_reason(request), at=clock.now()
        )
        if isinstance(answer, dispatch.Ordered):
            return f"Ordered again as action {answer.action.id}."
        raise steering.UnableToRetry(f"Not ordered: {answer.reason}.")

    def _annotate(self, request: HttpRequest, action_id: int) -> str:
        steering.annotate(
            action_id=action_id,
            notes=request.POST.get("notes", ""),
            actor=scoped.caller(request).actor,
            at=clock.now(),
        )
        return "The notes are kept."


class EditedByAdministrators:
    """What the two edited kinds of row share: administrators write, everyone reads, each change is in the audit."""

    to_add = to_change = ADMINISTRATORS
    subject = ""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)  # type: ignore[misc]
        entries.write(
            kind=f"{self.subject}.{'updated' if change else 'created'}",
            subject=f"{self.subject}:{obj.name}",
            actor=scoped.caller(request).actor,
            reason=f"Changed {', '.join(form.changed_data)}." if change else "New.",
            at=clock.now(),
        )


@admin.register(Remediator)
class RemediatorAdmin(EditedByAdministrators, ScopedAdmin[Remediator]):
    """Who carries actions out. The secret goes in and never comes out."""

    subject = "remediator"
    form = RemediatorForm
    list_display = ("name", "kind", "address", "has_secret", "enabled", "shown_circuit", "used_for")
    list_filter = ("kind", "enabled")
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Remediator]:
        signed = ExpressionWrapper(~Q(secret=""), output_field=BooleanField())
        return (
            super()
            .get_queryset(request)
            .select_related("circuit")
            .prefetch_related("action_types")
            .annotate(signed=signed)
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj is not None else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        readable = ("name", "kind", "config", "enabled")
        may_write = scoped.allows(request, self.to_change if obj is not None else self.to_add)
        return (*readable, "new_secret", "drop_secret") if may_write else (*readable, "has_secret")

    @admin.display(description="where")
    def address(self, obj: Remediator) -> str | None:
        config = obj.config if isinstance(obj.config, dict) else {}
        return str(config.get("url") or config.get("command") or "") or None

    @admin.display(description="signed", boolean=True)
    def has_secret(self, obj: Any) -> bool:
        return bool(obj.signed)

    @admin.display(description="circuit")
    def shown_circuit(self, obj: Remediator) -> str:
        position = obj.circuit.position if hasattr(obj, "circuit") else "closed"
        return marks.tag(position.replace("_", "-"), of="" if position == "closed" else "warning")

    @admin.display(description="used for")
    def used_for(self, obj: Remediator) -> str:
        return ", ".join(sorted(one.name for one in obj.action_types.all())) or "nothing"


@admin.register(ActionType)
class ActionTypeAdmin(EditedByAdministrators, ScopedAdmin[ActionType]):
    """The sorts of remediation there are. A name keeps its meaning for ever: switch one off rather than reuse it."""

    subject = "action-type"
    form = ActionTypeForm
    list_display = ("name", "description", "remediator", "shown_safety", "shown_risk", "enabled")
    list_filter = ("remediator", "risk", "retry_safety", "enabled")
    search_fields = ("name", "description")
    fields = (
        "name", "description", "remediator", "enabled", "retry_safety", "risk", "max_seconds", "cancel",
        "rollback", "tells", "schema",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ActionType]:
        return super().get_queryset(request).select_related("remediator").defer("remediator__secret")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj is not None else ()

    @admin.display(description="repeating it", ordering="retry_safety")
    def shown_safety(self, obj: ActionType) -> str:
        return obj.get_retry_safety_display()

    @admin.display(description="risk", ordering="risk")
    def shown_risk(self, obj: ActionType) -> str:
        return marks.tag(obj.risk, of={"high": "warning", "critical": "critical"}.get(obj.risk, ""))


def _voice(request: HttpRequest) -> Voice:
    caller = scoped.caller(request)
    return Voice(
        actor=caller.actor,
        operates=scopes.ACTIONS_WRITE in caller.scopes,
        approves=scopes.ACTIONS_APPROVE in caller.scopes,
    )


def _reason(request: HttpRequest) -> str:
    return scoped.said(request, "reason") or "No reason was given."
