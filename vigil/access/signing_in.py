"""Who signed in and out, from where, and whose account was locked: in the audit (security.md S31).

A single wrong password is not an entry of its own, or a stranger could fill the audit at will: the console's page of
sign-in attempts has those.
"""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest

from vigil.access import people, principal
from vigil.audit import entries
from vigil.http import address


def signed_in(user: User, request: HttpRequest | None = None, **_: Any) -> None:
    """A receiver of `user_logged_in`."""
    _tell("user.signed_in", user, request, "Signed in")


def signed_out(user: User | None, request: HttpRequest | None = None, **_: Any) -> None:
    """A receiver of `user_logged_out`; a session that nobody owned any more ends without a word."""
    if user is not None:
        _tell("user.signed_out", user, request, "Signed out")


def locked_out(username: str | None, request: HttpRequest | None = None, **_: Any) -> None:
    """A receiver of axes' `user_locked_out`, which comes again with each further try: one entry will do."""
    person = User.objects.filter(username=username or "").first()
    if person is not None and _newest(person) != "user.locked_out":
        _tell("user.locked_out", person, request, "Locked after too many wrong passwords, the last one")


def _tell(kind: str, person: User, request: HttpRequest | None, what: str) -> None:
    whence = address.client(request) if request is not None else ""
    if whence:  # what code does by itself, such as a test's `force_login`, comes from nowhere
        with transaction.atomic():
            people.tell(kind=kind, person=person, actor=principal.actor_of(person), reason=f"{what} from {whence}.")


def _newest(person: User) -> str:
    newest = entries.of(people.subject(person)).last()
    return newest.kind if newest is not None else ""
