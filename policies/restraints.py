"""The rows that take from policies what they did not do well: demotions, and freezes of two that fight on a target."""

from django.db import models
from django.db.models import F, Q


class Demotion(models.Model):
    """A policy that may do less by itself since, until a person promotes it. Never changed but to end it."""

    policy = models.ForeignKey("policies.Policy", on_delete=models.PROTECT, related_name="demotions")
    version = models.PositiveIntegerField()
    """The number of the version whose actions were counted."""
    from_mode = models.CharField(max_length=10)
    to_mode = models.CharField(max_length=10)
    at = models.DateTimeField()
    """By the database's clock, as the actions that are counted from then on."""
    reason = models.TextField()
    evidence = models.JSONField(default=list)
    """The ids of the actions that were counted, newest first."""
    incident = models.ForeignKey(
        "policies.Incident", null=True, blank=True, on_delete=models.PROTECT, related_name="demotions"
    )
    """The one about the policy itself."""
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=~Q(from_mode=F("to_mode")), name="demotion_changes_the_mode")]

    def __str__(self) -> str:
        return f"{self.policy.name}: {self.from_mode} to {self.to_mode}"


class Freeze(models.Model):
    """Policies whose actions took turns on a target, and so act there no more until it is over."""

    target = models.CharField(max_length=256)
    policies = models.JSONField(default=list)
    """Their names, sorted."""
    reason = models.TextField()
    evidence = models.JSONField(default=list)
    """The ids of the actions that took turns, oldest first."""
    newest_action_id = models.BigIntegerField()
    """The last of them: one oscillation freezes once."""
    since = models.DateTimeField()
    until = models.DateTimeField()
    """By the database's clock."""
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["target", "newest_action_id"], name="freeze_once_for_an_oscillation"),
            models.CheckConstraint(condition=Q(until__gt=F("since")), name="freeze_ends_after_it_begins"),
            models.CheckConstraint(condition=~Q(target=""), name="freeze_target_said"),
        ]
        indexes = [models.Index(fields=["target", "-id"], name="freeze_target_newest")]

    def __str__(self) -> str:
        return f"{self.target}: {', '.join(self.policies)}"
