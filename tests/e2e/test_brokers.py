# SPDX-License-Identifier: Apache-2.0
"""Two brokers at once, as everything that tells of them names them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.brokers import mosquitto
from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.subscriber import subscribed
from tests.e2e.test_appliance import DEMO, daemon_pid
from tests.ports import free_port
from tests.standing_still import paused
from tests.unit.command import visavis
from tests.waiting import until

SECOND = """
[mqtt_second]
url = "mqtt://127.0.0.1:{port}"
prefix = "plant"
"""


@pytest.fixture(scope="module")
def plant_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory, plant_port: int) -> Iterator[RunningAppliance]:
    """It knows two brokers, of which the second is away until a test starts it."""
    demo = DEMO.replace(
        "[[camera]]", SECOND.replace("{port}", str(plant_port)) + '[detector]\nbackend = "fake"\n[[camera]]'
    )
    with running(tmp_path_factory.mktemp("appliance"), demo) as appliance:
        yield appliance


def test_a_second_broker_that_is_away_is_named_everywhere_and_holds_nothing_up(
    appliance: RunningAppliance, plant_port: int, tmp_path: Path
) -> None:
    status = until(lambda: only_the_first(appliance), "the first broker is there, and why the second is not")
    first, second = status["brokers"]
    assert (first["name"], "error" in first) == ("mqtt", False)
    assert (second["name"], second["connected"]) == ("mqtt_second", False)
    assert "check mqtt_second.url" in second["error"]
    assert (status["broker"]["connected"], status["broker"]["error"]) == (False, second["error"])
    told = {"mqtt": True, "mqtt_second": False}
    until(lambda: json.loads(appliance.messages("visavis/box/info", 1)[0])["brokers"] == told, "info tells the same")
    assert appliance.messages("visavis/box/demo/detections", 3)
    metrics = appliance.get("/metrics").decode().splitlines()
    assert 'visavis_broker_connected{broker="mqtt"} 1' in metrics
    assert 'visavis_broker_connected{broker="mqtt_second"} 0' in metrics
    assert "visavis_mqtt_connected 0" in metrics
    found = visavis("doctor", "--config", appliance.file, "--json").stdout
    lines = {line["subject"]: line for line in map(json.loads, found.splitlines())}
    assert lines["mqtt_second"]["state"] == "warn"
    assert f"mqtt://127.0.0.1:{plant_port} is not there" in lines["mqtt_second"]["words"]
    comes_back(appliance, plant_port, tmp_path)


def only_the_first(appliance: RunningAppliance) -> dict[str, Any]:
    """The status, once the first of two brokers is connected and the second has a reason why not."""
    status = appliance.status()
    first, second = status["brokers"]
    return status if first["connected"] and second.get("error") else {}


def comes_back(appliance: RunningAppliance, plant_port: int, folder: Path) -> None:
    """What waited for the second broker goes there, and under its own prefix only."""
    until(lambda: appliance.status()["brokers"][1]["outbox"] > 0, "events that wait for the second broker")
    with ExitStack() as parts:
        with paused(daemon_pid(appliance)):  # so that nothing is sent before somebody listens
            parts.enter_context(mosquitto(folder, plant_port))
            seen = parts.enter_context(subscribed(plant_port, "#"))
        until(lambda: seen.all("/events"), "the events that waited")
        until(lambda: appliance.status()["broker"]["connected"], "both count as connected")
        assert {message.topic.split("/")[0] for message in seen.all()} == {"plant"}
        until(lambda: [b["outbox"] for b in appliance.status()["brokers"]] == [0, 0], "nothing waits")
