"""Announcements upward. They shorten waits; nothing depends on anybody listening."""

from django.dispatch import Signal

action_finished = Signal()
"""After the commit that ended an action: `action_id: int, incident_id: int | None, target: str, status: str,
verify_after: datetime | None`."""
left_to_others = Signal()
"""A worker was hinted at an action of a kind that it does not know: `action_id: int, passed_on: int`, how often the
hint had been passed on before."""
