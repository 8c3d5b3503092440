"""Photographs the console's pages and looks whether any of them scrolls sideways or asks another site for anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db.models import Model
from django.urls import reverse
from django_celery_beat.models import PeriodicTask
from playwright.sync_api import Browser, Page, sync_playwright

from actions import control
from actions.models import Action, ActionType, Remediator
from metrics.models import Event, Series
from policies.models import Incident, InhibitionRule, MaintenanceWindow, Policy, Silence
from tests.browser import scene
from tests.servers import valkey
from vigil import schedule
from vigil.access import keys
from vigil.access.models import ApiKey
from vigil.audit.models import Entry
from vigil.kernel import clock

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        """Silent."""


@contextmanager
def serving() -> Iterator[str]:
    """The console on a free port of this machine."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(get_wsgi_application())
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield chromium
        finally:
            chromium.close()


def sign_in(page: Page, base: str, name: str) -> None:
    """Through the form, as a person does."""
    page.goto(f"{base}/admin/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", scene.PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{base}/admin/")


def watch(page: Page, base: str, faults: list[str]) -> None:
    """Write down every request to another site and every script that fails."""

    def requested(url: str) -> None:
        if not url.startswith((base, "data:", "blob:")):
            faults.append(f"asks elsewhere: {url}")

    page.on("request", lambda request: requested(request.url))
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))


def pages() -> dict[str, str]:
    """Every page, by the name of its picture."""
    listed = (
        "policies_incident", "actions_action", "policies_policy", "policies_silence", "policies_maintenancewindow",
        "policies_inhibitionrule", "actions_remediator", "actions_actiontype",
        "access_apikey", "audit_entry", "metrics_series", "metrics_event", "auth_user", "auth_group",
        "periodic_workerbeat", "periodic_periodicrun", "django_celery_beat_periodictask", "axes_accessattempt",
    )  # fmt: skip
    found = {f"list-{name}": reverse(f"admin:{name}_changelist") for name in listed}
    found |= {"now": reverse("admin:index"), "control": reverse("admin:control")}
    found |= {
        f"new-{name}": reverse(f"admin:{name}_add")
        for name in (
            "policies_policy",
            "policies_silence",
            "policies_maintenancewindow",
            "policies_inhibitionrule",
            "actions_action",
            "access_apikey",
            "actions_remediator",
            "auth_user",
        )
    }
    for incident in Incident.objects.order_by("id"):
        found[f"incident-{incident.status}-{incident.target}"] = _change("policies_incident", incident.pk)
    for action in Action.objects.order_by("id"):
        found[f"action-{action.state}-{action.target}"] = _change("actions_action", action.pk)
    found["policy"] = _change("policies_policy", Policy.objects.get(name="web-cpu-high").pk)
    found["policy-sentence"] = _change("policies_policy", Policy.objects.get(name="agent-silent").pk)
    found["series"] = _change("metrics_series", Series.objects.filter(target="web-01").values_list("pk", flat=True)[0])
    edited: tuple[type[Model], ...] = (
        *(Remediator, ActionType, Entry, User, PeriodicTask, Event, ApiKey),
        *(Silence, MaintenanceWindow, InhibitionRule),
    )
    for model in edited:
        key = model._default_manager.order_by("pk").values_list("pk", flat=True).first()
        if key is not None:
            name = f"{model._meta.app_label}_{model._meta.model_name}"
            found[f"one-{name}"] = _change(name, key)
    return found


def _change(name: str, key: object) -> str:
    return reverse(f"admin:{name}_change", args=[key])


def take(directory: Path, only: str = "") -> list[str]:
    """Every picture into the directory; what is wrong comes back as sentences."""
    call_command("migrate", verbosity=0)
    schedule.ensure()
    scene.person("ana", superuser=True)
    scene.build()
    keys.create(name="agent-web", scopes=["ingest"], actor="user:ana")
    faults: list[str] = []
    with serving() as base, browser() as chromium:
        for theme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
                page = context.new_page()
                watch(page, base, faults)
                page.goto(f"{base}/admin/login/")
                page.screenshot(path=directory / f"login-{theme}-{size}.png")
                sign_in(page, base, "ana")
                for name, address in pages().items():
                    if only not in name:
                        continue
                    answer = page.goto(base + address)
                    page.wait_for_timeout(120)
                    if answer is None or answer.status != 200:
                        faults.append(f"{name}: status {answer and answer.status}")
                    over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                    if over > 0:
                        faults.append(f"{name} {theme} {size}: scrolls sideways by {over} px")
                    page.screenshot(path=directory / f"{name}-{theme}-{size}.png", full_page=True)
                context.close()
        control.set_mode(mode="paused", reason="Database failover under way.", actor="user:ana", at=clock.now())
        for size, (width, height) in SIZES.items():
            context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme="light")
            page = context.new_page()
            sign_in(page, base, "ana")
            page.screenshot(path=directory / f"now-paused-{size}.png", full_page=True)
            page.goto(f"{base}{reverse('admin:control')}")
            page.screenshot(path=directory / f"control-paused-{size}.png", full_page=True)
            context.close()
    return faults


def portrait(path: Path) -> None:
    """The front page for the README: one service healed, another being healed."""
    call_command("migrate", verbosity=0)
    scene.person("ana", superuser=True)
    broker = valkey.Valkey(Path(settings.VIGIL_DATA_DIR) / "run" / "valkey.sock")
    broker.start()
    try:
        scene.showcase()
        with serving() as base, browser() as chromium:
            page = chromium.new_context(viewport={"width": 1280, "height": 860}, color_scheme="light").new_page()
            sign_in(page, base, "ana")
            page.screenshot(path=path)
    finally:
        broker.stop()
