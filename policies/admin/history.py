"""A policy's versions as people read them: who, when, why, and what changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies import documents
from policies.documents import UnableToReadPolicy
from policies.models import Policy, PolicyVersion

SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that a version says differently from the one before it."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """A version with what it changed; the first one changed nothing."""

    version: PolicyVersion
    changes: tuple[Change, ...]
    in_force: bool


def of(policy: Policy) -> list[Edition]:
    """The newest versions first."""
    rows = list(policy.versions.order_by("-number")[: SHOWN + 1])
    older: Sequence[PolicyVersion | None] = [*rows[1:], None]
    return [
        Edition(
            version=row,
            changes=differences(before, row) if before is not None else (),
            in_force=row.pk == policy.current_id,
        )
        for row, before in zip(rows[:SHOWN], older, strict=False)
    ]


def differences(before: PolicyVersion, after: PolicyVersion) -> tuple[Change, ...]:
    """Field by field; the condition as its sentence."""
    old, new = _readable(before), _readable(after)
    fields = [field for field in {**old, **new} if old.get(field) != new.get(field)]
    return tuple(Change(field=field, before=_said(old.get(field)), after=_said(new.get(field))) for field in fields)


def terms(version: PolicyVersion) -> list[tuple[str, str]]:
    """Everything it says, field by field, without what it leaves open."""
    said = _readable(version).items()
    return [(field, _said(value)) for field, value in said if value not in (None, "", [], {})]


def readable(version: PolicyVersion) -> bool:
    """Whether this Vigil still understands the version, so that it could be put in force again."""
    try:
        documents.from_stored(version.policy.name, version.document)
    except UnableToReadPolicy:
        return False
    return True


def _readable(version: PolicyVersion) -> Mapping[str, object]:
    return {**version.document, "condition": version.sentence}


def _said(value: object) -> str:
    if value is None:
        return "not said"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
