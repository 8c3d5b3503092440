from datetime import UTC, datetime

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.test import RequestFactory

from vigil.access import keys
from vigil.access.models import ApiKey
from vigil.runner import demo

# The runner hangs up when it is done, so a test cannot keep everything in one transaction.
pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def signs_in(username: str, password: str) -> bool:
    return authenticate(RequestFactory().post("/admin/login/"), username=username, password=password) is not None


def test_the_printed_login_and_key_open_the_doors() -> None:
    doors = demo.open_doors(at=AT)
    keys.forget_cache()
    assert signs_in(doors.username, doors.password)
    assert keys.find(doors.simulator_key, at=AT) is not None


def test_another_start_makes_another_password_and_key() -> None:
    first, second = demo.open_doors(at=AT), demo.open_doors(at=AT)
    keys.forget_cache()
    assert first.username == second.username == "operator"
    assert not signs_in(first.username, first.password)
    assert keys.find(first.simulator_key, at=AT) is None


def test_afterwards_both_are_shut() -> None:
    doors = demo.open_doors(at=AT)
    demo.shut_doors(at=AT)
    keys.forget_cache()
    assert not signs_in(doors.username, doors.password)
    assert keys.find(doors.simulator_key, at=AT) is None


def test_an_account_somebody_made_is_never_touched() -> None:
    User.objects.create_user("operator", password="ana-keeps-this-one")
    doors = demo.open_doors(at=AT)
    demo.shut_doors(at=AT)
    assert doors.username == "demo-operator"
    assert signs_in("operator", "ana-keeps-this-one")


def test_a_key_of_the_same_name_that_somebody_made_stays() -> None:
    key, _ = keys.create(name=demo.KEY_NAME, scopes=["read"], actor="user:ana", at=AT)
    demo.shut_doors(at=AT)
    assert ApiKey.objects.get(pk=key.pk).revoked_at is None
