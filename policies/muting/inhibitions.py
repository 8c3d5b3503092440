"""Writes inhibition rules. Each change leaves an audit entry; nothing is ever removed."""

from collections.abc import Mapping
from datetime import datetime

from django.db import IntegrityError, transaction

from policies.engine import muting
from policies.models import InhibitionRule
from policies.muting import bodies, changes
from policies.muting.bodies import InhibitionDraft, Json
from vigil.kernel.database import tx
from vigil.kernel.errors import Conflict

WORD = "inhibition rule"


class RuleExists(Conflict):
    """A rule of that name is there already."""

    code = "inhibition_exists"


def create(*, raw: Mapping[str, object], actor: str, at: datetime) -> InhibitionRule:
    """A new rule from its written shape; RuleExists (409) when the name is taken."""
    draft = bodies.inhibition(raw)

    def run() -> InhibitionRule:
        row = InhibitionRule(author=actor, created_at=at, updated_at=at)
        _save(row, draft)
        changes.record("created", subject=row.subject, actor=actor, reason=said(row), numbers=written(row), at=at)
        return row

    return tx(run)


def update(*, rule_id: int, change: Mapping[str, object], actor: str, at: datetime) -> InhibitionRule:
    """Merge a partial body; AlreadyOver (409) when it was removed."""

    def run() -> InhibitionRule:
        row = changes.locked(InhibitionRule, rule_id, word=WORD)
        row.updated_at = at
        _save(row, bodies.inhibition({**written(row), **change}))
        changes.record("updated", subject=row.subject, actor=actor, reason=said(row), numbers=written(row), at=at)
        return row

    return tx(run)


def end(*, rule_id: int, actor: str, at: datetime) -> InhibitionRule:
    """Take it out of force; its history stays, and the name is free again."""

    def run() -> InhibitionRule:
        row = changes.locked(InhibitionRule, rule_id, word=WORD)
        changes.end(row, subject=row.subject, actor=actor, reason=f"Removed by {actor}.", at=at)
        return row

    return tx(run)


def get(rule_id: int) -> InhibitionRule:
    """One rule; NotFound says so."""
    return changes.get(InhibitionRule, rule_id, word=WORD)


def written(row: InhibitionRule) -> Json:
    """The rule in the shape people write."""
    return {
        "name": row.name,
        "source": list(row.source),
        "target": list(row.target),
        "equal": list(row.equal),
        "comment": row.comment,
    }


def said(row: InhibitionRule) -> str:
    """The rule as one line."""
    agree = f" with the same {', '.join(row.equal)}" if row.equal else ""
    return f"while {' and '.join(row.source)} is open, hold {' and '.join(row.target)}{agree}"


def _save(row: InhibitionRule, draft: InhibitionDraft) -> None:
    row.name, row.comment, row.equal = draft.name, draft.comment, list(draft.equal)
    row.source = [muting.text(one) for one in draft.source]
    row.target = [muting.text(one) for one in draft.target]
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise RuleExists(f"There is an inhibition rule named {row.name} already; change that one.") from error
