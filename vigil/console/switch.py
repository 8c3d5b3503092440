"""The control switch as a page: what is in force, since when and why, and a change in two deliberate steps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from actions import brakes, control, quarantines, queries, storms
from vigil.access import scoped
from vigil.audit import entries
from vigil.console import navigation
from vigil.kernel import clock
from vigil.kernel.errors import VigilError

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

HISTORY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One position of the switch, and what it means for the person who picks it."""

    mode: str
    verb: str
    title: str
    meaning: str
    icon: str
    tone: str


CHOICES = (
    Choice(
        mode="active",
        verb="Let Vigil act",
        title="Active",
        meaning="Vigil judges, opens incidents and carries out remedies as the policies say.",
        icon="play_circle",
        tone="success",
    ),
    Choice(
        mode="observe",
        verb="Only observe",
        title="Observe only",
        meaning="Vigil judges and opens incidents, and writes down what it would have done. It orders nothing.",
        icon="visibility",
        tone="warning",
    ),
    Choice(
        mode="paused",
        verb="Pause Vigil",
        title="Paused",
        meaning="Within 5 seconds nothing new is started. What a remediator is already doing is not taken back.",
        icon="pause_circle",
        tone="danger",
    ),
)
BY_MODE = {choice.mode: choice for choice in CHOICES}


def page(request: HttpRequest, site: "AdminSite") -> HttpResponse:
    """Show the switch; ask once more when a person moves it; move it when they meant it."""
    if request.method != "POST":
        return _shown(request, site, {})
    if "reset" in request.POST or "lift" in request.POST:
        return _let_go(request)
    scoped.demand(request, scoped.SWITCHERS)
    choice = BY_MODE.get(request.POST.get("mode", ""))
    reason = scoped.said(request, "reason")
    if choice is None or not reason:
        problem = "Choose a mode." if choice is None else "Say why, in a few words: the next person on call reads it."
        return _shown(request, site, {"problem": problem, "asked": choice, "reason": reason}, status=422)
    if request.POST.get("confirmed") != "yes":
        return _shown(request, site, {"confirm": choice, "reason": reason})
    return _move(request, choice, reason)


def _move(request: HttpRequest, choice: Choice, reason: str) -> HttpResponse:
    try:
        state = control.set_mode(mode=choice.mode, reason=reason, actor=scoped.caller(request).actor, at=clock.now())
    except VigilError as error:
        messages.error(request, scoped.explained(error))
        return HttpResponseRedirect(reverse("admin:control"))
    if state.mode == choice.mode:
        messages.success(request, f"Vigil is now {navigation.MODE_WORDS[state.mode][0].lower()}.")
    else:
        messages.warning(
            request, f"The switch says {choice.mode}, but Vigil stays {state.mode}: {state.reason} ({state.by})."
        )
    return HttpResponseRedirect(reverse("admin:control"))


def _let_go(request: HttpRequest) -> HttpResponse:
    """A person has looked at what a guard holds."""
    scope, target = request.POST.get("reset", ""), request.POST.get("lift", "")
    actor, reason = scoped.caller(request).actor, scoped.said(request, "reason") or "No reason was given."

    def reset() -> str:
        storms.reset(scope=scope, actor=actor, reason=reason)
        return f"{scope} may act again."

    def lift() -> str:
        quarantines.lift(target=target, actor=actor, reason=reason)
        return f"{target} is out of quarantine."

    needs, do = (scoped.SWITCHERS, reset) if scope else (scoped.OPERATORS, lift)
    return scoped.carry_out(request, needs=needs, do=do, back=reverse("admin:control"))


def _shown(request: HttpRequest, site: "AdminSite", more: dict[str, object], *, status: int = 200) -> HttpResponse:
    state = navigation.switch(request)
    counts = queries.counts_by_state()
    context = {
        **site.each_context(request),
        "title": "Control",
        "state": state,
        "now_is": BY_MODE[state.mode],
        "choices": CHOICES,
        "by_file": state.at is None and state.by.startswith("file "),
        "may_switch": scoped.allows(request, scoped.SWITCHERS),
        "running": counts["leased"] + counts["executing"] + counts["accepted"] + counts["unknown"],
        "waiting": counts["ready"] + counts["retry_wait"],
        "history": entries.of("control").order_by("-seq")[:HISTORY],
        "held": brakes.standing(),
        "may_lift": scoped.allows(request, scoped.OPERATORS),
        "at": clock.now(),
        **more,
    }
    return TemplateResponse(request, "console/control.html", context, status=status)
