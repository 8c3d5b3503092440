"""Deny by default: a view says which scope each verb needs, and a verb it does not name is refused."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from vigil.access import principal, scopes

if TYPE_CHECKING:  # DRF's views read their defaults, which name this module
    from rest_framework.views import APIView


class HasScope(BasePermission):
    """Allows what the view's `required_scopes` names for the request's verb."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        caller = principal.of(request)
        if not caller.actor:
            return False
        required = _required(request, getattr(view, "required_scopes", {}))
        if not scopes.held(required, caller.scopes):
            wanted = " or ".join(repr(one) for one in required.split("|"))
            self.message = f"This needs the scope {wanted}; {caller.actor} has {_listed(caller.scopes)}."
            return False
        if caller.targets and (required in scopes.BEYOND_TARGETS or getattr(view, "concerns_all_targets", False)):
            bound = ", ".join(caller.targets)
            self.message = f"This concerns every target, and {caller.actor} speaks for {bound} alone; use another key."
            return False
        return True


class SignedIn(BasePermission):
    """Any known caller: for the API's own documentation."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return bool(principal.of(request).actor)


def _required(request: Request, by_verb: Mapping[str, str]) -> str:
    """The scope for this request's verb; MethodNotAllowed (405) for one that nobody may use here, whatever the key."""
    verb = request.method or ""
    if verb == "HEAD":
        verb = "GET"
    elif verb == "OPTIONS":  # what the address takes, for whoever may use any of it
        verb = next(iter(by_verb), verb)
    if verb not in by_verb:
        known = ", ".join(by_verb) or "none"
        raise MethodNotAllowed(verb, detail=f"This address does not take {verb[:20]}; it takes {known}.")
    return by_verb[verb]


def _listed(allowed: frozenset[str]) -> str:
    return ", ".join(sorted(allowed)) or "none"
