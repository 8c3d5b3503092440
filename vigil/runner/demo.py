"""The demo's doors: a login for the person who watches, a key for the simulated agents; shut again afterwards."""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connections

from simulator import demo as story
from vigil.access import keys, scopes
from vigil.access.models import ApiKey
from vigil.runner import preflight
from vigil.runner.layout import Layout
from vigil.runner.programs import Program

ACTOR = "demo"
KEY_NAME = "demo-simulator"
MARK = "(made by the demo)"
"""In the last name of the demo's user, so that nobody else's account is ever touched."""
FIRST_NAME = "Operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """How to get in."""

    username: str
    password: str
    simulator_key: str


def environment() -> dict[str, str]:
    """What has to be in the environment before the settings are read: the fleet's own remediator, quick answers.

    Whatever REMEDIATOR_URL says elsewhere is replaced: a rehearsal never calls a real remediator.
    """
    port = preflight.free_port("127.0.0.1", 0)
    secret = secrets.token_urlsafe(32)
    return {"VIGIL_DEMO": "1", **story.settings(remediator_port=port, remediator_secret=secret)}


def open_doors(*, at: datetime) -> Doors:
    """A fresh password and a fresh key at each start."""
    _shut(at=at)
    password = secrets.token_urlsafe(9)
    user = _user()
    user.set_password(password)
    user.save()
    user.groups.set(Group.objects.filter(name__in=scopes.OF_GROUP))
    _, plain = keys.create(
        name=KEY_NAME,
        scopes=(scopes.INGEST, scopes.READ, scopes.POLICIES_WRITE),
        actor=ACTOR,
        expires_at=at + timedelta(days=30),
        at=at,
    )
    connections.close_all()
    return Doors(username=user.username, password=password, simulator_key=plain)


def shut_doors(*, at: datetime) -> None:
    """From now on neither the login nor the key opens anything; also what a killed demo left is shut."""
    _shut(at=at)
    connections.close_all()


def programs(*, layout: Layout, url: str, doors: Doors, env: Mapping[str, str]) -> tuple[Program, ...]:
    """The fleet that breaks and heals, and the voice that tells of it in the terminal."""
    fleet = settings.REMEDIATOR_URL
    port = str(urlsplit(fleet).port)
    return (
        Program(
            name="simulator",
            argv=(sys.executable, "-m", "simulator.serve", "--url", url, "--port", port, "--policies"),
            env={**env, "VIGIL_SIMULATOR_KEY": doors.simulator_key, "REMEDIATOR_SECRET": settings.REMEDIATOR_SECRET},
            log=layout.log("simulator"),
            grace_seconds=20,
        ),
        Program(
            name="story",
            argv=(sys.executable, "-m", "simulator.story", "--url", url, "--fleet", fleet),
            env=dict(env),
            log=None,
        ),
    )


def _user() -> User:
    found = User.objects.filter(username="operator").first()
    name = "operator" if found is None or found.last_name == MARK else "demo-operator"
    user, _ = User.objects.get_or_create(username=name, defaults={"last_name": MARK})
    user.first_name, user.last_name = FIRST_NAME, MARK
    user.is_active = user.is_staff = user.is_superuser = True
    return user


def _shut(*, at: datetime) -> None:
    for key in ApiKey.objects.filter(name=KEY_NAME, created_by=ACTOR, revoked_at__isnull=True):
        keys.revoke(key=key, actor=ACTOR, at=at, reason="The demo ended.")
    for user in User.objects.filter(last_name=MARK, is_active=True):
        user.set_unusable_password()
        user.is_active = False
        user.save()
