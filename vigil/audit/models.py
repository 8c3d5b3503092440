"""The append-only history: the timeline people see and the chain that is verified."""

from typing import Any, NoReturn

from django.db import models


class Unchangeable(Exception):
    """What is written here stays as it is."""


class Entries(models.QuerySet["Entry"]):
    """Rows to be read; there is no statement that changes or removes one."""

    def update(self, **_: Any) -> NoReturn:
        raise Unchangeable("Audit entries are never changed.")

    def delete(self) -> NoReturn:
        raise Unchangeable("Audit entries are never removed.")


class Entry(models.Model):
    """One change of state, or one change by a person, written in the transaction that made it."""

    subject = models.CharField(max_length=250)
    """What changed: `action:456`, `incident:7`, `policy:high-cpu-alert`, `key:3`, `control`."""
    seq = models.PositiveBigIntegerField()
    """Gapless from 1 for each subject."""
    kind = models.CharField(max_length=60)
    from_state = models.CharField(max_length=40, blank=True)
    to_state = models.CharField(max_length=40, blank=True)
    actor = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    numbers = models.JSONField(default=dict, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()
    previous_digest = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64)
    """SHA-256 over the previous digest and this entry: an edited or removed row breaks the chain."""

    objects = models.Manager.from_queryset(Entries)()

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.UniqueConstraint(fields=["subject", "seq"], name="audit_one_entry_per_step"),
            models.CheckConstraint(condition=models.Q(seq__gte=1), name="audit_seq_from_one"),
        ]
        indexes = [
            models.Index(fields=["-at"], name="audit_by_time"),
            models.Index(fields=["actor", "-at"], name="audit_by_actor"),
            models.Index(fields=["request_id"], name="audit_by_request"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} #{self.seq} {self.kind}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Once."""
        if not self._state.adding:
            raise Unchangeable("Audit entries are never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Never."""
        raise Unchangeable("Audit entries are never removed.")
