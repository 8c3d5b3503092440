"""What Vigil decides about: policies with their history, incidents, and the decisions that were taken."""

from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models import Q

from policies.engine import flapping
from policies.mutes import CommonCause, InhibitionRule, MaintenanceWindow, Silence
from policies.restraints import Demotion, Freeze

__all__ = [
    "LIVE",
    "Answer",
    "BookVersion",
    "CommonCause",
    "Decision",
    "Demotion",
    "FlapHistory",
    "Freeze",
    "Incident",
    "IncidentStatus",
    "InhibitionRule",
    "MaintenanceWindow",
    "Mode",
    "Policy",
    "PolicyHealth",
    "PolicyVersion",
    "Resolution",
    "Severity",
    "Silence",
    "SweepShard",
    "SweepStatus",
]


class Severity(models.TextChoices):
    """How much a violation matters; the order is the order of alarm."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Mode(models.TextChoices):
    """What a policy may do about a violation, from least to most: the order of `policies.engine.modes`."""

    OBSERVE = "observe", "observe"
    SUGGEST = "suggest", "suggest: wait for a click"
    APPROVE = "approve", "approve: wait for an approver"
    AUTO = "auto", "act"


class IncidentStatus(models.TextChoices):
    """Where an episode stands; `pending` waits for the condition's `for`."""

    PENDING = "pending"
    OPEN = "open"
    RESOLVED = "resolved"


class Resolution(models.TextChoices):
    """Why an episode ended. Only `healed` counts as healing."""

    HEALED = "healed"
    UNVERIFIED = "unverified", "no data: closed unverified"
    WITHDRAWN = "withdrawn", "policy withdrawn"
    BY_HAND = "by_hand", "resolved by a person"
    BRIEF = "brief", "too brief to open"


class Answer(models.TextChoices):
    """What a decision came to."""

    ORDER = "order"
    HOLD = "hold"
    REFUSE = "refuse"
    NOTHING = "nothing"


LIVE = (IncidentStatus.PENDING.value, IncidentStatus.OPEN.value)


def _one_of(field: str, choices: type[models.TextChoices], *, blank: bool = False) -> Q:
    return Q(**{f"{field}__in": [*choices.values, *([""] if blank else [])]})


class PolicyManager(models.Manager["Policy"]):
    """Policies that people wrote and did not remove; `Policy.everything` has all that incidents are of."""

    def get_queryset(self) -> models.QuerySet["Policy"]:
        """Leave removed policies out, and Vigil's own."""
        return super().get_queryset().filter(deleted_at=None, builtin=False)


class Policy(models.Model):
    """A named rule. What it says is in its current version; what may change without a new version is here."""

    name = models.CharField(max_length=100)
    enabled = models.BooleanField(default=True)
    mode = models.CharField(max_length=10, choices=Mode.choices, default=Mode.OBSERVE)
    demotion = models.OneToOneField(
        Demotion, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    """The one it is under: its mode is then less than its version says."""
    builtin = models.BooleanField(default=False, db_default=False, editable=False)
    """One that Vigil opens incidents of by itself. It is judged by nobody, orders nothing, and is in no list."""
    current = models.ForeignKey("PolicyVersion", null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = PolicyManager()
    everything: ClassVar[models.Manager["Policy"]] = models.Manager()

    class Meta:
        verbose_name_plural = "policies"
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(deleted_at=None), name="policy_name_once"),
            models.CheckConstraint(condition=_one_of("mode", Mode), name="policy_mode_known"),
            models.CheckConstraint(condition=~Q(name=""), name="policy_name_said"),
        ]

    def __str__(self) -> str:
        return self.name


class PolicyVersion(models.Model):
    """What a policy said at one time. Never changed and never removed: incidents point at it."""

    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    """The normalised document, as `policies.documents` writes it."""
    sentence = models.TextField()
    severity = models.CharField(max_length=10, choices=Severity.choices)
    """Also in the document; here for filters."""
    author = models.CharField(max_length=150)
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["policy_id", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="policy_version_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="policy_version_number_from_one"),
            models.CheckConstraint(condition=_one_of("severity", Severity), name="policy_version_severity_known"),
        ]

    def __str__(self) -> str:
        return f"{self.policy.name} version {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert once; a change is a new version."""
        if not self._state.adding:
            raise ImproperlyConfigured("A policy version is never changed; write a new one with policies.authoring.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refused: history stays."""
        raise ImproperlyConfigured("A policy version is never removed; remove the policy instead.")


class Incident(models.Model):
    """One episode of one policy being violated on one target. Only `policies.incidents` writes it."""

    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="incidents")
    policy_version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="incidents")
    target = models.CharField(max_length=256)
    severity = models.CharField(max_length=10, choices=Severity.choices)
    status = models.CharField(max_length=10, choices=IncidentStatus.choices)
    state_seq = models.PositiveIntegerField(default=1)
    """Counts the moves, from 1; every writer swaps on it, and the audit trail has one entry for each."""
    since = models.DateTimeField()
    """When the condition was first seen violated."""
    opened_at = models.DateTimeField(null=True, blank=True)
    healthy_since = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    last_evaluated_at = models.DateTimeField()
    value = models.FloatField(null=True, blank=True)
    tags = models.JSONField(default=dict, blank=True)
    """What its series agreed on when it was first seen; silences and inhibitions match on these."""
    status_reason = models.TextField(blank=True)
    resolution = models.CharField(max_length=10, choices=Resolution.choices, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    exhausted = models.BooleanField(default=False)
    """Every step of the remedy was tried and none helped: a person is needed."""

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "target"], condition=Q(status__in=LIVE), name="incident_one_live_per_policy_target"
            ),
            models.CheckConstraint(condition=_one_of("status", IncidentStatus), name="incident_status_known"),
            models.CheckConstraint(condition=_one_of("severity", Severity), name="incident_severity_known"),
            models.CheckConstraint(
                condition=_one_of("resolution", Resolution, blank=True), name="incident_resolution_known"
            ),
            models.CheckConstraint(
                condition=Q(status=IncidentStatus.RESOLVED, resolved_at__isnull=False)
                | Q(status__in=LIVE, resolved_at__isnull=True),
                name="incident_resolved_has_time",
            ),
            models.CheckConstraint(
                condition=(Q(status=IncidentStatus.RESOLVED) & ~Q(resolution="")) | Q(status__in=LIVE, resolution=""),
                name="incident_resolved_says_how",
            ),
            models.CheckConstraint(
                condition=~Q(status=IncidentStatus.OPEN) | Q(opened_at__isnull=False), name="incident_open_has_time"
            ),
            models.CheckConstraint(condition=~Q(target=""), name="incident_target_said"),
        ]
        indexes = [
            models.Index(fields=["target"], condition=Q(status__in=LIVE), name="incident_live_target"),
            models.Index(fields=["target", "-id"], name="incident_target_newest"),
            models.Index(fields=["policy", "target", "-id"], name="incident_policy_target_newest"),
            models.Index(fields=["status", "-id"], name="incident_status_newest"),
        ]

    def __str__(self) -> str:
        return f"incident {self.pk}: {self.target} {self.status}"

    @property
    def live(self) -> bool:
        """Pending or open."""
        return self.status in LIVE

    @property
    def subject(self) -> str:
        """How the audit trail names it."""
        return f"incident:{self.pk}"


class FlapHistory(models.Model):
    """How a policy's incidents on a target came and went: kept only while one of the last 21 results was a change."""

    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="+")
    target = models.CharField(max_length=256)
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="+")
    """The newest: on it is written when flapping begins and ends."""
    results = models.CharField(max_length=flapping.REMEMBERED)
    """As `policies.engine.flapping` writes them."""
    last_at = models.DateTimeField()
    """When the newest result was taken."""
    flapping_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "flap histories"
        constraints = [
            models.UniqueConstraint(fields=["policy", "target"], name="flap_history_one_per_policy_target"),
            models.CheckConstraint(condition=~Q(results=""), name="flap_history_has_results"),
            models.CheckConstraint(condition=~Q(target=""), name="flap_history_target_said"),
        ]

    def __str__(self) -> str:
        return f"{self.target}: {self.results}"


class Decision(models.Model):
    """What Vigil concluded about an incident and why. Written only when the conclusion or its reason changes."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="decisions")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="decisions")
    target = models.CharField(max_length=256)
    answer = models.CharField(max_length=10, choices=Answer.choices)
    guard = models.CharField(max_length=50, blank=True)
    """Which rule held or refused; blank for an order."""
    reason = models.TextField()
    numbers = models.JSONField(default=dict)
    action_id = models.BigIntegerField(null=True, blank=True)
    """The action this is about: the ordered one, or the one being waited for."""
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=_one_of("answer", Answer), name="decision_answer_known")]
        indexes = [
            models.Index(fields=["incident", "-id"], name="decision_incident_newest"),
            models.Index(fields=["policy", "-id"], name="decision_policy_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.answer}: {self.reason}"


class BookVersion(models.Model):
    """One row. Every edit of a policy counts it up in the same transaction, so that every process notices."""

    version = models.PositiveBigIntegerField(default=1)
    mutes = models.PositiveBigIntegerField(default=1)
    """The same for silences, maintenance windows, inhibition rules and common causes: one look tells of both."""

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="book_version_one_row")]

    def __str__(self) -> str:
        return f"book version {self.version}"


class PolicyHealth(models.Model):
    """How a policy's own evaluation fares. A policy that keeps failing switches itself off, and no other."""

    policy = models.OneToOneField(Policy, on_delete=models.CASCADE, related_name="health")
    last_error = models.TextField(blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)
    consecutive_errors = models.PositiveIntegerField(default=0)
    disabled_by_error = models.BooleanField(default=False)
    last_evaluated_at = models.DateTimeField(null=True, blank=True)
    """When the sweep last judged it; blank until the first sweep, which is why a new policy has no gap."""
    grace_until = models.DateTimeField(null=True, blank=True)
    """After a gap in evaluation nothing is ordered before this."""

    class Meta:
        verbose_name_plural = "policy health"

    def __str__(self) -> str:
        return f"health of {self.policy.name}"


class SweepStatus(models.Model):
    """One row: how the periodic evaluation fares. `running_since` is taken by compare-and-swap."""

    running_since = models.DateTimeField(null=True, blank=True)
    run_id = models.CharField(max_length=32, blank=True)
    last_run_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_duration_ms = models.FloatField(default=0)
    lag_seconds = models.FloatField(default=0)
    policies_evaluated = models.PositiveIntegerField(default=0)
    targets_evaluated = models.PositiveIntegerField(default=0)
    policy_errors = models.PositiveIntegerField(default=0)
    runs = models.PositiveBigIntegerField(default=0)
    overruns = models.PositiveBigIntegerField(default=0)
    """Ticks that were skipped because the sweep before them was still running."""
    last_error = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "sweep status"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="sweep_status_one_row")]

    def __str__(self) -> str:
        return f"sweep, last run {self.last_run_at}"


class SweepShard(models.Model):
    """A part of a sweep over a large fleet: which targets, and what was found. It lives as long as the sweep does."""

    run_id = models.CharField(max_length=32)
    number = models.PositiveIntegerField()
    """From 1."""
    total = models.PositiveIntegerField()
    after = models.CharField(max_length=256, blank=True)
    until = models.CharField(max_length=256, blank=True)
    """Targets later in the alphabet than `after`, up to `until`; blank means without an end."""
    at = models.DateTimeField()
    found = models.JSONField(null=True)
    """Null until it is done."""

    class Meta:
        verbose_name = "sweep shard"
        constraints = [models.UniqueConstraint(fields=["run_id", "number"], name="sweep_shard_once")]

    def __str__(self) -> str:
        return f"shard {self.number} of {self.total}"
