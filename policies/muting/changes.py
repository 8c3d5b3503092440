"""What every change to something that mutes has in common: an audit entry, and a newer version for every process."""

from collections.abc import Mapping
from datetime import datetime

import structlog

from policies import book
from policies.mutes import Muting
from vigil.audit import entries
from vigil.kernel.errors import Conflict, NotFound

log = structlog.get_logger(__name__)


class AlreadyOver(Conflict):
    """It has ended; make a new one."""

    code = "already_over"


def locked[M: Muting](model: type[M], number: int, *, word: str) -> M:
    """The row, held until the caller's transaction ends; NotFound, or AlreadyOver when it was ended."""
    found = model._default_manager.select_for_update().filter(pk=number).first()
    if found is None:
        raise NotFound(f"There is no {word} {number}.")
    if found.ended_at is not None:
        raise AlreadyOver(f"That {word} was ended by {found.ended_by}; make a new one.")
    return found


def get[M: Muting](model: type[M], number: int, *, word: str) -> M:
    """The row; NotFound says so."""
    found = model._default_manager.filter(pk=number).first()
    if found is None:
        raise NotFound(f"There is no {word} {number}.")
    return found


def end(row: Muting, *, subject: str, actor: str, reason: str, at: datetime) -> None:
    """End it now, in the caller's transaction."""
    row.ended_at, row.ended_by, row.updated_at = at, actor, at
    row.save(update_fields=["ended_at", "ended_by", "updated_at"])
    record("ended", subject=subject, actor=actor, reason=reason, at=at)


def record(
    verb: str,
    *,
    subject: str,
    actor: str,
    reason: str,
    at: datetime,
    numbers: Mapping[str, object] | None = None,
) -> None:
    """Write the audit entry and tell every process, in the caller's transaction."""
    kind = f"{subject.partition(':')[0]}.{verb}"
    entries.write(kind=kind, subject=subject, actor=actor, reason=reason, numbers=numbers, at=at)
    book.bump_mutes()
    log.info("policies.muting.changed", subject=subject, change=verb, actor=actor, reason=reason)
