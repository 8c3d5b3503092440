"""The story's lines: what broke, what was decided, what was done, what healed."""

import io
from datetime import timedelta

import pytest
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


def test_a_proposal_is_told_as_one_and_credited_with_nothing(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [healed(7, 3.2) | {"actions": [456]}]
    vigil_server.memory.actions = [action(state="awaiting_approval")]
    asked, ended = decisions(vigil_server).news(at=START)
    assert (asked.word, ended.word) == ("asked", "healed")
    assert asked.text.endswith("so scale-up is proposed and waits for somebody's word (incident 7, action 456)")
    assert ended.text == "in 3.2 s by itself: scale-up is not what helped (incident 7)"


def test_healing_says_by_what_and_in_how_many_seconds(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [healed(7, 3.2) | {"actions": [456]}]
    vigil_server.memory.actions = [action(verification="effective", status="completed")]
    lines = decisions(vigil_server).news(at=START)
    assert words(lines) == ["decided", "proven", "healed"]
    assert lines[1].text == "scale-up helped, by readings newer than it (action 456)"
    assert lines[2].text == "in 3.2 s by scale-up (incident 7)"


def after(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


OTHERS = action(id=9, action="restart", policy_name="demo-crash", status="completed", finished_at=after(3))


@pytest.mark.parametrize(
    ("rows", "how"),
    [
        ([action(verification="effective", status="completed")], "by scale-up"),
        ([action(verification="relapsed", status="completed")], "by scale-up"),
        ([action(verification="", status="completed")], "after scale-up"),
        ([action(status="running")], "while scale-up was under way"),
        ([action(verification="ineffective", status="completed")], "by itself: scale-up is not what helped"),
        ([action(status="cancelled")], "by itself: scale-up is not what helped"),
        ([], "by itself"),
        ([OTHERS], "after restart for demo-crash (action 9)"),
        ([OTHERS | {"target": "web-02"}], "by itself"),
        ([OTHERS | {"finished_at": after(-3)}], "by itself"),
        ([action(verification="ineffective", status="completed"), OTHERS], "after restart for demo-crash (action 9)"),
    ],
    ids=[
        "an effective action",
        "one that relapsed later",
        "one that nobody judged yet",
        "one at work",
        "one that did not help",
        "one that was never begun",
        "no action",
        "another policy's action",
        "another target's action",
        "an action from before",
        "another policy's action after a useless one",
    ],
)
def test_healing_credits_only_what_may_have_helped(
    vigil_server: fake_vigil.Server, rows: list[dict[str, object]], how: str
) -> None:
    vigil_server.memory.incidents = [healed(7, 3.2) | {"actions": [456]}]
    vigil_server.memory.actions = rows
    told = decisions(vigil_server).news(at=START)
    assert [line.text for line in told if line.word == "healed"] == [f"in 3.2 s {how} (incident 7)"]


def test_a_remedy_that_did_not_help_is_said_aloud(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [incident(7, actions=[456])]
    vigil_server.memory.actions = [action(verification="ineffective", status="completed")]
    lines = decisions(vigil_server).news(at=START)
    assert words(lines) == ["decided", "no help"]
    assert lines[1].text == "scale-up was carried out and did not help (action 456)"


def test_a_relapse_is_not_called_a_remedy_that_did_not_help(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.incidents = [incident(7, actions=[456])]
    vigil_server.memory.actions = [action(verification="relapsed", status="completed")]
    lines = decisions(vigil_server).news(at=START)
    assert words(lines) == ["decided", "relapsed"]
    assert lines[1].text == "scale-up had helped, and it is bad again (action 456)"


def decision(reason: str, *, guard: str, seconds: float) -> dict[str, object]:
    return {"at": after(seconds), "answer": "hold", "guard": guard, "reason": reason}


def test_an_incident_that_is_held_is_told_with_what_holds_it(vigil_server: fake_vigil.Server) -> None:
    row = incident(7, decisions=[decision("cooldown of web-01 until 12:01", guard="cooldown", seconds=1)])
    vigil_server.memory.incidents = [row]
    told = decisions(vigil_server)
    assert told.news(at=START + timedelta(seconds=2)) == []  # its action may still come
    (line,) = told.news(at=START + timedelta(seconds=3))
    assert (line.word, line.target) == ("held", "web-01")
    assert line.text == ("demo-high-cpu: cpu_usage 94 > 80; no action: cooldown of web-01 until 12:01 (incident 7)")
    row["decisions"] = [decision("cooldown of web-01 until 12:02", guard="cooldown", seconds=5)]
    assert told.news(at=START + timedelta(seconds=9)) == []  # the same guard is no news
    row["decisions"] = [decision("web-01 flaps", guard="flapping", seconds=9)]
    assert [line.text.partition("no action: ")[2] for line in told.news(at=START + timedelta(seconds=15))] == [
        "web-01 flaps (incident 7)"
    ]


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


def test_only_the_time_stands_back() -> None:
    output = io.StringIO()
    Console(file=output, force_terminal=True, color_system="standard", width=200).print(
        story.rendered(line("healed", 0))
    )
    dim = "\x1b[2m"
    assert output.getvalue().startswith(dim)
    assert output.getvalue().count(dim) == 1
