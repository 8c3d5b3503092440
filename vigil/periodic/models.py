"""Who is alive, and which slot of which job has run."""

from django.db import models


class PeriodicRun(models.Model):
    """One slot of one job. The unique row, not any lock, makes each slot run once."""

    job = models.CharField(max_length=100)
    slot = models.BigIntegerField()
    """Seconds since 1970 divided by the interval, rounded down."""
    holder = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "slot"], name="periodic_one_run_per_slot")]
        indexes = [models.Index(fields=["started_at"], name="periodic_by_start")]

    def __str__(self) -> str:
        return f"{self.job} {self.slot}"


class WorkerBeat(models.Model):
    """A long-running process that says it is alive."""

    name = models.CharField(max_length=150, unique=True)
    role = models.CharField(max_length=20)
    hostname = models.CharField(max_length=150)
    pid = models.PositiveIntegerField()
    beat_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, blank=True)
    """When it last took up work."""

    class Meta:
        indexes = [models.Index(fields=["role", "beat_at"], name="periodic_by_role")]

    def __str__(self) -> str:
        return self.name
