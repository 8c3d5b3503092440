"""The Celery application; the broker carries hints, the database is the queue."""

import os
from typing import Any

import structlog
from celery import Celery
from kombu.transport import redis

from vigil.telemetry import metrics

logger = structlog.get_logger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vigil.settings")


class PatientChannel(redis.Channel):
    """Reads on when a message is no message: kombu lets what it cannot decode end the whole worker."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            metrics.messages_refused_total.inc()
            logger.warning("celery.message.refused", error=f"{type(error).__name__}: {error}"[:200])
            return True  # it was read, and that was all


redis.Transport.Channel = PatientChannel

app = Celery("vigil")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
