"""Who calls in these tests."""

from rest_framework.test import APIClient

from vigil.access import keys


def caller(*scopes: str) -> APIClient:
    """A client with a key of the given scopes."""
    keys.forget_cache()
    _, plain = keys.create(name="tester", scopes=scopes, actor="test")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {plain}")
    return client
