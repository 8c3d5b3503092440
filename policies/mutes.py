"""The rows that mute: silences, maintenance windows, inhibition rules, and common causes that stand."""

from django.db import models
from django.db.models import F, Q

OVER = Q(ended_at__isnull=False)
"""Somebody ended it before its time, or the incident it was for is over."""


class Muting(models.Model):
    """What all of them say about themselves. Nothing is ever removed: ending one keeps who muted what, and why."""

    author = models.CharField(max_length=150)
    comment = models.CharField(max_length=500)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)

    class Meta:
        abstract = True
        ordering = ["-id"]


class Silence(Muting):
    """No noise and no orders about what the matchers mean, for a while."""

    matchers = models.JSONField(default=list)
    """Each as one sentence; an empty list is the incident alone."""
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    incident = models.ForeignKey(
        "policies.Incident", null=True, blank=True, on_delete=models.CASCADE, related_name="silences"
    )
    """It ends when this incident does."""

    class Meta(Muting.Meta):
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True, incident__isnull=False)
                | Q(ends_at__isnull=False, ends_at__gt=F("starts_at")),
                name="silence_ends_after_start",
            ),
            models.CheckConstraint(
                condition=~Q(matchers=[]) | Q(incident__isnull=False), name="silence_means_something"
            ),
        ]
        indexes = [models.Index(fields=["ends_at"], condition=~OVER, name="silence_not_ended")]

    def __str__(self) -> str:
        return f"silence {self.pk}: {self.comment}"

    @property
    def subject(self) -> str:
        """How the audit trail names it."""
        return f"silence:{self.pk}"


class MaintenanceWindow(Muting):
    """Vigil keeps its hands off the targets while it is open."""

    target = models.CharField(max_length=256)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    """Blank: every week until somebody ends it."""
    days = models.CharField(max_length=40, blank=True)
    """Weekly, on these: `sat sun`; blank is once."""
    opens = models.TimeField(null=True, blank=True)
    closes = models.TimeField(null=True, blank=True)
    timezone = models.CharField(max_length=64, default="UTC")

    class Meta(Muting.Meta):
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="maintenance_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(days="", opens__isnull=True, closes__isnull=True, ends_at__isnull=False)
                | (~Q(days="") & Q(opens__isnull=False, closes__isnull=False)),
                name="maintenance_once_or_weekly",
            ),
            models.CheckConstraint(condition=~Q(target=""), name="maintenance_target_said"),
        ]
        indexes = [models.Index(fields=["ends_at"], condition=~OVER, name="maintenance_not_ended")]

    def __str__(self) -> str:
        return f"maintenance {self.pk}: {self.target}"

    @property
    def subject(self) -> str:
        """How the audit trail names it."""
        return f"maintenance:{self.pk}"


class InhibitionRule(Muting):
    """While a source incident is open, target incidents that agree with it are held."""

    name = models.CharField(max_length=100)
    source = models.JSONField()
    target = models.JSONField()
    equal = models.JSONField(default=list)

    class Meta(Muting.Meta):
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=~OVER, name="inhibition_name_once"),
            models.CheckConstraint(condition=~Q(name=""), name="inhibition_name_said"),
            models.CheckConstraint(condition=~Q(source=[]) & ~Q(target=[]), name="inhibition_means_something"),
        ]

    def __str__(self) -> str:
        return f"inhibition {self.name}"

    @property
    def subject(self) -> str:
        """How the audit trail names it."""
        return f"inhibition:{self.pk}"


class CommonCause(models.Model):
    """So many targets of a group went bad at once that no single one is acted on. Only `policies.muting` writes it."""

    policy = models.ForeignKey("policies.Policy", on_delete=models.CASCADE, related_name="common_causes")
    group_by = models.CharField(max_length=64, blank=True)
    group = models.CharField(max_length=250, blank=True)
    bad = models.PositiveIntegerField()
    known = models.PositiveIntegerField()
    percent = models.PositiveIntegerField()
    within_seconds = models.PositiveIntegerField()
    reason = models.TextField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "group_by", "group"], condition=~OVER, name="common_cause_one_standing"
            ),
            models.CheckConstraint(condition=Q(bad__lte=F("known")), name="common_cause_bad_are_known"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("began_at")),
                name="common_cause_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        return self.reason
