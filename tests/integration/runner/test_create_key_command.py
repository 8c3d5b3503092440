import io
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from vigil.access import keys
from vigil.access.models import ApiKey

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> str:
    printed = io.StringIO()
    call_command("create_key", *arguments, stdout=printed)
    return printed.getvalue()


def test_it_prints_the_key_alone() -> None:
    keys.forget_cache()
    printed = create("agent-1", "--scopes", "ingest, read")
    known = keys.find(printed.strip(), at=datetime.now(UTC))  # noqa: TID251  the command reads the clock itself
    assert known is not None
    assert known.scopes == {"ingest", "read"}
    assert printed.count("\n") == 1


def test_it_can_end_and_be_bound_to_targets() -> None:
    create("agent-2", "--scopes", "ingest", "--expires-days", "7", "--targets", "web-*,db-1")
    key = ApiKey.objects.get(name="agent-2")
    assert key.targets == ["web-*", "db-1"]
    assert key.expires_at is not None
    assert key.expires_at - key.created_at == timedelta(days=7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a", "--scopes", "ingest,fly"), "there are .*ingest"),
        (("a", "--scopes", " , "), "at least one scope"),
        ((" ", "--scopes", "ingest"), "needs a name"),
        (("a", "--scopes", "ingest", "--expires-days", "0"), "within 365 days"),
        (("a", "--scopes", "ingest", "--expires-days", "366"), "within 365 days"),
    ],
)
def test_a_wrong_wish_is_refused_with_what_there_is(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError, match=f"(?i){words}"):
        create(*arguments)
    assert not ApiKey.objects.exists()
