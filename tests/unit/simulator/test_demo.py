"""The demo's policies, and the command line of the simulator's process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from simulator import demo, fleet, physics, scenarios, serve
from simulator.client import Vigil
from simulator.physics import Fault
from tests.unit.simulator import fake_vigil


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """The process's entry takes the signals; the test run wants its own back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_the_policies_are_posted_over_the_api(vigil_server: fake_vigil.Server) -> None:
    installed = demo.install(vigil=Vigil(url=vigil_server.url, key=fake_vigil.KEY))
    assert installed.created == tuple(policy["name"] for policy in demo.POLICIES)
    high_cpu = next(policy for policy in vigil_server.memory.policies if policy["name"] == "demo-high-cpu")
    assert high_cpu["condition"] == {"type": "metric_exceeds", "metric": "cpu_usage", "threshold": 80}
    assert (high_cpu["target"], high_cpu["action"], high_cpu["severity"]) == ("web-*", "scale-up", "warning")


def test_a_policy_that_exists_stays_and_a_refusal_is_told(vigil_server: fake_vigil.Server) -> None:
    vigil_server.memory.answers = [(409, {}), (422, {"detail": "Unknown action."})]
    installed = demo.install(vigil=Vigil(url=vigil_server.url, key=fake_vigil.KEY))
    assert installed.existing == ("demo-high-cpu",)
    assert installed.refused == {"demo-memory-leak": "Unknown action."}


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.DEAD_AGENT])
def test_every_fault_of_the_demo_violates_one_of_its_policies_and_calm_violates_none(fault: Fault) -> None:
    strikes = [strike for strike in scenarios.find("mixed").strikes if strike.fault is fault]
    for role in strikes[0].roles:
        service = next(one for one in fleet.build(targets=24, seed=1).services.values() if one.role == role)
        assert _violated(service.name, physics.readings(service)) == []
        broken = physics.advance(physics.strike(service, fault=fault), dt=14)
        assert len(_violated(service.name, physics.readings(broken))) == 1


def test_the_process_serves_posts_and_reports_until_it_is_told_to_stop(vigil_server: fake_vigil.Server) -> None:
    environment = {**os.environ, "VIGIL_SIMULATOR_KEY": fake_vigil.KEY}
    argv = [sys.executable, "-m", "simulator.serve", "--url", vigil_server.url, "--policies", "--targets", "8"]
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE)
    try:
        vigil_server.memory.wait_for(lambda memory: bool(memory.readings), seconds=30)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    report = json.loads(output)
    assert report["events_succeeded"] == len(vigil_server.memory.readings)
    assert len(vigil_server.memory.policies) == len(demo.POLICIES)


def test_a_vigil_that_never_gets_ready_is_said_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main(["--url", "http://127.0.0.1:9", "--wait", "0.1"]) == 1
    assert "was not ready within" in capsys.readouterr().err


def test_a_taken_port_is_said_in_a_sentence(
    vigil_server: fake_vigil.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = str(vigil_server.server_address[1])
    assert serve.main(["--url", vigil_server.url, "--port", taken]) == 1
    assert f"cannot listen on port {taken}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--rate", "0"), ("--rate", "5001"), ("--targets", "1001"), ("--failure-percent", "101"), ("--mode", "wild")],
)
def test_options_out_of_range_are_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serve.parser().parse_args(["--url", "http://x", option, value])
    assert option in capsys.readouterr().err


def _violated(target: str, readings: dict[str, float] | object) -> list[str]:
    assert isinstance(readings, dict)
    return [
        str(policy["name"])
        for policy in demo.POLICIES
        if (condition := policy["condition"])
        and isinstance(condition, dict)
        and condition["type"] == "metric_exceeds"
        and str(policy["target"]).rstrip("*") in target
        and readings.get(condition["metric"], 0) > condition["threshold"]
    ]
