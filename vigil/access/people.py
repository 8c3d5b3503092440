"""What becomes of people's accounts, in the audit whichever way it was done."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from vigil.audit import entries
from vigil.kernel import clock

COMMAND_LINE = "command line"


def tell(*, kind: str, person: User, actor: str, reason: str) -> None:
    """One audit entry about an account, in the transaction of the change."""
    entries.write(kind=kind, subject=subject(person), actor=actor, reason=reason, at=clock.now())


def subject(person: User) -> str:
    """How the audit names an account."""
    return f"user:{person.get_username()}"


@contextmanager
def password_watched(person: User, *, actor: str) -> Iterator[None]:
    """One transaction for what is done inside; when it gives the person another password, the audit says so."""
    with transaction.atomic():
        before = _hash(person)
        yield
        if _hash(person) != before:
            tell(kind="user.password", person=person, actor=actor, reason="The password was changed.")


def saved(instance: User, created: bool, update_fields: object = None, raw: bool = False, **_: Any) -> None:
    """A receiver of `post_save`: what `createsuperuser` and its like do. The console writes its own entries.

    The console saves whole accounts in a transaction of its own, and signing in saves single fields.
    """
    if raw or update_fields is not None or transaction.get_connection().in_atomic_block:
        return
    kind, reason = ("user.created", "Made") if created else ("user.updated", "Changed")
    with transaction.atomic():
        tell(kind=kind, person=instance, actor=COMMAND_LINE, reason=f"{reason} outside the console.")


def _hash(person: User) -> str | None:
    return User.objects.filter(pk=person.pk).values_list("password", flat=True).first()
