"""The story's lines: what broke, what was decided, what was done, what healed."""

import io
from datetime import timedelta

from rich.console import Console

from simulator import story
from simulator.client import Vigil
from simulator.configuration import Configuration
from simulator.runner import Place, Simulation
from simulator.story import Decisions, Fleet, Line, Storyteller
from tests.unit.simulator import fake_vigil
from tests.unit.simulator.test_watcher import START, healed, incident


def decisions(server: fake_vigil.Server) -> Decisions:
    return Decisions(vigil=Vigil(url=server.url, key=fake_vigil.KEY), since=START)


def action(**changes: object) -> dict[str, object]:
    created = (START + timedelta(seconds=1)).isoformat()
    return {
        "id": 456,
        "action": "scale-up",
        "target": "web-01",
        "status": "pending",
        "reason": "cpu_usage 94 > 80",
        "verification": "",
        "created_at": created,
        **changes,
    }


def words(lines: list[Line]) -> list[str]:
    return [line.word for line in lines]


def test_a_decision_is_told_once_with_its_reason(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents, vigil_server.memory.actions = [incident(7, actions=[456])], [action()]
    told = decisions(vigil_server)
    (line,) = told.news(at=START)
    assert (line.word, line.target) == ("decided", "web-01")
    assert line.text == "demo-high-cpu: cpu_usage 94 > 80, so scale-up (incident 7, action 456)"
    assert told.news(at=START) == []


def test_healing_says_by_what_and_in_how_many_seconds(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [healed(7, 3.2) | {"actions": [456]}]
    vigil_server.memory.actions = [action(verification="effective", status="completed")]
    lines = decisions(vigil_server).news(at=START)
    assert words(lines) == ["decided", "healed"]
    assert lines[1].text == "in 3.2 s by scale-up (incident 7)"


def test_a_remedy_that_did_not_help_is_said_aloud(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [incident(7, actions=[456])]
    vigil_server.memory.actions = [action(verification="ineffective", status="completed")]
    lines = decisions(vigil_server).news(at=START)
    assert words(lines) == ["decided", "no help"]
    assert "did not help: ineffective" in lines[1].text


def test_an_incident_closed_for_want_of_data_is_not_called_healed(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [incident(7, status="unverified", resolved_at=START.isoformat())]
    assert words(decisions(vigil_server).news(at=START)) == ["closed"]


def test_what_went_before_is_not_told(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [incident(7, opened=-100)]
    assert decisions(vigil_server).news(at=START) == []


def test_the_fleet_tells_its_own_truth_once(vigil_server: fake_vigil.Server) -> None:
    place = Place(url=vigil_server.url, key=fake_vigil.KEY, remediator_port=0)
    simulation = Simulation(configuration=Configuration(scenario="mixed", targets=8, rate=200), place=place)
    simulation.start()
    assert simulation.server is not None
    fleet = Fleet(url=simulation.server.url)
    vigil_server.memory.wait_for(lambda _: bool(simulation.world.happenings()))
    lines = fleet.news()
    assert words(lines) == ["broke"]
    assert "traffic surges" in lines[0].text
    assert fleet.news() == []
    simulation.stop()


def test_a_fleet_that_does_not_answer_tells_nothing() -> None:
    assert Fleet(url="http://127.0.0.1:9").news() == []


class TwoWitnesses:
    """Gives its lines once."""

    def __init__(self, *lines: Line) -> None:
        self._lines = list(lines)

    def news(self, **_: object) -> list[Line]:
        lines, self._lines = self._lines, []
        return lines


def line(word: str, seconds: float) -> Line:
    return Line(at=START + timedelta(seconds=seconds), word=word, target="web-02", text="...")


def test_lines_are_printed_in_the_order_of_their_times() -> None:
    output = io.StringIO()
    teller = Storyteller(
        fleet=TwoWitnesses(line("acted", 2), line("broke", 0)),  # type: ignore[arg-type]
        decisions=TwoWitnesses(line("healed", 4), line("decided", 1)),  # type: ignore[arg-type]
        console=Console(file=output, highlight=False, width=200),
    )
    teller.tell(at=START + timedelta(seconds=3.6))
    assert [printed.split()[1] for printed in output.getvalue().splitlines()] == ["broke", "decided", "acted"]
    teller.finish()
    assert output.getvalue().splitlines()[-1].split()[1] == "healed"


def test_a_plain_terminal_gets_plain_text() -> None:
    output = io.StringIO()
    long = Line(at=START, word="healed", target="web-02", text="a long reason " * 30)
    Console(file=output, highlight=False, width=80).print(story.rendered(long), soft_wrap=True)
    assert "\x1b" not in output.getvalue()
    assert output.getvalue().count("\n") == 1
