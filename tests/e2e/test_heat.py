# SPDX-License-Identifier: Apache-2.0
"""A device that gets too hot looks for faces less often, says so everywhere, and stops when it has cooled down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from visavis.figures import figures

from tests.e2e.conftest import RunningAppliance, running
from tests.e2e.subscriber import Subscriber, subscribed, violation
from tests.e2e.test_appliance import DEMO
from tests.waiting import until

COOL_C, WARM_C, HOT_C = 45.0, 75.0, 81.5
DISCOVERY = "homeassistant/device/visavis_box/config"
CONFIGURATION = '[thermal]\nfolder = "{folder}"\n[detector]\ninput = [320, 256]\n'


class Board:
    """A device of which the test decides how hot it is."""

    def __init__(self, folder: Path) -> None:
        self.sensors = folder / "thermal"
        zone = self.sensors / "thermal_zone0"
        zone.mkdir(parents=True)
        (zone / "type").write_text("cpu-thermal\n")
        self.file = zone / "temp"
        self.heat(COOL_C)

    def heat(self, celsius: float) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{celsius * 1000:.0f}\n")
        fresh.rename(self.file)  # the daemon never sees half of it


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return Board(tmp_path_factory.mktemp("heat"))


@pytest.fixture(scope="module")
def appliance(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    settings = CONFIGURATION.replace("{folder}", str(board.sensors))
    with running(tmp_path_factory.mktemp("run"), settings + DEMO) as ready:
        yield ready


@pytest.fixture(scope="module")
def seen(appliance: RunningAppliance) -> Iterator[Subscriber]:
    with subscribed(appliance.mqtt_port, "visavis/box/+") as subscriber:
        yield subscriber
    assert [violation(message) for message in subscriber.all() if violation(message)] == []


def heat_line(appliance: RunningAppliance) -> list[str]:
    return [line for line in figures(f"http://127.0.0.1:{appliance.http_port}/") if line.startswith("heat")]


def slowed(seen: Subscriber) -> bool | None:
    told = seen.all("/info")
    return told[-1].json()["slowed"] if told else None


def test_heat_slows_inference_alone_and_is_told_until_it_is_over(
    appliance: RunningAppliance, board: Board, seen: Subscriber
) -> None:
    until(lambda: slowed(seen) is False, "a cool device is told")
    assert appliance.status()["thermal"] == {"temperature_c": COOL_C, "slowed": False, "share": 1}
    assert heat_line(appliance) == []
    board.heat(HOT_C)
    until(lambda: slowed(seen), "the heat is told")
    hot = until(lambda: less_than(appliance, 0.85), "the share of the workers goes on falling")
    assert hot["temperature_c"] == HOT_C
    assert f"{HOT_C} °C" in heat_line(appliance)[0]
    board.heat(WARM_C)
    until(lambda: appliance.status()["thermal"]["temperature_c"] == WARM_C, "it is less hot")
    before = appliance.camera("demo")
    after = until(lambda: newer(appliance, before["frames"]["captured"] + 30), "capture goes on")
    assert after["state"] == "online"
    frames = after["frames"]
    assert frames["captured"] == frames["inferred"] + frames["in_flight"] + sum(frames["dropped"].values())
    assert appliance.status()["thermal"]["slowed"], "between the limits nothing changes"
    board.heat(COOL_C)
    until(lambda: slowed(seen) is False, "the end is told", 60)  # it takes as many steps back as the heat has taken
    until(lambda: appliance.status()["thermal"]["share"] == 1, "the workers work less")
    until(lambda: "cool again, inference at full speed" in appliance.log.read_text(), appliance.log.read_text)
    log = appliance.log.read_text()
    assert log.count("too hot, inference is slowed") == log.count("cool again, inference at full speed") == 1


def less_than(appliance: RunningAppliance, share: float) -> dict[str, float] | None:
    thermal: dict[str, float] = appliance.status()["thermal"]
    return thermal if thermal["share"] < share else None


def newer(appliance: RunningAppliance, captured: int) -> dict[str, dict[str, int]] | None:
    camera = appliance.camera("demo")
    return camera if camera["frames"]["captured"] >= captured else None


def test_home_assistant_has_a_sensor_for_the_temperature_and_one_for_the_slowing(
    appliance: RunningAppliance, seen: Subscriber
) -> None:
    components = json.loads(appliance.messages(DISCOVERY, 1)[0])["components"]
    assert components["temperature"]["device_class"] == "temperature"
    assert components["slowed"]["device_class"] == "heat"
    assert "value_json.slowed" in components["slowed"]["value_template"]

    def told() -> list[tuple[float, float]]:
        each = [message.json() for message in seen.all("/stats")]
        return [(stats["temperature_c"], stats["inference_share"]) for stats in each]

    # It comes back to its full share step by step from what happened before, and tells its figures every ten seconds.
    until(lambda: told()[-1:] == [(COOL_C, 1)], lambda: str(told()), 60)
