from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from django.db import connection

from tests.unit.simulator import fake_vigil


@pytest.fixture
def vigil_server() -> Iterator[fake_vigil.Server]:
    """Where the simulation posts to: it takes any key, for the test cannot know the one made for the run."""
    with fake_vigil.running() as server:
        server.memory.any_key = True
        yield server


@pytest.fixture
def allowed(settings: LazySettings, vigil_server: fake_vigil.Server) -> LazySettings:
    """An installation that allows simulations."""
    settings.VIGIL_SIMULATOR_ENABLED = True
    settings.VIGIL_URL = vigil_server.url
    settings.REMEDIATOR_URL = ""
    return settings


@pytest.fixture
def real_child(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spawned process uses this test's database; emptying it afterwards ends what a failed test left running."""
    told = connection.settings_dict
    url = f"postgresql://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"
    monkeypatch.setenv("DATABASE_URL", f"sqlite://{told['NAME']}" if connection.vendor == "sqlite" else url)
