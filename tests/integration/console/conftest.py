"""People with roles, and a console that remembers nothing of the test before."""

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    from policies import book  # Django is ready only now
    from vigil.access import keys

    book.forget()
    keys.forget_cache()
    yield
    book.forget()
    keys.forget_cache()


@pytest.fixture
def as_role(db: None) -> Callable[[str], Client]:
    """A browser signed in as somebody of that group; `superuser` and `nobody` (staff without a group) are known too."""
    from tests.browser import scene  # Django is ready only now

    def sign_in(role: str) -> Client:
        groups = () if role in ("superuser", "nobody") else (role,)
        client = Client()
        client.force_login(scene.person(f"{role}-ana", *groups, superuser=role == "superuser"), backend=BACKEND)
        return client

    return sign_in
