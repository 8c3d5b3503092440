"""API keys for machines; people are Django users in groups."""

from django.db import models


class ApiKey(models.Model):
    """One machine's credential: a prefix to find it and a hash to check it; the key itself is shown once."""

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)
    """SHA-256 of the whole key: a fast hash is right for 256 random bits."""
    scopes = models.JSONField(default=list)
    targets = models.JSONField(default=list, blank=True)
    """Patterns of the targets this key may speak for; empty is all."""
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    """To the minute."""

    class Meta:
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        constraints = [
            models.CheckConstraint(condition=~models.Q(name=""), name="access_key_has_a_name"),
            models.CheckConstraint(
                condition=models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=models.F("created_at")),
                name="access_key_expires_after_creation",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"


class KeyBook(models.Model):
    """One row whose number changes with every key: what tells each process that its cache is old."""

    version = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"version {self.version}"
