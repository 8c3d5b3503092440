"""Everything this app registers elsewhere when Django starts."""

from celery.signals import worker_process_init

from actions import checks, collectors, health, hints, receivers
from actions.signals import action_finished, left_to_others
from vigil.health import checks as health_checks
from vigil.telemetry import collectors as state_collectors


def connect() -> None:
    """Register once; `AppConfig.ready` calls this."""
    checks.connect()
    health_checks.register("control_switch", health.switch, readiness=False)
    health_checks.register("guards", health.held, readiness=False)
    health_checks.register("stuck_actions", health.stuck, readiness=False)
    health_checks.register("remediators", health.remediators, readiness=False)
    state_collectors.register("actions", collectors.read)
    action_finished.connect(receivers.hint_the_next, dispatch_uid="actions.hint_the_next")
    left_to_others.connect(receivers.hint_at_another, dispatch_uid="actions.hint_at_another")
    worker_process_init.connect(_publish_directly, weak=False, dispatch_uid="actions.publish_directly")


def _publish_directly(**_: object) -> None:
    """A Celery worker serves no requests, so it may wait for Redis: also one that was started by hand."""
    hints.publish_directly()
