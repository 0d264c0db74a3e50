# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes a device with a token; its own tool tests the alerts."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.adapters.programs import SHIPPED, asked, changed, installed, program, shown
from tests.e2e.conftest import RunningAppliance
from tests.ports import free_port
from tests.repo.pages import blocks
from tests.unit.command import visavis
from tests.waiting import until

pytestmark = [pytest.mark.adapters, pytest.mark.timeout(600)]

PROMTOOL = "prometheus/usr/bin/promtool"
RULES = SHIPPED / "visavis-rules.yml"


@pytest.fixture(scope="module")
def token(device: RunningAppliance) -> str:
    """What the page's command prints."""
    (line,) = [block.text for block in blocks("sh") if block.page.name == "prometheus.md"]
    words = shlex.split(line)[1:]
    said = visavis(*(device.file if word == "config.toml" else word for word in words))
    assert said.returncode == 0, said.stderr
    found = re.search(r"vis_\S+", said.stdout)
    assert found, said.stdout
    return found[0]


@pytest.fixture(scope="module")
def prometheus(device: RunningAppliance, token: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that runs with the page's configuration, only faster."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    (folder / "token").write_text(token + "\n")
    (folder / "visavis-rules.yml").write_text(RULES.read_text())
    text = shown("prometheus.md", "yaml", "prometheus.yml").replace("15s", "1s")
    here = {
        "porch__local:8080": f"127.0.0.1:{device.http_port}",
        "/etc/prometheus/visavis__token": str(folder / "token"),
    }
    (folder / "prometheus.yml").write_text(changed(text, **here))
    words = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    command = [installed("prometheus/usr/bin/prometheus"), *words, f"--web.listen-address=127.0.0.1:{port}"]
    with program(command, folder / "prometheus.log") as running:
        running.wait_for("Server is ready to receive web requests.")
        yield f"http://127.0.0.1:{port}/api/v1"


def answers(prometheus: str, question: str) -> list[dict[str, Any]]:
    answer = asked(f"{prometheus}/query", query=question)
    assert answer, f"refused: {question}"
    assert answer["status"] == "success", answer
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def test_it_is_scraped_with_its_token(prometheus: str) -> None:
    until(lambda: answers(prometheus, 'up{job="visavis"} == 1'), lambda: str(asked(f"{prometheus}/targets")), 60)
    (camera,) = until(lambda: answers(prometheus, "visavis_frames_inferred_total > 0"), "nothing is inferred", 60)
    assert camera["metric"]["camera"] == "door"


def questions() -> list[str]:
    """Those of the page and of the dashboard."""
    dashboard = json.loads((SHIPPED / "grafana-dashboard.json").read_text())
    of_panels = [
        target["expr"].replace("$device", ".*") for panel in dashboard["panels"] for target in panel["targets"]
    ]
    return [block.text for block in blocks("promql")] + of_panels


@pytest.mark.parametrize("question", questions())
def test_every_question_has_an_answer(prometheus: str, question: str) -> None:
    found = until(lambda: answers(prometheus, question), f"no answer to {question}", 60)
    assert all(row["value"][1] != "NaN" for row in found), found


def test_no_alert_fires_while_all_is_well(prometheus: str) -> None:
    def evaluated() -> list[dict[str, Any]]:
        rules = [rule for group in asked(f"{prometheus}/rules")["data"]["groups"] for rule in group["rules"]]
        return rules if all(rule["health"] == "ok" for rule in rules) else []

    rules = until(evaluated, lambda: str(asked(f"{prometheus}/rules")), 60)
    assert {rule["name"] for rule in rules} == {rule["alert"] for rule in shipped_rules()}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def shipped_rules() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return rules


def test_the_alerts_are_raised_when_they_should_be() -> None:
    tests = Path(__file__).parent / "visavis-rules-test.yml"
    said = subprocess.run(
        [installed(PROMTOOL), "test", "rules", str(tests)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    tried = {one["alertname"] for case in yaml.safe_load(tests.read_text())["tests"] for one in case["alert_rule_test"]}
    assert tried == {rule["alert"] for rule in shipped_rules()}


def test_the_metrics_are_as_prometheus_wants_them(device: RunningAppliance, token: str) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{device.http_port}/metrics")
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - it begins with http
        text = answer.read()
    said = subprocess.run([installed(PROMTOOL), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")
