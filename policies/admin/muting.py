"""What the pages of silences, maintenance windows and inhibition rules have in common: made, shown, ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from policies.muteforms import MutingForm
from policies.mutes import Muting
from policies.muting.reach import Reach
from vigil.access import scoped
from vigil.access.scoped import OPERATORS, ScopedAdmin
from vigil.audit import entries
from vigil.kernel import clock
from vigil.kernel.errors import VigilError

type Facts = Sequence[tuple[str, object]]


class LiveFilter(admin.SimpleListFilter):
    """Those that still mean something, or those that are over."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "live"), ("over", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        over = Q(ended_at__isnull=False)
        if any(field.name == "ends_at" for field in queryset.model._meta.get_fields()):
            over |= Q(ends_at__lte=clock.now())
        match self.value():
            case "live":
                return queryset.exclude(pk__in=queryset.filter(over).values("pk"))
            case "over":
                return queryset.filter(over)
            case _:
                return queryset


class MutingAdmin[M: Muting](ScopedAdmin[M]):
    """Made and ended by operators, changed through the API, removed by nobody."""

    to_add = to_act = OPERATORS
    list_filter = (LiveFilter,)
    ordering = ("-id",)
    form_class: type[MutingForm]
    introduction = ""
    made = ""

    def get_urls(self) -> list[URLPattern]:
        end = self.admin_site.admin_view(self.end_view)
        return [path("<int:number>/end/", end, name=f"{self._name}_end"), *super().get_urls()]

    # --- what each page says for itself

    def create(self, raw: Mapping[str, object], *, actor: str, at: datetime) -> M:
        """Carry out the form."""
        raise NotImplementedError

    def end(self, number: int, *, actor: str, at: datetime) -> None:
        """End one."""
        raise NotImplementedError

    def reach(self, raw: Mapping[str, object], *, at: datetime) -> Reach | None:
        """What the form would mute now; None where that cannot be told."""
        raise NotImplementedError

    def facts(self, row: M, *, at: datetime) -> Facts:
        """What its page shows."""
        raise NotImplementedError

    def is_over(self, row: M, *, at: datetime) -> bool:
        """Whether there is nothing left to end."""
        raise NotImplementedError

    # --- the pages

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        scoped.demand(request, OPERATORS)
        form = self.form_class(request.POST if request.method == "POST" else None, initial=request.GET.dict())
        if request.method != "POST" or not form.is_valid():
            return self._page(request, "console/mute_new.html", 422 if request.method == "POST" else 200, form=form)
        at, actor = clock.now(), scoped.caller(request).actor
        try:
            found = self.reach(form.raw, at=at)
            if "preview" in request.POST:
                return self._page(request, "console/mute_new.html", 200, form=form, reach=found)
            row = self.create(form.raw, actor=actor, at=at)
        except VigilError as error:
            form.refuse(error)
            return self._page(request, "console/mute_new.html", 422, form=form)
        self.message_user(request, self.made)
        return HttpResponseRedirect(self._address("change", row.pk))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        scoped.demand(request, self.to_view if request.method == "GET" else scoped.NOBODY)
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404("There is no such thing.")
        at = clock.now()
        return self._page(
            request,
            "console/mute.html",
            200,
            row=row,
            facts=self.facts(row, at=at),
            entries=entries.of(self.subject(row)),
            may_end=scoped.allows(request, OPERATORS) and not self.is_over(row, at=at),
            end_page=self._address("end", row.pk),
        )

    def end_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """From now on it mutes nothing."""

        def do() -> str:
            self.end(number, actor=scoped.caller(request).actor, at=clock.now())
            return "It is ended; conditions are judged afresh from here on."

        return scoped.carry_out(request, needs=OPERATORS, do=do, back=self._address("change", number))

    def subject(self, row: M) -> str:
        """How the audit trail names it."""
        raise NotImplementedError

    @property
    def _name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def _address(self, page: str, number: object) -> str:
        return reverse(f"admin:{self._name}_{page}", args=[number])

    def _page(self, request: HttpRequest, template: str, status: int, **context: Any) -> HttpResponse:
        row = context.get("row")
        whole = {
            **self.admin_site.each_context(request),
            "title": str(row) if row is not None else f"New {self.opts.verbose_name}",
            "introduction": self.introduction,
            "object": row,
            "back": reverse(f"admin:{self._name}_changelist"),
            **context,
        }
        return TemplateResponse(request, template, whole, status=status)
