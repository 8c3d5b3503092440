"""Small helpers for the console's templates."""

import json
from datetime import datetime, timedelta

from django import template

from actions import control
from metrics.models import Series
from policies.engine import durations
from policies.models import Decision
from policies.story import Story
from vigil.access import marks
from vigil.console import dashboard, theme
from vigil.console.dashboard import Trouble

register = template.Library()

SHORT_SECONDS = 10


@register.filter
def tone(word: object) -> str:
    """The colour of a severity or a state."""
    return marks.tone(word)


@register.filter
def ago(moment: datetime | None, at: datetime) -> str:
    """How long before `at`: `3m12s`."""
    return durations.spell(at - moment) if moment is not None else "never"


@register.filter
def left(until: datetime | None, at: datetime) -> str:
    """How long it is from `at` until then: `24m10s`; nothing is left once it is over."""
    return durations.spell(max(until - at, timedelta(0))) if until is not None else ""


@register.filter
def spelled(span: timedelta | None) -> str:
    """A length of time in its two largest units; a short one to a tenth of a second."""
    if span is None:
        return ""
    seconds = span.total_seconds()
    return f"{seconds:.1f} s" if 0 <= seconds < SHORT_SECONDS else durations.spell(span)


@register.filter
def clock(moment: datetime | None) -> str:
    """A moment of today or another day, to the second, UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment is not None else ""


@register.filter
def number(value: float | None) -> str:
    """A measured number without needless digits."""
    return "" if value is None else f"{value:,.6g}"


@register.filter
def as_json(value: object) -> str:
    """JSON for reading."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)


@register.filter
def words(state: object) -> str:
    """A stored state as words."""
    return str(state).replace("_", " ")


@register.filter
def as_in_navigation(title: str, link: str) -> str:
    """A list is called what the navigation calls it, whatever its model is called."""
    items = (item for group in theme.NAVIGATION for item in group["items"])
    return next((item["title"] for item in items if str(item["link"]) == link), title)


@register.simple_tag
def decisions_about(action_id: int) -> list[Decision]:
    """What was decided with this action in view, oldest first; the action's own page may not know who decides."""
    return list(Decision.objects.filter(action_id=action_id).select_related("incident", "policy").order_by("id"))


@register.simple_tag
def trouble_of(told: Story, at: datetime) -> Trouble:
    """The sentence about what Vigil is doing, as the front page says it."""
    last = told.decisions[-1] if told.decisions else None
    return dashboard.trouble(told.incident, told.actions, last, control.state(), at=at)


@register.simple_tag
def known_metrics() -> list[str]:
    """Names to choose from while writing a policy."""
    return list(Series.objects.order_by("name").values_list("name", flat=True).distinct()[:500])
