"""What `manage.py check` says about policies, each with an id and a hint."""

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import DatabaseError

from policies import book
from policies.documents import UnableToReadPolicy
from policies.models import Policy


def register() -> None:
    """Hook into Django's check framework."""
    checks.register(unreadable_policies, checks.Tags.database)


def unreadable_policies(*, databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """W001: a policy in force that this Vigil cannot compile. Runs only with `check --database default`."""
    if not databases:
        return []
    try:
        policies = list(Policy.objects.filter(enabled=True).select_related("current__policy"))
    except DatabaseError:  # before the first migrate there is nothing to check
        return []
    return [warning for policy in policies for warning in _of(policy)]


def _of(policy: Policy) -> list[checks.CheckMessage]:
    try:
        if policy.current is not None:
            book.compile_version(policy.current, mode=policy.mode)
    except UnableToReadPolicy as error:
        hint = f"Correct it with PUT /api/v1/policies/{policy.name}, or disable it."
        return [checks.Warning(f"Policy {policy.name}: {error.detail}", hint=hint, id="policies.W001")]
    return []
