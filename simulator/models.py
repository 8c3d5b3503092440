"""The simulation started through the API: one at a time, in a process of its own."""

from django.db import models
from django.db.models import Q


class SimulatorRun(models.Model):
    """What was asked of one simulation, and what its process last said about itself."""

    configuration = models.JSONField(default=dict)
    started_at = models.DateTimeField()
    started_by = models.CharField(max_length=150)
    live = models.BooleanField(default=True)
    """Not ended, as far as anyone has written down; the process may be dead all the same, see `beat_at`."""
    pid = models.PositiveIntegerField(null=True, blank=True)
    """Set by the process with its first sign of life."""
    beat_at = models.DateTimeField()
    stop_requested = models.BooleanField(default=False)
    report = models.JSONField(default=dict, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=300, blank=True)
    key = models.ForeignKey("access.ApiKey", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["live"], condition=Q(live=True), name="simulator_one_live_run"),
            models.CheckConstraint(
                condition=Q(live=True, ended_at__isnull=True) | Q(live=False, ended_at__isnull=False),
                name="simulator_ended_has_an_end",
            ),
        ]

    def __str__(self) -> str:
        return f"simulator run {self.pk}"
