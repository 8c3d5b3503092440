"""What every installation needs to begin with, and what REMEDIATOR_URL makes of it. Safe to call at any time."""

import base64
import secrets

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from actions.budgets import GLOBAL
from actions.models import ActionType, Budget, ControlSwitch, Remediator
from actions.remediators import registry
from actions.standard import STANDARD_TYPES
from vigil.audit import entries
from vigil.kernel.database import database_now

logger = structlog.get_logger(__name__)

DEFAULT_REMEDIATOR = "default"
PAGER = "pager"
"""Who is told when a person is needed; only the log until somebody makes it a real pager."""
SECRET_BYTES = 32


def ensure() -> None:
    """Make the rows there must be, and let the remediator `default` follow REMEDIATOR_URL and REMEDIATOR_SECRET.

    Raises ConfigurationError when REMEDIATOR_URL cannot work. What people changed in the console stays.
    """
    with transaction.atomic():
        _switch()
        Budget.objects.get_or_create(scope=GLOBAL)
        remediator = _default_remediator()
        if not ActionType.objects.exists():
            _standard_types(remediator)


def after_migrate(using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
    """`ensure`, once the tables are there: also after a flush, which empties them."""
    if using == DEFAULT_DB_ALIAS and Budget._meta.db_table in connections[using].introspection.table_names():
        ensure()


def _switch() -> None:
    if not ControlSwitch.objects.filter(pk=1).exists():
        ControlSwitch.objects.create(pk=1, mode="active", by="installation", at=database_now())


def _default_remediator() -> Remediator:
    row = Remediator.objects.filter(name=DEFAULT_REMEDIATOR).first()
    if row is None:
        row = Remediator.objects.create(name=DEFAULT_REMEDIATOR, kind="log", from_environment=True)
    if settings.REMEDIATOR_URL:
        return _follow(row, url=settings.REMEDIATOR_URL)
    if row.from_environment and row.kind != "log":
        row.kind, row.config = "log", {}
        row.save(update_fields=["kind", "config"])
        _tell(row, "REMEDIATOR_URL is not set any more: actions are only logged.")
    return row


def _follow(row: Remediator, *, url: str) -> Remediator:
    secret = settings.REMEDIATOR_SECRET or row.secret or _new_secret()
    kept = row.config if row.from_environment and row.kind == "http" else {}
    config: dict[str, object] = {**kept, "url": url}
    wanted: dict[str, object] = {"kind": "http", "config": config, "secret": secret, "from_environment": True}
    if any(getattr(row, name) != value for name, value in wanted.items()):
        registry.build(
            kind="http",
            config=config,
            secret=secret,
            commands=settings.VIGIL_COMMANDS,
            extra=settings.VIGIL_REMEDIATORS,
        )
        for name, value in wanted.items():
            setattr(row, name, value)
        row.save(update_fields=list(wanted))
        _tell(row, f"It follows REMEDIATOR_URL and REMEDIATOR_SECRET: actions go to {url}.")
    return row


def _tell(row: Remediator, reason: str) -> None:
    """Where actions go from now on is worth an entry, although no person changed it here."""
    entries.write(kind="remediator.updated", subject=f"remediator:{row.name}", actor="environment", reason=reason)
    logger.info("actions.remediator.followed", name=row.name, kind=row.kind, reason=reason)


def _new_secret() -> str:
    """In the form that Standard Webhooks libraries read."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _standard_types(remediator: Remediator) -> None:
    pager, _ = Remediator.objects.get_or_create(name=PAGER, defaults={"kind": "log"})
    ActionType.objects.bulk_create(
        ActionType(
            name=known.name,
            description=known.description,
            remediator=pager if known.tells else remediator,
            schema=known.schema,
            retry_safety=known.retry_safety,
            tells=known.tells,
            rollback=known.rollback,
        )
        for known in STANDARD_TYPES
    )
