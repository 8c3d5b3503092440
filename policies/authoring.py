"""Writes policies: each change leaves a version where the content changed, an audit entry, and a newer book."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Max

from actions import dispatch, queries
from policies import book, demotion, documents, fitness, flaps, incidents, proposals
from policies.documents import Document, Draft, Step, UnableToReadPolicy
from policies.engine import rendering
from policies.models import Policy, PolicyVersion, Resolution
from vigil.audit import entries
from vigil.kernel.database import tx
from vigil.kernel.errors import Conflict, FieldError, NotFound, VigilError, summary

log = structlog.get_logger(__name__)

GIVEN = ("sentence", "created_at", "author")
"""What Vigil adds to a policy it shows. Sent back unchanged it is ignored; a change is refused."""
PASSED_OVER = ("version", "updated_at", "note", "health", "demoted", "warnings")
"""Also shown; `version` is compared and `note` explains the change, the others move by themselves."""


class PolicyExists(Conflict):
    """A policy of that name is there already."""

    code = "policy_exists"


class PolicyChanged(VigilError):
    """Somebody else changed it since the caller read it."""

    code = "version_mismatch"
    status = 412


NOTE_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a write came to."""

    policy: Policy
    changed: bool
    created: bool = False


def get(name: str) -> Policy:
    """The policy of that name; NotFound says so."""
    rows = Policy.objects.select_related("current", "health", "demotion")
    # A path can hold what PostgreSQL does not even compare, such as NUL.
    found = rows.filter(name=name).first() if name.isprintable() else None
    if found is None or found.current is None:
        raise NotFound(f"There is no policy {name[:100]!r}; GET /api/v1/policies lists those there are.")
    return found


def written(policy: Policy) -> documents.Json:
    """The policy in the shape people write."""
    version = current(policy)
    return documents.written(name=policy.name, enabled=policy.enabled, kept=version.document)


def current(policy: Policy) -> PolicyVersion:
    """The version in force."""
    if policy.current is None:
        raise NotFound(f"Policy {policy.name} has no version.")
    return policy.current


def create(*, raw: object, actor: str, at: datetime, note: str = "") -> Policy:
    """A new policy from its written shape. PolicyExists (409) when the name is taken."""
    if isinstance(raw, Mapping) and "note" in raw:
        note = _note(raw, note)
        raw = {field: value for field, value in raw.items() if field != "note"}
    draft = check(raw)
    return tx(lambda: _create(draft, actor=actor, at=at, note=note))


def update(
    *,
    name: str,
    change: Mapping[str, object],
    actor: str,
    at: datetime,
    expected_version: int | None = None,
    note: str = "",
) -> Saved:
    """Merge a partial body into a policy; a new version only where the content changed.

    PolicyChanged (412) when `expected_version` (or the body's own `version`) is not the one in force.
    """
    policy = get(name)
    _check_version(policy, _expected(change, expected_version))
    note = _note(change, note)
    draft = check(merged(policy, change))
    if draft.name != name:
        raise UnableToReadPolicy(
            "A policy's name never changes; make a new policy and remove this one.",
            errors=[FieldError(path="name", message="The name never changes.")],
        )
    return tx(lambda: _update(policy.pk, policy.current_id, draft, actor=actor, at=at, note=note))


def enable(*, name: str, actor: str, at: datetime) -> Saved:
    """Put the policy in force."""
    return tx(lambda: _switch(_locked(get(name).pk), enabled=True, actor=actor, at=at))


def disable(*, name: str, actor: str, at: datetime) -> Saved:
    """Take the policy out of force: its incidents are withdrawn and what it had ordered but not begun is cancelled."""
    return tx(lambda: _switch(_locked(get(name).pk), enabled=False, actor=actor, at=at))


def delete(*, name: str, actor: str, at: datetime, expected_version: int | None = None) -> None:
    """Remove the policy; its history stays, and the name is free again."""
    policy = get(name)
    _check_version(policy, expected_version)
    tx(lambda: _delete(_locked(policy.pk), actor=actor, at=at))


def reload(*, actor: str, at: datetime) -> None:
    """Have every process drop its book, and give policies that disabled themselves another chance."""

    def run() -> None:
        book.bump()  # first: of two who reload at once, the second waits here for its turn in the audit
        for policy in Policy.objects.filter(health__disabled_by_error=True).order_by("id"):
            fitness.renew(policy)
            _record("renewed", policy, actor=actor, at=at, reason="It gets another chance after errors.", numbers={})
        entries.write(
            kind="policies.reloaded", subject="policies", actor=actor, reason="Every book was dropped.", at=at
        )

    tx(run)


def check(raw: object) -> Draft:
    """Read a whole policy and check its actions too; UnableToReadPolicy names every place."""
    draft = documents.read(raw)
    errors = []
    if draft.name == demotion.BUILTIN:
        errors.append(FieldError(path="name", message=f"`{draft.name}` is Vigil's own; choose another name."))
    for index, step in enumerate(draft.document.steps):
        try:
            _check_step(step)
            if step.rollback:
                errors += _without_a_way_back(index, step)
        except VigilError as error:
            errors += _in_step(index, error)
    if errors:
        raise UnableToReadPolicy(f"The policy is not valid: {summary(errors)}", errors=errors)
    return draft


def save(draft: Draft, *, actor: str, at: datetime, note: str) -> Saved:
    """Create or replace by name, in the caller's transaction: what an import does for each policy."""
    standing = Policy.objects.filter(name=draft.name).first()
    if standing is None:
        return Saved(policy=_create(draft, actor=actor, at=at, note=note), changed=True, created=True)
    return _update(standing.pk, standing.current_id, draft, actor=actor, at=at, note=note)


def _check_step(step: Step) -> None:
    """Its placeholders are known, and its parameters fit the action type as far as that can be told yet."""
    flaws = rendering.flaws(step.params)
    if flaws:
        errors = [FieldError(path=flaw.path, message=flaw.message) for flaw in flaws]
        raise UnableToReadPolicy(summary(errors), errors=errors)
    known = rendering.outline(step.params)
    dispatch.validate(kind=step.action, params=known.params, open_at=known.open_at)


def _without_a_way_back(index: int, step: Step) -> list[FieldError]:
    """Why the step cannot be undone, if so: no type undoes its own, or one with other parameters."""
    place = "" if index == 0 else f"then[{index - 1}]."
    undone_by = queries.undoing([step.action]).get(step.action)
    if undone_by is None:
        message = f"`{step.action}` names no action type that undoes it; leave `rollback` out, or name one in the type."
        return [FieldError(path=f"{place}rollback", message=message)]
    try:
        known = rendering.outline(step.params)
        dispatch.validate(kind=undone_by, params=known.params, open_at=known.open_at)
    except VigilError as error:
        return [FieldError(path=f"{place}rollback", message=f"`{undone_by}` undoes it, and cannot: {error.detail}")]
    return []


def _in_step(index: int, error: VigilError) -> list[FieldError]:
    """Where an action's refusal belongs in the document."""
    place = "" if index == 0 else f"then[{index - 1}]."
    if not error.errors:
        return [FieldError(path=f"{place}action", message=error.detail)]
    return [FieldError(path=f"{place}{item.path or 'params'}", message=item.message) for item in error.errors]


def _create(draft: Draft, *, actor: str, at: datetime, note: str) -> Policy:
    policy = Policy(name=draft.name, enabled=draft.enabled, mode=draft.document.mode, created_at=at, updated_at=at)
    try:
        with transaction.atomic():
            policy.save(force_insert=True)
    except IntegrityError as error:
        raise PolicyExists(
            f"A policy named {draft.name} exists already; change it with PUT /api/v1/policies/{draft.name}."
        ) from error
    _add_version(policy, draft.document, actor=actor, at=at, note=note)
    _record("created", policy, actor=actor, at=at, reason=note or "A new policy.", numbers={"version": 1})
    book.bump()
    return policy


def _update(policy_id: int, current_id: int | None, draft: Draft, *, actor: str, at: datetime, note: str) -> Saved:
    policy = _locked(policy_id)
    if policy.current_id != current_id:
        raise _changed(policy)
    content = documents.stored(draft.document)
    differs = sorted(_differences(current(policy).document, content))
    if differs:
        _add_version(policy, draft.document, actor=actor, at=at, note=note)
        fitness.renew(policy)
        number = current(policy).number
        reason = note or f"Changed {', '.join(differs)}."
        _record("updated", policy, actor=actor, at=at, reason=reason, numbers={"version": number, "changed": differs})
        book.bump()
    switched = _switch(policy, enabled=draft.enabled, actor=actor, at=at)
    return Saved(policy=switched.policy, changed=bool(differs) or switched.changed)


def _switch(policy: Policy, *, enabled: bool, actor: str, at: datetime) -> Saved:
    if policy.enabled == enabled:
        return Saved(policy=policy, changed=False)
    policy.enabled, policy.updated_at = enabled, at
    policy.save(update_fields=["enabled", "updated_at"])
    word = "enabled" if enabled else "disabled"
    if enabled:
        fitness.restart(policy)
    else:
        _withdraw(policy, actor=actor, reason=f"Policy {policy.name} was disabled by {actor}.", at=at)
    _record(word, policy, actor=actor, at=at, reason=f"The policy was {word}.", numbers={})
    book.bump()
    return Saved(policy=policy, changed=True)


def _delete(policy: Policy, *, actor: str, at: datetime) -> None:
    gone = f"Policy {policy.name} was removed by {actor}."
    _withdraw(policy, actor=actor, reason=gone, at=at)
    demotion.end(policy, resolution=Resolution.WITHDRAWN, actor=actor, reason=gone, at=at)
    policy.enabled, policy.deleted_at, policy.updated_at = False, at, at
    policy.save(update_fields=["enabled", "deleted_at", "updated_at"])
    _record("deleted", policy, actor=actor, at=at, reason="The policy was removed.", numbers={})
    book.bump()


def _withdraw(policy: Policy, *, actor: str, reason: str, at: datetime) -> None:
    incidents.withdraw(policy=policy, actor=actor, reason=reason, at=at)
    flaps.withdraw(policy=policy, reason=reason, at=at)


def _add_version(policy: Policy, document: Document, *, actor: str, at: datetime, note: str) -> None:
    last = policy.versions.aggregate(last=Max("number"))["last"] or 0
    version = PolicyVersion(
        policy=policy,
        number=last + 1,
        document=documents.stored(document),
        sentence=document.sentence,
        severity=document.severity,
        author=actor,
        note=note,
        created_at=at,
    )
    version.save(force_insert=True)
    before = "" if policy.current is None else str(policy.current.document["mode"])
    mode = demotion.carry_over(policy, before=before, after=document.mode, actor=actor, at=at)
    changed = mode != policy.mode
    policy.current, policy.mode, policy.updated_at = version, mode, at
    policy.save(update_fields=["current", "mode", "updated_at"])
    if changed:
        proposals.mode_changed(policy, at=at)


def _locked(policy_id: int) -> Policy:
    """The row as it is now, held until the transaction ends (SQLite holds the whole database anyway)."""
    found = Policy.objects.select_for_update().filter(pk=policy_id).first()
    if found is None:
        raise NotFound("The policy was removed at the same moment.")
    return found


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    return {field for field in before.keys() | after.keys() if before.get(field) != after.get(field)}


def merged(policy: Policy, change: Mapping[str, object]) -> documents.Json:
    """The policy in the shape people write, with the changed fields; UnableToReadPolicy where Vigil sets a field."""
    shown = shown_extras(policy)
    touched = [field for field in GIVEN if field in change and change[field] != shown[field]]
    if touched:
        errors = [FieldError(path=field, message=f"`{field}` is set by Vigil; leave it out.") for field in touched]
        raise UnableToReadPolicy(errors[0].message, errors=errors)
    own = {field: value for field, value in change.items() if field not in (*GIVEN, *PASSED_OVER)}
    return documents.merge(written(policy), own)


def shown_extras(policy: Policy) -> documents.Json:
    """What Vigil adds to the written shape when it shows a policy."""
    version = current(policy)
    health = getattr(policy, "health", None)
    return {
        "version": version.number,
        "sentence": version.sentence,
        "created_at": _rfc3339(policy.created_at),
        "updated_at": _rfc3339(policy.updated_at),
        "author": version.author,
        "note": version.note,
        "demoted": _demoted(policy),
        "health": {
            "last_error": health.last_error if health else "",
            "last_evaluated_at": _rfc3339(health.last_evaluated_at) if health else None,
            "disabled_by_error": health.disabled_by_error if health else False,
        },
    }


def _demoted(policy: Policy) -> documents.Json | None:
    """What was taken from it, if anything: `mode` is what it says, and `to` what it may do now."""
    standing = policy.demotion
    if standing is None:
        return None
    return {
        "from": standing.from_mode,
        "to": standing.to_mode,
        "at": _rfc3339(standing.at),
        "reason": standing.reason,
        "evidence": list(standing.evidence),
        "incident_id": standing.incident_id,
    }


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _note(change: Mapping[str, object], note: str) -> str:
    """Why the change is made, as the body says it."""
    said = change.get("note", note)
    if not isinstance(said, str) or len(said) > NOTE_MAX:
        raise UnableToReadPolicy(
            f"`note` is a text of at most {NOTE_MAX} characters.",
            errors=[FieldError(path="note", message=f"Send a text of at most {NOTE_MAX} characters.")],
        )
    return said or note


def _expected(change: Mapping[str, object], expected_version: int | None) -> int | None:
    said = change.get("version")
    if said is not None and (isinstance(said, bool) or not isinstance(said, int)):
        raise UnableToReadPolicy(
            "`version` is the number of the version you read.",
            errors=[FieldError(path="version", message="Send the number that GET showed, or leave it out.")],
        )
    return expected_version if expected_version is not None else said


def _check_version(policy: Policy, expected: int | None) -> None:
    if expected is not None and expected != current(policy).number:
        raise _changed(policy)


def _changed(policy: Policy) -> PolicyChanged:
    number = current(policy).number
    return PolicyChanged(
        f"Policy {policy.name} is at version {number} by now: read it again and put your change on top of that."
    )


def _record(verb: str, policy: Policy, *, actor: str, at: datetime, reason: str, numbers: Mapping[str, object]) -> None:
    entries.write(
        kind=f"policy.{verb}", subject=f"policy:{policy.name}", actor=actor, reason=reason, numbers=numbers, at=at
    )
    log.info("policies.policy.changed", policy=policy.name, change=verb, actor=actor, reason=reason)
