"""Series, their samples, events, and receipts of what was ingested."""

import sys

from django.db import models
from django.db.models import Q

SEVERITIES = [("info", "info"), ("warning", "warning"), ("critical", "critical")]
_LARGEST = sys.float_info.max


class Series(models.Model):
    """A metric name with one set of tags; belongs to one target."""

    name = models.CharField(max_length=200)
    tags = models.JSONField(default=dict)
    tags_hash = models.CharField(max_length=32)
    """A digest of name and sorted tags: what a unique constraint can hold on any database."""
    target = models.CharField(max_length=256)
    created_at = models.DateTimeField()
    last_value = models.FloatField(null=True)
    last_at = models.DateTimeField(null=True)
    last_sample_id = models.BigIntegerField(null=True)
    """The newest sample by its own time. No foreign key: samples stay free to be partitioned."""

    class Meta:
        verbose_name_plural = "series"
        constraints = [
            models.UniqueConstraint(fields=["name", "tags_hash"], name="series_name_and_tags_once"),
            models.CheckConstraint(condition=~Q(name=""), name="series_name_not_blank"),
            models.CheckConstraint(condition=~Q(target=""), name="series_target_not_blank"),
            models.CheckConstraint(
                condition=Q(last_value__isnull=True, last_at__isnull=True, last_sample_id__isnull=True)
                | Q(last_value__isnull=False, last_at__isnull=False, last_sample_id__isnull=False),
                name="series_last_all_or_nothing",
            ),
        ]
        # Not last_at: PostgreSQL then rewrites a series at each sample without touching an index.
        indexes = [
            models.Index(fields=["name", "target"], name="series_by_name_and_target"),
            # By code points, whatever the database's language: for the targets that begin with something. On SQLite
            # the one above is in that order already.
            models.Index(
                fields=["name", "target"],
                name="series_by_name_and_beginning",
                opclasses=["varchar_ops", "varchar_pattern_ops"],
            ),
        ]

    def __str__(self) -> str:
        tags = ", ".join(f'{key}="{value}"' for key, value in sorted(self.tags.items()))
        return f"{self.name}{{{tags}}}"


class Sample(models.Model):
    """One value of a series at one time. Nothing refers to a sample by foreign key.

    On PostgreSQL each day is a partition (`metrics.partitions`), whose one index is its key: series, time and id. There
    `id` finds no sample quickly.
    """

    # No constraint in the database: it would look the series up for each of a batch's rows. `ingest` locks the series
    # it writes to instead, and `retention` drops a series only under the same lock.
    series = models.ForeignKey(
        Series, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="samples"
    )
    value = models.FloatField()
    at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            # PostgreSQL holds NaN to be larger than any number, SQLite stores it as NULL: both fail this.
            models.CheckConstraint(condition=Q(value__gte=-_LARGEST, value__lte=_LARGEST), name="sample_value_finite"),
        ]
        # SQLite's alone.
        indexes = [
            models.Index(fields=["series", "at"], name="sample_by_series_and_time"),
            models.Index(fields=["at"], name="sample_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.value} at {self.at.isoformat()}"


class Rollup(models.Model):
    """What the samples of a series within one step come to; `metrics.rollups` writes them, for `metrics.ranges`."""

    pk = models.CompositePrimaryKey("series_id", "bucket")
    series_id = models.BigIntegerField()
    bucket = models.IntegerField()
    """The step's number since 1970."""
    count = models.IntegerField()
    total = models.FloatField(null=True)
    """Null where a value is so large that a sum of such might not be a number any more."""
    low = models.FloatField()
    high = models.FloatField()
    last = models.FloatField()
    last_at = models.DateTimeField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.count} samples of series {self.series_id} in step {self.bucket}"


class Rollup1m(Rollup):
    """A minute of a series."""

    class Meta(Rollup.Meta):
        db_table = "metrics_rollup_1m"


class Rollup5m(Rollup):
    """Five minutes of a series."""

    class Meta(Rollup.Meta):
        db_table = "metrics_rollup_5m"


class Rollup1h(Rollup):
    """An hour of a series."""

    class Meta(Rollup.Meta):
        db_table = "metrics_rollup_1h"


class RollupProgress(models.Model):
    """How far the rollups have come, in minutes since 1970; one row."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    since = models.IntegerField()
    until = models.IntegerField()
    """From `since` to before `until` the rollups say all that the samples say, but for what `LateSample` names."""
    announced = models.IntegerField()
    """Up to here they are about to be made: who stores a sample of an earlier minute, notes a `LateSample`."""

    def __str__(self) -> str:
        return f"minutes {self.since} to {self.until}"


class LateSample(models.Model):
    """That a sample came when the rollup of its minute was made already, or was being made."""

    series_id = models.BigIntegerField()
    minute = models.IntegerField()

    def __str__(self) -> str:
        return f"minute {self.minute} of series {self.series_id}"


class NewSeries(models.Model):
    """How many series a sender brought with it on a day (UTC): what `VIGIL_NEW_SERIES_PER_KEY` bounds."""

    actor = models.CharField(max_length=150)
    day = models.DateField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "new series"
        constraints = [models.UniqueConstraint(fields=["actor", "day"], name="new_series_once_a_day")]

    def __str__(self) -> str:
        return f"{self.count} new series of {self.actor} on {self.day}"


class Event(models.Model):
    """Something that happened to a target."""

    name = models.CharField(max_length=200)
    severity = models.CharField(max_length=10, choices=SEVERITIES, default="info")
    target = models.CharField(max_length=256)
    tags = models.JSONField(default=dict)
    payload = models.JSONField(default=dict)
    at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="event_name_not_blank"),
            models.CheckConstraint(condition=~Q(target=""), name="event_target_not_blank"),
            models.CheckConstraint(
                condition=Q(severity__in=[value for value, _ in SEVERITIES]), name="event_severity_known"
            ),
        ]
        indexes = [
            models.Index(fields=["name", "at"], name="event_by_name_and_time"),
            models.Index(fields=["at"], name="event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.severity}) on {self.target}"


class IngestReceipt(models.Model):
    """That a batch with an idempotency key was stored, and what was answered."""

    actor = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)
    """Of the body: another body under the same key is somebody's mistake."""
    created_at = models.DateTimeField()
    stored = models.PositiveIntegerField(default=0)
    status = models.PositiveSmallIntegerField(null=True)
    """Null until the answer is known."""
    content = models.BinaryField(default=b"")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["actor", "key"], name="receipt_actor_and_key_once"),
            models.CheckConstraint(condition=~Q(key="") & ~Q(digest=""), name="receipt_not_blank"),
        ]
        indexes = [models.Index(fields=["created_at"], name="receipt_by_time")]

    def __str__(self) -> str:
        return f"{self.actor}: {self.key}"
