"""Who is calling, in the words that the audit uses."""

from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from rest_framework.request import Request

from vigil.access import scopes
from vigil.access.keys import KnownKey

LONGEST_ACTOR = 150
ACTOR_ATTRIBUTE = "vigil_actor"
"""Where the log line of a request finds who called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller of a request."""

    actor: str
    """`key:agent-1`, `user:ana` or `demo`; "" is nobody."""
    scopes: frozenset[str]
    targets: tuple[str, ...] = ()
    """Patterns of the targets the caller may speak for; empty is all."""


NOBODY = Principal(actor="", scopes=frozenset())
DEMO = Principal(actor="demo", scopes=scopes.ALL)


class Machine(AnonymousUser):
    """The `request.user` of a caller that is no person."""

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_anonymous(self) -> bool:  # type: ignore[override]
        return False


def of_key(key: KnownKey) -> Principal:
    """The principal behind an API key."""
    return Principal(actor=f"key:{key.name}", scopes=key.scopes, targets=key.targets)


def actor_of(user: User) -> str:
    """A person as the audit's actor."""
    return f"user:{user.username}"[:LONGEST_ACTOR]  # a name may be as long as that without "user:"


def of_user(user: AbstractBaseUser | AnonymousUser) -> Principal:
    """The principal behind a session; nobody when signed out or switched off."""
    if not isinstance(user, User) or not user.is_active:
        return NOBODY
    actor = actor_of(user)
    if user.is_superuser:
        return Principal(actor=actor, scopes=scopes.ALL)
    groups = user.groups.values_list("name", flat=True)
    return Principal(actor=actor, scopes=scopes.of_groups(groups))


def of(request: Request) -> Principal:
    """The principal of an API request."""
    if isinstance(request.auth, Principal):
        return request.auth
    return of_user(request.user)
