"""The production shape is well formed, and names only what exists."""

import ipaddress
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("migrate", "web", "worker", "chores", "beat", "dispatcher")

OF_THIS_MACHINE = {
    *("VIGIL_ENV_FILE", "VIGIL_DATA_DIR", "VIGIL_DEMO", "VIGIL_DEBUG"),  # the image has its own, or none at all
    *("VIGIL_URL", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD"),  # of other programs
}

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/vigil.json").read_text())


def test_it_has_every_process_and_its_servers() -> None:
    assert set(SERVICES) == {*OURS, "postgres", "redis", "remediator", "prometheus", "grafana"}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_run_unprivileged(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_what_it_mounts_is_in_the_repository(name: str) -> None:
    mounts = [volume.split(":")[0] for volume in SERVICES[name].get("volumes", [])]
    for source in mounts:
        assert source in COMPOSE["volumes"] or (ROOT / source).exists(), source


def test_every_setting_it_gives_is_documented() -> None:
    documented = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    given = {name for service in OURS for name in SERVICES[service]["environment"]} - {"PROMETHEUS_MULTIPROC_DIR"}
    assert given <= documented


@pytest.mark.parametrize("name", OURS)
def test_every_setting_reaches_our_containers(name: str) -> None:
    documented = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    assert documented - OF_THIS_MACHINE - {"VIGIL_ROLE"} <= set(SERVICES[name]["environment"])


def test_the_scrape_is_let_in_by_its_own_address_alone() -> None:
    (subnet,) = (ipaddress.ip_network(one["subnet"]) for one in COMPOSE["networks"]["default"]["ipam"]["config"])
    prometheus = ipaddress.ip_address(SERVICES["prometheus"]["networks"]["default"]["ipv4_address"])
    allowed = COMPOSE["x-vigil"]["environment"]["VIGIL_METRICS_ALLOW"].split(",")[0]
    assert prometheus in subnet
    assert ipaddress.ip_network(allowed) == ipaddress.ip_network(prometheus)


def test_every_variable_it_needs_is_documented() -> None:
    documented = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    needed = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    assert needed <= documented


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed (Debian package)")
def test_the_compose_client_takes_it(tmp_path: Path) -> None:
    values = tmp_path / "env"
    needed = ("SECRET_KEY", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD", "REMEDIATOR_SECRET")
    values.write_text("".join(f"{name}={'x' * 40}\n" for name in needed))
    told = subprocess.run(
        ["docker-compose", "--env-file", str(values), "-f", str(ROOT / "docker-compose.yml"), "config", "-q"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed (Debian package)")
def test_what_dotenv_says_gets_through(tmp_path: Path) -> None:
    values = tmp_path / "env"
    needed = ("SECRET_KEY", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD", "REMEDIATOR_SECRET")
    values.write_text("".join(f"{name}={'x' * 40}\n" for name in needed) + "VIGIL_RETENTION_DAYS=3\n")
    told = subprocess.run(
        ["docker-compose", "--env-file", str(values), "-f", str(ROOT / "docker-compose.yml"), "config"],
        capture_output=True,
        text=True,
        check=True,
    )
    environment = yaml.safe_load(told.stdout)["services"]["worker"]["environment"]
    assert str(environment["VIGIL_RETENTION_DAYS"]) == "3"
    assert environment.get("VIGIL_STALENESS_SECONDS") is None


def test_dashboard_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[(x, y)]}"
                taken[(x, y)] = panel["title"]
                assert x < 24


def test_alerts_say_what_to_do() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        assert len(rule["annotations"]["description"]) > 20, rule["alert"]
        assert rule["labels"]["severity"] in {"warning", "critical"}
