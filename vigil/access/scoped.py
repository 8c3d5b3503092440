"""The console asks for the same scopes as the API: what a person may see, change and do."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import cached_property

from vigil.access import principal, scopes
from vigil.access.principal import Principal
from vigil.http import pagination
from vigil.kernel.errors import VigilError

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as Themed
else:
    from unfold.admin import ModelAdmin

    class Themed[M](ModelAdmin):
        """The theme knows no type parameters."""


type Needs = frozenset[str] | None
"""Scopes that must all be there; None is nobody, ever."""

READERS: Needs = frozenset({scopes.READ})
OPERATORS: Needs = frozenset({scopes.READ, scopes.ACTIONS_WRITE})
APPROVERS: Needs = frozenset({scopes.READ, scopes.ACTIONS_APPROVE})
EDITORS: Needs = frozenset({scopes.READ, scopes.POLICIES_WRITE})
SWITCHERS: Needs = frozenset({scopes.READ, scopes.CONTROL})
ADMINISTRATORS: Needs = scopes.ALL
NOBODY: Needs = None


def caller(request: HttpRequest) -> Principal:
    """Who is signed in, with their scopes; looked up once a request."""
    known = getattr(request, "_vigil_caller", None)
    if not isinstance(known, Principal):
        known = principal.of_user(request.user)
        request._vigil_caller = known  # type: ignore[attr-defined]
        setattr(request, principal.ACTOR_ATTRIBUTE, known.actor)
    return known


def allows(request: HttpRequest, needs: Needs) -> bool:
    """Whether the person has every scope that is needed."""
    return needs is not None and needs <= caller(request).scopes


def demand(request: HttpRequest, needs: Needs) -> None:
    """PermissionDenied, with what is missing, unless the person may."""
    if allows(request, needs):
        return
    missing = ", ".join(sorted((needs or frozenset()) - caller(request).scopes)) or "nobody may do this here"
    raise PermissionDenied(
        f"Your account may not do that (missing: {missing}). An administrator can add you to a group."
    )


def carry_out(request: HttpRequest, *, needs: Needs, do: Callable[[], str], back: str) -> HttpResponse:
    """One verb of a person: checked, done, answered with a message on the page it came from."""
    if request.method != "POST":
        return HttpResponseRedirect(back)
    demand(request, needs)
    try:
        messages.success(request, do())
    except VigilError as error:
        messages.error(request, explained(error))
    return HttpResponseRedirect(back)


def said(request: HttpRequest, field: str, *, most: int = 500) -> str:
    """What a person wrote in a box, as one line that any database and any terminal can take."""
    written = " ".join(request.POST.get(field, "").split())
    return "".join(letter for letter in written if letter.isprintable())[:most]


def explained(error: VigilError) -> str:
    """The refusal and every place it names, in one line."""
    places = [f"{one.path}: {one.message}" for one in error.errors if one.message not in error.detail]
    return " ".join([error.detail, *places])


class InfinitePaginator(Paginator[Any]):
    """Pages as far as rows are counted; beyond that a filter leads further than turning pages.

    Its name is Unfold's own, whose lists then leave out a second number of results, and theirs of all.
    """

    template_name = "console/pagination.html"

    @property
    def more_than(self) -> str:
        """How many there are at least, when not all were counted."""
        return f"{pagination.COUNTED_MOST:,}" if self.count > pagination.COUNTED_MOST else ""

    @cached_property
    def count(self) -> int:
        """Up to one more than `COUNTED_MOST`."""
        return pagination.counted(self.object_list) if isinstance(self.object_list, QuerySet) else super().count


class ScopedAdmin[M: Model](Themed[M]):
    """A console page whose doors are scopes, not Django's model permissions."""

    to_view: Needs = READERS
    to_add: Needs = NOBODY
    to_change: Needs = NOBODY
    to_delete: Needs = NOBODY
    to_act: Needs = NOBODY
    """What the verbs on a list's selected rows need; nothing is ever deleted in bulk."""
    list_per_page = 50

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allows(request, self.to_view)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allows(request, self.to_add)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allows(request, self.to_change)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return allows(request, self.to_delete)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a filter of the list offers; anything else leads back to the list.

        Django lets an address ask about any column of the row: a way to feel for a secret, and to break a query.
        """
        names = [str(getattr(one, "parameter_name", one)) for one in self.list_filter]
        if any(lookup == name or lookup.startswith(f"{name}__") for name in names):
            return True
        raise IncorrectLookupParameters

    def get_actions(self, request: HttpRequest, *given: Any, **named: Any) -> dict[str, Any]:
        return super().get_actions(request, *given, **named) if allows(request, self.to_act) else {}


class LongList[M: Model](ScopedAdmin[M]):
    """A list that grows for as long as Vigil runs."""

    paginator = InfinitePaginator
    show_full_result_count = False
