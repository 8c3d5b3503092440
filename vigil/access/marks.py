"""Words in colour and links, for the console's lists: the same word has the same colour everywhere."""

from collections.abc import Mapping

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

TONES: Mapping[str, str] = {
    **dict.fromkeys(
        [
            "critical",
            "open",
            "failed",
            "needs_human",
            "ineffective",
            "relapsed",
            "violated",
            "paused",
            "refuse",
            "broken",
        ],
        "danger",
    ),
    **dict.fromkeys(
        [
            "warning",
            "unverifiable",
            "unverified",
            "ambiguous",
            "degraded",
            "unknown",
            "observe",
            "hold",
            "expired",
            "flapping",
            "flapping_began",
            "awaiting_approval",
        ],
        "warning",
    ),
    **dict.fromkeys(
        [
            "resolved",
            "completed",
            "effective",
            "healed",
            "succeeded",
            "ok",
            "healthy",
            "active",
            "in force",
            "alive",
            "flapping_ended",
        ],
        "success",
    ),
    **dict.fromkeys(["info", "running", "executing", "accepted", "order", "auto", "approved"], "info"),
}


def tone(word: object) -> str:
    """The colour of a severity or a state; "" is none."""
    return TONES.get(str(word), "")


def tag(word: str, *, of: str | None = None, title: str = "") -> SafeString:
    """A word on its colour; `of` names the state that decides it, where that is another word."""
    colour = tone(word if of is None else of)
    return format_html('<span class="vg-tag vg-tag-{}" title="{}">{}</span>', colour, title, word.replace("_", " "))


def link(text: object, page: str, *args: object) -> SafeString:
    """A link to a page of the console."""
    return format_html('<a class="vg-link" href="{}">{}</a>', reverse(f"admin:{page}", args=args), text)
