"""What the frame around every page asks: who may go where, what waits, and whether Vigil acts."""

from django.http import HttpRequest

from actions import control, queries
from actions.control import ControlState
from policies.engine import calendar
from policies.models import Incident, IncidentStatus
from policies.muting import kept
from vigil.access import scoped
from vigil.kernel import clock

MODE_WORDS = {"active": ("Active", "success"), "observe": ("Observe only", "warning"), "paused": ("Paused", "danger")}


def reads(request: HttpRequest) -> bool:
    """Whether the person may look at things."""
    return scoped.allows(request, scoped.READERS)


def administers(request: HttpRequest) -> bool:
    """Whether the person is an administrator: a superuser, or in the group `admin`."""
    return scoped.allows(request, scoped.ADMINISTRATORS)


def owns(request: HttpRequest) -> bool:
    """Whether the person is a superuser."""
    return request.user.is_active and request.user.is_superuser


def switch(request: HttpRequest) -> ControlState:
    """The control switch, read once a request."""
    known = getattr(request, "_vigil_switch", None)
    if not isinstance(known, ControlState):
        known = control.state()
        request._vigil_switch = known  # type: ignore[attr-defined]
    return known


def mode_label(request: HttpRequest) -> tuple[str, str] | None:
    """The word in the header, and its colour."""
    return MODE_WORDS[switch(request).mode] if reads(request) else None


def open_incidents(request: HttpRequest) -> int | None:
    """How many incidents are open; None shows no badge."""
    return Incident.objects.filter(status=IncidentStatus.OPEN).count() or None


def silences(request: HttpRequest) -> int | None:
    """How many silences are in force; None shows no badge."""
    at = clock.now()
    return (
        sum(one.starts_at <= at and (one.ends_at is None or at < one.ends_at) for one in kept.current(at).silences)
        or None
    )


def in_maintenance(request: HttpRequest) -> int | None:
    """How many maintenance windows are open; None shows no badge."""
    at = clock.now()
    return sum(calendar.open_at(one.schedule, at) is not None for one in kept.current(at).windows) or None


def common_causes(request: HttpRequest) -> int | None:
    """How many groups are held for a common cause; None shows no badge."""
    return len(kept.current(clock.now()).causes) or None


def waiting_for_people(request: HttpRequest) -> int | None:
    """How many actions cannot go on without a person; None shows no badge."""
    counts = queries.counts_by_state()
    return counts["needs_human"] + counts["awaiting_approval"] or None
