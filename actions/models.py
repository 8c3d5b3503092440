"""What is kept about actions. The database itself rules out two effects on one target."""

import uuid
from datetime import timedelta

from django.db import models
from django.db.models import F, Q

from actions.breaker import Position
from actions.consent import Asks
from actions.secrets import EncryptedTextField
from actions.states import HOLDING, LEASE_HELD, TERMINAL, State, status_of

_STATES = [(state.value, state.value.replace("_", " ")) for state in State]
_VERIFICATIONS = ["", "effective", "ineffective", "unverifiable", "relapsed"]


def _sorted(states: frozenset[State]) -> list[str]:
    return sorted(state.value for state in states)


NOT_OVER = Q(finished_at__isnull=True)
"""The same as "in no terminal state": a constraint sees to it. SQLite uses no partial index whose condition has a list,
as the query brings its own list as parameters."""


class _SecretsLeftAlone(models.Manager["Remediator"]):
    """Reads no secret until somebody asks for it: one that cannot be decrypted must spoil no list."""

    def get_queryset(self) -> models.QuerySet["Remediator"]:
        return super().get_queryset().defer("secret")


class Remediator(models.Model):
    """Who carries actions out: a service that is called or that fetches, an allowed command, or the log."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=50)
    """A kind the registry knows: http, pull, command, log, or a plug-in's."""
    config = models.JSONField(default=dict, blank=True)
    secret = EncryptedTextField(blank=True, default="")
    """Signs calls; encrypted at rest."""
    enabled = models.BooleanField(default=True)
    from_environment = models.BooleanField(default=False, editable=False)
    """Made by REMEDIATOR_URL, and follows it."""

    objects = _SecretsLeftAlone()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name="") & ~Q(kind=""), name="actions_remediator_is_named"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


class ActionType(models.Model):
    """A sort of remediation. A name keeps its meaning for ever: retire it and make a new one instead."""

    class Safety(models.TextChoices):
        NATURAL = "natural", "repeating it is harmless"
        IDEMPOTENT_KEY = "idempotent_key", "the remediator de-duplicates by key"
        AT_MOST_ONCE = "at_most_once", "never sent twice"

    class Risk(models.TextChoices):
        LOW = "low"
        HIGH = "high"
        CRITICAL = "critical"

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=250, blank=True)
    remediator = models.ForeignKey(Remediator, on_delete=models.PROTECT, related_name="action_types")
    schema = models.JSONField(default=dict, blank=True)
    """JSON Schema of the parameters."""
    retry_safety = models.CharField(max_length=20, choices=Safety, default=Safety.AT_MOST_ONCE)
    risk = models.CharField(max_length=10, choices=Risk, default=Risk.LOW)
    max_seconds = models.PositiveIntegerField(default=300)
    """How long one attempt may run at the remediator before a person is asked."""
    cancel = models.BooleanField(default=False)
    """Whether the remediator can stop one that runs."""
    rollback = models.CharField(max_length=100, blank=True, default="", db_default="")
    """The name of the type that undoes it, when ordered with the same parameters."""
    tells = models.BooleanField(default=False, db_default=False)
    """It tells people and mends nothing, so nobody judges whether it helped."""
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="actions_type_is_named"),
            models.CheckConstraint(
                condition=Q(retry_safety__in=["natural", "idempotent_key", "at_most_once"]),
                name="actions_type_known_safety",
            ),
            models.CheckConstraint(condition=Q(risk__in=["low", "high", "critical"]), name="actions_type_known_risk"),
            models.CheckConstraint(condition=Q(max_seconds__gte=1), name="actions_type_takes_time"),
        ]

    def __str__(self) -> str:
        return self.name


class Action(models.Model):
    """One ordered remediation. All its times are the database's."""

    uid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    """The idempotency key that remediators see."""
    dedup_key = models.CharField(max_length=250)
    """Names the step of the incident, or the order by hand: at most one live action has it."""
    request_key = models.CharField(max_length=400, null=True, blank=True, unique=True)
    """Who ordered by hand and with which Idempotency-Key; for ever at most one action has it."""
    action_type = models.ForeignKey(
        ActionType, on_delete=models.PROTECT, to_field="name", db_column="kind", related_name="actions"
    )
    target = models.CharField(max_length=250)
    params = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=20, choices=_STATES)
    state_seq = models.PositiveBigIntegerField(default=1)
    """Steps taken: the number of this action's audit entries."""

    incident_id = models.BigIntegerField(null=True, blank=True)
    policy_name = models.CharField(max_length=200, blank=True)
    policy_version = models.PositiveIntegerField(null=True, blank=True)
    severity = models.CharField(max_length=20, blank=True)
    reason = models.TextField(blank=True)
    ordered_by = models.CharField(max_length=150)
    by_hand = models.BooleanField(default=False)
    """A person or key ordered it: neither guards nor the gate question the need."""
    request_id = models.CharField(max_length=64, blank=True)
    retry_of = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="retries")
    concurrency_group = models.CharField(max_length=200, blank=True)
    fleet = models.CharField(max_length=200, blank=True, default="", db_default="")
    """The fleet that it counts against while it has its effect; "" where no share is taken of one."""

    asks = models.CharField(
        max_length=10, blank=True, default="", choices=[(one.value, one.name.lower()) for one in Asks]
    )
    """Whose word it needs before it may run: "" nobody's, an operator's or an approver's."""
    people = models.PositiveSmallIntegerField(default=0)
    """How many different ones have to approve it."""
    approval_reasons = models.JSONField(default=list, blank=True)
    """Why, as sentences."""
    approval_expires_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)

    attempt_no = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    run_after = models.DateTimeField()
    """Not before: the next attempt, or the next question while it is unknown or accepted."""
    deadline = models.DateTimeField()
    lease_owner = models.CharField(max_length=200, null=True, blank=True)
    lease_token = models.PositiveBigIntegerField(null=True, blank=True)
    """The target's fence as it was at the last claim."""
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    lease_losses = models.PositiveSmallIntegerField(default=0)
    asked = models.PositiveSmallIntegerField(default=0)
    """How often the remediator was asked about the present attempt."""
    run_id = models.CharField(max_length=250, blank=True)
    hinted_at = models.DateTimeField(null=True, blank=True)
    hint_count = models.PositiveIntegerField(default=0)
    turned_away_at = models.DateTimeField(null=True, blank=True)
    """When a worker last looked at it and its target, or a cap, had no room: whoever makes room hints at it again."""
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    settle = models.DurationField(null=True, blank=True)
    verified = models.BooleanField(default=True, db_default=True)
    """Whether fresh data is to say if it helped; not of what only tells people, or undoes a step."""
    verify_after = models.DateTimeField(null=True, blank=True)
    verification = models.CharField(max_length=20, blank=True)
    details = models.TextField(blank=True)
    """What the remediator said last; at most 4 KiB."""
    notes = models.TextField(blank=True)

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dedup_key"],
                condition=~Q(state__in=_sorted(TERMINAL)),
                name="actions_one_live_per_key",
            ),
            models.UniqueConstraint(
                fields=["target"],
                condition=Q(state__in=_sorted(HOLDING)),
                name="actions_one_effect_per_target",
            ),
            models.CheckConstraint(
                condition=Q(state__in=_sorted(LEASE_HELD), lease_owner__isnull=False)
                | (~Q(state__in=_sorted(LEASE_HELD)) & Q(lease_owner__isnull=True)),
                name="actions_lease_has_an_owner",
            ),
            models.CheckConstraint(condition=Q(deadline__gt=F("created_at")), name="actions_deadline_after_order"),
            models.CheckConstraint(
                condition=Q(state__in=_sorted(TERMINAL), finished_at__isnull=False)
                | (~Q(state__in=_sorted(TERMINAL)) & Q(finished_at__isnull=True)),
                name="actions_finished_has_a_time",
            ),
            models.CheckConstraint(condition=Q(state__in=_sorted(frozenset(State))), name="actions_known_state"),
            models.CheckConstraint(condition=Q(verification__in=_VERIFICATIONS), name="actions_known_verification"),
            models.CheckConstraint(condition=~Q(target=""), name="actions_target_is_named"),
            models.CheckConstraint(condition=Q(state_seq__gte=1), name="actions_steps_from_one"),
            models.CheckConstraint(condition=Q(attempt_no__lte=F("max_attempts")), name="actions_attempts_bounded"),
            models.CheckConstraint(
                condition=Q(asks="", people=0) | Q(asks__in=["operator", "approver"], people__gte=1),
                name="actions_asks_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state="awaiting_approval") | Q(people__gte=1, approval_expires_at__isnull=False),
                name="actions_waits_for_a_while",
            ),
        ]
        indexes = [
            models.Index(
                fields=["run_after", "id"], condition=Q(state__in=["ready", "retry_wait"]), name="actions_due"
            ),
            models.Index(
                fields=["run_after"], condition=Q(state__in=["unknown", "accepted"]), name="actions_to_ask_about"
            ),
            models.Index(
                fields=["lease_expires_at"], condition=Q(state__in=["leased", "executing"]), name="actions_leases"
            ),
            models.Index(
                fields=["approval_expires_at"], condition=Q(state="awaiting_approval"), name="actions_awaiting"
            ),
            models.Index(
                fields=["run_after", "id"], condition=Q(turned_away_at__isnull=False), name="actions_turned_away"
            ),
            models.Index(fields=["target", "id"], name="actions_line_of_target"),
            models.Index(fields=["target", "id"], condition=NOT_OVER, name="actions_live_on_target"),
            models.Index(fields=["state", "id"], name="actions_by_state"),
            models.Index(fields=["incident_id"], name="actions_by_incident"),
            models.Index(fields=["policy_name", "id"], name="actions_by_policy"),
            models.Index(fields=["created_at"], name="actions_by_creation"),
            models.Index(fields=["finished_at"], name="actions_by_end"),
            models.Index(
                fields=["verify_after"],
                condition=Q(state="succeeded", verification=""),
                name="actions_to_verify",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action_type_id} on {self.target} (#{self.pk})"

    @property
    def subject(self) -> str:
        """What the audit calls it."""
        return f"action:{self.pk}"

    @property
    def status(self) -> str:
        """The public word for its state."""
        return status_of(self.state).value

    @property
    def run_span(self) -> timedelta:
        """How long it may take once nobody's word is missing: the deadline counts from the approval."""
        return self.deadline - (self.approved_at or self.approval_expires_at or self.created_at)


def with_remediators(rows: models.QuerySet[Action]) -> models.QuerySet[Action]:
    """The actions with their types and remediators, but for secrets: each is read when its remediator is built, so that
    one that cannot be decrypted is the trouble of its own actions alone."""
    return rows.select_related("action_type__remediator").defer("action_type__remediator__secret")


class Approval(models.Model):
    """What one person said about an action that waited for it."""

    class Verdict(models.TextChoices):
        APPROVED = "approved"
        REJECTED = "rejected"

    action = models.ForeignKey(Action, on_delete=models.CASCADE, related_name="approvals")
    by = models.CharField(max_length=150)
    verdict = models.CharField(max_length=10, choices=Verdict)
    reason = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["action_id", "id"]
        constraints = [
            models.UniqueConstraint(fields=["action", "by"], name="actions_one_word_each"),
            models.CheckConstraint(condition=Q(verdict__in=["approved", "rejected"]), name="actions_known_verdict"),
            models.CheckConstraint(condition=~Q(by=""), name="actions_approval_by_somebody"),
        ]

    def __str__(self) -> str:
        return f"{self.by} {self.verdict} action {self.action_id}"


class Attempt(models.Model):
    """One call to a remediator, committed before the call is made."""

    action = models.ForeignKey(Action, on_delete=models.CASCADE, related_name="tries")
    number = models.PositiveSmallIntegerField()
    token = models.PositiveBigIntegerField()
    worker = models.CharField(max_length=200)
    code_version = models.CharField(max_length=50, blank=True)
    intent_at = models.DateTimeField()
    first_byte_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    """succeeded, failed, accepted, ambiguous; "" while nothing came back."""
    retryable = models.BooleanField(default=False)
    late = models.BooleanField(default=False)
    """It came after the lease was gone: kept, and used when the question is settled."""
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    error_class = models.CharField(max_length=50, blank=True)
    message = models.TextField(blank=True)
    excerpt = models.TextField(blank=True)
    details = models.JSONField(default=dict, blank=True)
    run_id = models.CharField(max_length=250, blank=True)

    class Meta:
        ordering = ["action_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["action", "number"], name="actions_attempts_are_numbered"),
            models.CheckConstraint(
                condition=Q(outcome="") | Q(finished_at__isnull=False), name="actions_attempt_outcome_has_a_time"
            ),
        ]
        indexes = [models.Index(fields=["intent_at"], name="actions_attempts_by_time")]

    def __str__(self) -> str:
        return f"attempt {self.number} of action {self.action_id}"


class TargetGuard(models.Model):
    """What is remembered about a target between its actions; its row is the lock of the target's line."""

    target = models.CharField(max_length=250, primary_key=True)
    fence = models.PositiveBigIntegerField(default=0)
    """Rises with every claim; remediators refuse a lower one than they saw."""
    cooldown_until = models.DateTimeField(null=True, blank=True)
    quarantined_until = models.DateTimeField(null=True, blank=True)
    quarantine_reason = models.TextField(blank=True, default="", db_default="")
    lifted_at = models.DateTimeField(null=True, blank=True)
    """When a person last ended a quarantine: what was done to the target before that no longer counts."""

    class Meta:
        indexes = [
            models.Index(
                fields=["quarantined_until"],
                condition=Q(quarantined_until__isnull=False),
                name="actions_in_quarantine",
            ),
        ]

    def __str__(self) -> str:
        return self.target


class Budget(models.Model):
    """Caps for a scope. A row to lock, not a counter: what counts against it is counted from actions and attempts."""

    scope = models.CharField(max_length=250, unique=True)
    """`global`, `policy:NAME`, `type:NAME`, `group:NAME` or `fleet:NAME`."""
    concurrency_max = models.PositiveIntegerField(null=True, blank=True)
    """So many at once; empty is no cap of its own (for `global`: the setting VIGIL_GLOBAL_CONCURRENCY)."""
    rate_count = models.PositiveIntegerField(null=True, blank=True)
    rate_seconds = models.PositiveIntegerField(null=True, blank=True)
    storm_since = models.DateTimeField(null=True, blank=True)
    """Since when all of the scope is held, until a person resets it; only `global` and policies are."""
    storm_reason = models.TextField(blank=True, default="", db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["storm_since"], condition=Q(storm_since__isnull=False), name="actions_storms"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(rate_count__isnull=True, rate_seconds__isnull=True)
                | Q(rate_count__isnull=False, rate_seconds__isnull=False, rate_seconds__gte=1),
                name="actions_budget_rate_is_whole",
            )
        ]

    def __str__(self) -> str:
        return self.scope


class Proposal(models.Model):
    """That a policy wanted an action, whatever the guards said: each wish counts once, however often it comes again."""

    key = models.CharField(max_length=250, primary_key=True)
    """The dedup_key of the order."""
    policy_name = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["at"], name="actions_proposals_by_time")]

    def __str__(self) -> str:
        return self.key


class Circuit(models.Model):
    """The circuit breaker of a remediator; made when a call fails for the first time. Its row is its lock."""

    remediator = models.OneToOneField(Remediator, on_delete=models.CASCADE, primary_key=True, related_name="circuit")
    position = models.CharField(max_length=10, choices=[(one.value, one.value) for one in Position])
    failures = models.PositiveIntegerField(default=0)
    """In a row, up to now."""
    opened_at = models.DateTimeField(null=True, blank=True)
    probe_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(position__in=["closed", "open", "half_open"]), name="actions_circuit_known_position"
            ),
            models.CheckConstraint(
                condition=Q(position="closed") | Q(opened_at__isnull=False), name="actions_circuit_open_since"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.remediator_id}: {self.position}"


class ControlSwitch(models.Model):
    """The one row that says whether Vigil acts, only observes, or is paused."""

    class Mode(models.TextChoices):
        ACTIVE = "active"
        OBSERVE = "observe"
        PAUSED = "paused"

    mode = models.CharField(max_length=10, choices=Mode, default=Mode.ACTIVE)
    reason = models.TextField(blank=True)
    by = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "control switch"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="actions_switch_is_one_row"),
            models.CheckConstraint(
                condition=Q(mode__in=["active", "observe", "paused"]), name="actions_switch_known_mode"
            ),
        ]

    def __str__(self) -> str:
        return self.mode
