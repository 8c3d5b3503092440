"""The demo: a story that begins by itself, and doors that are shut again."""

import re
import time
from collections.abc import Iterator

import pytest
import requests

from tests.servers import stack as stacks
from tests.servers.stack import Stack

pytestmark = pytest.mark.alone

FIRST_HEALING_SECONDS = 20.0


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    with stacks.launcher() as start:
        yield start(demo=True)


def test_the_first_service_is_healed_within_20_seconds(demo: Stack) -> None:
    ready = time.monotonic()
    demo.wait_for_line("healed", seconds=FIRST_HEALING_SECONDS + 10)
    assert time.monotonic() - ready <= FIRST_HEALING_SECONDS


def test_the_story_says_what_broke_and_what_was_decided(demo: Stack) -> None:
    for word in ("broke", "decided", "acted", "healed"):
        demo.wait_for_line(word, seconds=30)


def test_callers_of_this_machine_need_no_key(demo: Stack) -> None:
    body = {"name": "cpu_usage", "value": 12, "tags": {"host": "elsewhere-1"}}
    answer = requests.post(f"{demo.base_url}/api/v1/ingest", json=body, timeout=10)
    assert answer.status_code == 201


def test_the_login_it_prints_opens_the_console(demo: Stack) -> None:
    assert signs_in(demo)


def test_afterwards_neither_the_login_nor_the_key_opens_anything(demo: Stack) -> None:
    assert demo.stop() == 0
    shown = demo.manage("shell", "-c", STILL_OPEN).stdout.split()
    assert shown[-2:] == ["0", "0"]


STILL_OPEN = (
    "from django.contrib.auth.models import User; from vigil.access.models import ApiKey; "
    "print(User.objects.filter(is_active=True).count(), ApiKey.objects.filter(revoked_at=None).count())"
)


def signs_in(demo: Stack) -> bool:
    found = re.search(r"user: (\S+)\s+password: (\S+)", demo.wait_for_line("password:"))
    assert found is not None
    session = requests.Session()
    page = session.get(f"{demo.base_url}/admin/login/", timeout=10)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token is not None
    session.post(
        f"{demo.base_url}/admin/login/?next=/admin/",
        data={"username": found.group(1), "password": found.group(2), "csrfmiddlewaretoken": token.group(1)},
        headers={"Referer": f"{demo.base_url}/admin/login/"},
        timeout=20,
    )
    return "sessionid" in session.cookies
