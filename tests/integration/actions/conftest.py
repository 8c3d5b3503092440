from typing import Any

import pytest
from django.apps import apps

from tests.integration.actions import fakes


@pytest.fixture
def stage(settings: Any) -> tuple[fakes.Fake, fakes.Gate]:
    """A fresh fake remediator and gate, which the settings name."""
    settings.VIGIL_REMEDIATORS = {"fake": fakes.MAKE}
    settings.ACTION_GATE = fakes.GATE
    return fakes.reset()


@pytest.fixture
def remote(db: None, stage: tuple[fakes.Fake, fakes.Gate]) -> fakes.Fake:
    """The fake remediator that all action types go to."""
    return _enlisted(stage[0])


@pytest.fixture
def committed_remote(transactional_db: None, stage: tuple[fakes.Fake, fakes.Gate]) -> fakes.Fake:
    """The same, where transactions are real and threads see each other's work."""
    return _enlisted(stage[0])


@pytest.fixture
def gate(stage: tuple[fakes.Fake, fakes.Gate]) -> fakes.Gate:
    """The gate that is asked before a policy's action is sent."""
    return stage[1]


def _enlisted(fake: fakes.Fake) -> fakes.Fake:
    # By name: pytest reads this file before Django is ready.
    row = apps.get_model("actions", "Remediator").objects.create(name="fake", kind="fake")
    apps.get_model("actions", "ActionType").objects.update(remediator=row)
    return fake
