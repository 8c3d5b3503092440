"""API keys as pages: made, shown once, revoked; never edited and never removed."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.debug import sensitive_variables

from vigil.access import keys, marks, scoped
from vigil.access.forms import KeyForm
from vigil.access.models import ApiKey
from vigil.access.scoped import ADMINISTRATORS, ScopedAdmin
from vigil.kernel import clock
from vigil.kernel.errors import VigilError


class StateFilter(admin.SimpleListFilter):
    """Whether the key still opens anything."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "active"), ("revoked", "revoked"), ("expired", "expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        match self.value():
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
            case "expired":
                return queryset.filter(revoked_at__isnull=True, expires_at__lte=clock.now())
            case "active":
                return queryset.filter(revoked_at__isnull=True).exclude(expires_at__lte=clock.now())
            case _:
                return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(ScopedAdmin[ApiKey]):
    """Machines' credentials, for administrators."""

    to_view = to_add = ADMINISTRATORS
    list_display = (
        "name",
        "state",
        "prefix",
        "shown_scopes",
        "shown_targets",
        "last_used_at",
        "expires_at",
        "created_by",
    )
    list_filter = (StateFilter,)
    search_fields = ("name", "prefix", "created_by")
    ordering = ("-id",)

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(self.revoke_view)
        return [path("<int:key_id>/revoke/", revoke, name="access_apikey_revoke"), *super().get_urls()]

    @admin.display(description="state")
    def state(self, obj: ApiKey) -> str:
        return marks.tag(state_of(obj))

    @admin.display(description="may")
    def shown_scopes(self, obj: ApiKey) -> str:
        return ", ".join(obj.scopes)

    @admin.display(description="targets")
    def shown_targets(self, obj: ApiKey) -> str:
        return ", ".join(obj.targets) or "all"

    @sensitive_variables("plain")
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        scoped.demand(request, ADMINISTRATORS)
        form = KeyForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            at = clock.now()
            try:
                key, plain = keys.create(
                    name=form.cleaned_data["name"],
                    scopes=form.cleaned_data["scopes"],
                    actor=scoped.caller(request).actor,
                    expires_at=form.expires_at(at),
                    targets=form.patterns(),
                    at=at,
                )
            except VigilError as error:
                form.refuse(error)
            else:
                return self._page(request, "console/key_made.html", key=key, plain=plain)
        return self._page(request, "console/key_new.html", form=form)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        scoped.demand(request, ADMINISTRATORS if request.method == "GET" else scoped.NOBODY)
        key = self.get_object(request, object_id)
        if key is None:
            raise Http404("There is no such key.")
        return self._page(request, "console/key.html", key=key, state=state_of(key))

    def revoke_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        """From now on the key opens nothing."""

        def do() -> str:
            key = ApiKey.objects.filter(pk=key_id).first()
            if key is None:
                raise VigilError("There is no such key.", status=404)
            reason = scoped.said(request, "reason") or "Revoked in the console."
            done = keys.revoke(key=key, actor=scoped.caller(request).actor, at=clock.now(), reason=reason)
            return f"Key {key.name} opens nothing any more." if done else f"Key {key.name} was revoked before."

        back = reverse("admin:access_apikey_change", args=[key_id])
        return scoped.carry_out(request, needs=ADMINISTRATORS, do=do, back=back)

    def _page(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        key = context.get("key")
        title = key.name if key is not None else "New API key"
        whole = {**self.admin_site.each_context(request), "title": title, "object": key, "at": clock.now(), **context}
        response = TemplateResponse(request, template, whole)
        response["Cache-Control"] = "no-store"  # the page that shows a key is shown once
        return response


def state_of(key: ApiKey) -> str:
    """active, revoked or expired."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= clock.now() else "active"
