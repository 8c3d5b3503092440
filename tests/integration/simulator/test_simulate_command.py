"""`manage.py simulate`: a rehearsal from the shell."""

import io
import json

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from simulator import demo
from tests.unit.simulator import fake_vigil


def simulate(*arguments: str) -> str:
    output = io.StringIO()
    call_command("simulate", *arguments, stdout=output)
    return output.getvalue()


def test_it_reports_as_json(allowed: LazySettings, vigil_server: fake_vigil.Server) -> None:
    told = json.loads(
        simulate(
            "cpu-spike", "--url", vigil_server.url, "--seconds", "1.5", "--rate", "200", "--targets", "4", "--json"
        )
    )
    assert told["events_generated"] == told["events_succeeded"] == len(vigil_server.memory.readings) > 0
    assert (told["scenario"], told["rate"]) == ("cpu-spike", 200)


def test_it_reports_as_a_table(
    allowed: LazySettings, vigil_server: fake_vigil.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    simulate("crash", "--url", vigil_server.url, "--seconds", "1.5", "--targets", "8", "--policies")
    printed = capsys.readouterr().out
    assert "mean seconds to heal" in printed
    assert "Answers: 201 x" in printed
    assert "(crash)" in printed
    assert len(vigil_server.memory.policies) == len(demo.POLICIES)


def test_it_is_refused_where_the_simulator_is_switched_off(settings: LazySettings) -> None:
    settings.VIGIL_SIMULATOR_ENABLED = False
    with pytest.raises(CommandError, match="VIGIL_SIMULATOR_ENABLED=1"):
        simulate("crash")


def test_an_unknown_scenario_is_answered_with_the_nearest(allowed: LazySettings) -> None:
    with pytest.raises(CommandError, match="Did you mean 'crash'"):
        simulate("crsh")


def test_nobody_listening_is_said_in_a_sentence(allowed: LazySettings) -> None:
    with pytest.raises(CommandError, match="Nothing answers at"):
        simulate("crash", "--url", "http://127.0.0.1:9")
