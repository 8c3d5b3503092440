"""Deny by default: a view says which scope each verb needs, and a verb it does not name is refused."""

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
        required = getattr(view, "required_scopes", {}).get(_verb(request))
        caller = principal.of(request)
        if caller.actor and not hasattr(view, _verb(request).lower()):
            raise MethodNotAllowed(request.method or "")  # no scope would help, so do not speak of permission
        if required is None or not caller.actor:
            return False
        if required not in caller.scopes:
            self.message = f"This needs the scope {required!r}; {caller.actor} has {_listed(caller.scopes)}."
            return False
        if caller.targets and required in scopes.BEYOND_TARGETS:
            bound = ", ".join(caller.targets)
            self.message = f"This concerns every target, and {caller.actor} speaks for {bound} alone; use another key."
            return False
        return True


class SignedIn(BasePermission):
    """Any known caller: for the API's own documentation."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return bool(principal.of(request).actor)


def _verb(request: Request) -> str:
    method = request.method or ""
    return "GET" if method in {"HEAD", "OPTIONS"} else method


def _listed(allowed: frozenset[str]) -> str:
    return ", ".join(sorted(allowed)) or "none"
