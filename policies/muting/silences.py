"""Writes silences. Each change leaves an audit entry; nothing is ever removed."""

from collections.abc import Collection, Mapping
from datetime import datetime

from policies.engine import muting
from policies.models import Incident, Silence
from policies.muting import bodies, changes
from policies.muting.bodies import Json, SilenceDraft, UnableToMute
from vigil.kernel.database import tx
from vigil.kernel.errors import FieldError

WORD = "silence"


def create(*, raw: Mapping[str, object], actor: str, at: datetime) -> Silence:
    """A new silence from its written shape; UnableToMute names what is wrong."""
    draft = bodies.silence(raw, at=at)
    return tx(lambda: _create(draft, actor=actor, at=at))


def update(*, silence_id: int, change: Mapping[str, object], actor: str, at: datetime) -> Silence:
    """Merge a partial body; AlreadyOver (409) when it has ended."""

    def run() -> Silence:
        row = _not_over(changes.locked(Silence, silence_id, word=WORD), at)
        draft = bodies.silence(merged(written(row), change), at=at)
        _check_incident(draft, known=row.incident_id)
        _fill(row, draft)
        row.updated_at = at
        row.save()
        changes.record("updated", subject=row.subject, actor=actor, reason=_said(draft), numbers=written(row), at=at)
        return row

    return tx(run)


def end(*, silence_id: int, actor: str, at: datetime) -> Silence:
    """End it now; AlreadyOver (409) when it has ended."""

    def run() -> Silence:
        row = _not_over(changes.locked(Silence, silence_id, word=WORD), at)
        changes.end(row, subject=row.subject, actor=actor, reason=f"Ended by {actor}.", at=at)
        return row

    return tx(run)


def get(silence_id: int) -> Silence:
    """One silence; NotFound says so."""
    return changes.get(Silence, silence_id, word=WORD)


def acknowledge(*, incident: Incident, actor: str, comment: str, at: datetime) -> None:
    """Silence one incident until it is over, unless somebody did; in the caller's transaction."""
    if Silence.objects.filter(incident=incident, matchers=[], ended_at=None).exists():
        return
    comment = " ".join(comment.split())[: bodies.COMMENT_MAX] or "acknowledged"
    draft = SilenceDraft(matchers=(), starts_at=at, ends_at=None, comment=comment, incident_id=incident.pk)
    _create(draft, actor=actor, at=at)


def expire_with(*, incident_ids: Collection[int], at: datetime) -> None:
    """End the silences that were for these incidents, which are over; in the caller's transaction."""
    for row in Silence.objects.filter(incident_id__in=incident_ids, ended_at=None).order_by("id"):
        reason = f"Incident {row.incident_id} is over."
        changes.end(row, subject=row.subject, actor="vigil", reason=reason, at=at)


def state(row: Silence, *, at: datetime) -> str:
    """pending, active or expired."""
    ends = [moment for moment in (row.ends_at, row.ended_at) if moment is not None]
    if ends and min(ends) <= at:
        return "expired"
    return "pending" if at < row.starts_at else "active"


def written(row: Silence) -> Json:
    """The silence in the shape people write."""
    return {
        "matchers": list(row.matchers),
        "starts_at": _moment(row.starts_at),
        "ends_at": _moment(row.ends_at),
        "comment": row.comment,
        "incident_id": row.incident_id,
    }


def merged(current: Json, change: Mapping[str, object]) -> Json:
    """`current` with the changed fields; a new length replaces the end there was."""
    whole = {**current, **change}
    if change.get("duration") is not None and "ends_at" not in change:
        whole.pop("ends_at")
    return whole


def _create(draft: SilenceDraft, *, actor: str, at: datetime) -> Silence:
    _check_incident(draft, known=None)
    row = Silence(author=actor, created_at=at, updated_at=at)
    _fill(row, draft)
    row.save(force_insert=True)
    changes.record("created", subject=row.subject, actor=actor, reason=_said(draft), numbers=written(row), at=at)
    return row


def _fill(row: Silence, draft: SilenceDraft) -> None:
    row.matchers = [muting.text(one) for one in draft.matchers]
    row.starts_at, row.ends_at = draft.starts_at, draft.ends_at
    row.comment, row.incident_id = draft.comment, draft.incident_id


def _check_incident(draft: SilenceDraft, *, known: int | None) -> None:
    """A silence can only end with an incident that has not ended."""
    if draft.incident_id is None or draft.incident_id == known:
        return
    incident = Incident.objects.filter(pk=draft.incident_id).first()
    if incident is None or not incident.live:
        message = f"There is no open incident {draft.incident_id}."
        raise UnableToMute(message, errors=[FieldError(path="incident_id", message=message)])


def _not_over(row: Silence, at: datetime) -> Silence:
    if state(row, at=at) == "expired":
        raise changes.AlreadyOver("That silence is over; make a new one.")
    return row


def _said(draft: SilenceDraft) -> str:
    what = muting.sentence(draft.matchers) or f"incident {draft.incident_id}"
    until = "until the incident is over" if draft.ends_at is None else f"until {muting.clock(draft.ends_at)}"
    return f"{what}, {until}: {draft.comment}"


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
