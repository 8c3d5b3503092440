"""The console: Django's admin with the theme, a front page that answers at a glance, and the control switch."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path

from vigil.access import people, scoped
from vigil.console import dashboard, navigation, switch
from vigil.kernel import clock

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite as ThemedSite
else:
    from unfold.sites import UnfoldAdminSite as ThemedSite


class ConsoleSite(ThemedSite):
    """Staff with the scope `read` come in; what else they may do, their groups say."""

    index_title = "Now"
    index_template = "console/now.html"
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_staff and navigation.reads(request)

    def get_urls(self) -> list[URLResolver | URLPattern]:
        return [
            path("now/", self.admin_view(self.now), name="now"),
            path("control/", self.admin_view(switch.page), {"site": self}, name="control"),
            *super().get_urls(),
        ]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = super().each_context(request)
        if self.has_permission(request):
            context["vigil_switch"] = navigation.switch(request)
            context["vigil_may_switch"] = scoped.allows(request, scoped.SWITCHERS)
        return context

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if request.method != "POST" or not isinstance(request.user, User):
            return super().password_change(request, extra_context)
        with people.password_watched(request.user, actor=scoped.caller(request).actor):
            return super().password_change(request, extra_context)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        at = clock.now()
        return super().index(request, {**(extra_context or {}), "now": dashboard.look(at=at), "at": at})

    def now(self, request: HttpRequest) -> HttpResponse:
        """The living part of the front page, which the page asks for again every few seconds."""
        at = clock.now()
        context = {"vigil_switch": navigation.switch(request), "now": dashboard.look(at=at), "at": at}
        response = TemplateResponse(request, "console/now_body.html", context)
        response["Cache-Control"] = "no-store"
        return response
