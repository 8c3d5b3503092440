"""What an action costs does not grow with what its target has behind it."""

import pytest

from actions import line
from actions.models import NOT_OVER, Action
from tests.servers.stack import DATABASE


@pytest.mark.django_db
@pytest.mark.skipif(DATABASE != "sqlite", reason="PostgreSQL chooses by size; an empty table says nothing")
def test_who_is_in_the_way_is_found_among_the_living() -> None:
    for rows in (Action.objects.filter(line.unobstructed(), pk=1), Action.objects.filter(NOT_OVER, target="web-01")):
        assert "actions_live_on_target" in rows.explain()
