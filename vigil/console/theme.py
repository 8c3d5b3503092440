"""How the console looks and how one finds one's way: read by settings, so it may import no model."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _item(title: str, icon: str, url: str, **more: object) -> dict[str, object]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{url}"), **more}


def _reading(title: str, icon: str, url: str, **more: object) -> dict[str, object]:
    return _item(title, icon, url, permission="vigil.console.navigation.reads", **more)


def _administering(title: str, icon: str, url: str) -> dict[str, object]:
    return _item(title, icon, url, permission="vigil.console.navigation.administers")


def _superuser(title: str, icon: str, url: str) -> dict[str, object]:
    return _item(title, icon, url, permission="vigil.console.navigation.owns")


def stylesheet(request: HttpRequest) -> str:
    """The console's own styles, beside the theme's."""
    return static("console/console.css")


def script(request: HttpRequest) -> str:
    """The console's own script: refresh, copy, the policy form."""
    return static("console/console.js")


def favicon(request: HttpRequest) -> str:
    """The eye in the browser's tab."""
    return static("console/vigil.svg")


# Each group answers one question.
NAVIGATION: list[dict[str, Any]] = [
    {
        "title": "Watch",
        "items": [
            _reading("Now", "monitor_heart", "index"),
            _reading(
                "Incidents",
                "e911_emergency",
                "policies_incident_changelist",
                badge="vigil.console.navigation.open_incidents",
                badge_variant="danger",
                badge_style="solid",
            ),
            _reading(
                "Actions",
                "build",
                "actions_action_changelist",
                badge="vigil.console.navigation.waiting_for_people",
                badge_variant="warning",
                badge_style="solid",
            ),
        ],
    },
    {
        "title": "Rules",
        "separator": True,
        "items": [
            _reading("Policies", "policy", "policies_policy_changelist"),
            _reading(
                "Silences",
                "notifications_off",
                "policies_silence_changelist",
                badge="vigil.console.navigation.silences",
                badge_variant="info",
            ),
            _reading(
                "Maintenance",
                "construction",
                "policies_maintenancewindow_changelist",
                badge="vigil.console.navigation.in_maintenance",
                badge_variant="info",
            ),
            _reading("Inhibitions", "front_hand", "policies_inhibitionrule_changelist"),
            _reading(
                "Common causes",
                "hub",
                "policies_commoncause_changelist",
                badge="vigil.console.navigation.common_causes",
                badge_variant="warning",
            ),
        ],
    },
    {
        "title": "Means",
        "separator": True,
        "items": [
            _reading("Remediators", "engineering", "actions_remediator_changelist"),
            _reading("Action types", "category", "actions_actiontype_changelist"),
            _administering("API keys", "key", "access_apikey_changelist"),
            _reading("Control", "power_settings_new", "control"),
        ],
    },
    {
        "title": "Look back",
        "separator": True,
        "items": [
            _reading("Audit", "history", "audit_entry_changelist"),
            _reading("Metrics", "show_chart", "metrics_series_changelist"),
            _reading("Events", "bolt", "metrics_event_changelist"),
        ],
    },
    {
        "title": "Administration",
        "separator": True,
        "items": [
            _administering("People", "person", "auth_user_changelist"),
            _superuser("Groups", "group", "auth_group_changelist"),
            _administering("Processes", "memory", "periodic_workerbeat_changelist"),
            _superuser("Schedule", "schedule", "django_celery_beat_periodictask_changelist"),
            _administering("Periodic runs", "event_repeat", "periodic_periodicrun_changelist"),
            _superuser("Sign-in attempts", "login", "axes_accessattempt_changelist"),
        ],
    },
]

UNFOLD: dict[str, object] = {
    "SITE_TITLE": "Vigil",
    "SITE_HEADER": "Vigil",
    "SITE_SUBHEADER": "Sense, decide, act, prove",
    "SITE_SYMBOL": "visibility",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": favicon}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "vigil.console.navigation.mode_label",
    "BORDER_RADIUS": "8px",
    "STYLES": [stylesheet],
    "SCRIPTS": [script],
    "COLORS": {
        "primary": {
            "50": "240 249 255",
            "100": "224 242 254",
            "200": "186 230 253",
            "300": "125 211 252",
            "400": "56 189 248",
            "500": "14 165 233",
            "600": "2 132 199",
            "700": "3 105 161",
            "800": "7 89 133",
            "900": "12 74 110",
            "950": "8 47 73",
        },
    },
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": NAVIGATION},
}
