# SPDX-License-Identifier: Apache-2.0
"""What happens to the faces of the demo, as events and as the states of a zone, from the real appliance."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from visavis.broker import managed_broker

from tests.e2e.conftest import RunningAppliance, free_port
from tests.e2e.subscriber import subscribed, violation
from tests.e2e.test_appliance import DEMO, child_pid
from tests.waiting import until

PLACES = """zones = [{{ name = "left", polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }}]
lines = [{{ name = "mat", start = [0.32, 1], end = [0.32, 0] }}]
"""

SYNCED_S = 1.5  # events are on disk for sure within a second


@pytest.mark.slow
def test_each_visit_is_told_from_its_beginning_to_its_end(start_appliance: Callable[..., RunningAppliance]) -> None:
    appliance = start_appliance(DEMO + PLACES)
    appliance.wait_ready()
    with subscribed(appliance.mqtt_port, "visavis/box/#") as seen:
        until(lambda: len(kinds(events(seen), "gone")) >= 3, lambda: f"three visits end: {events(seen)}", 60)
        assert appliance.stop() == 0
    heard = [message for message in seen.all() if message.topic.endswith(("/events", "/zone/left/faces", "/occupied"))]
    assert [violation(message) for message in heard if violation(message)] == []
    told = events(seen)
    assert [event["id"] for event in told] == sorted({event["id"] for event in told}), "out of order, or twice"
    assert kinds(told, "entered"), told
    assert kinds(told, "crossed"), told
    for gone in kinds(told, "gone"):
        assert_whole([event for event in told if event["visit"] == gone["visit"]])
    assert {message.payload for message in seen.all("/zone/left/occupied")} == {b"ON", b"OFF"}
    assert b"1" in {message.payload for message in seen.all("/zone/left/faces")}


@pytest.mark.slow
def test_events_survive_an_outage_and_a_killed_daemon(
    start_appliance: Callable[..., RunningAppliance], tmp_path: Path
) -> None:
    port = free_port()
    configuration = DEMO.replace('"managed"', f'"mqtt://127.0.0.1:{port}"')
    killed = start_appliance(configuration)
    killed.wait_ready()
    until(lambda: killed.status()["broker"]["outbox"] >= 4, "four events wait for the broker", 60)
    time.sleep(SYNCED_S)
    os.kill(child_pid(killed, "visavis-capture"), signal.SIGKILL)
    assert killed.process.wait(30) != 0, "visavis run goes on without its daemon"
    restarted_at = datetime.now(timezone.utc)
    with managed_broker(port, tmp_path), subscribed(port, "visavis/box/events") as seen:
        start_appliance(configuration)
        until(lambda: len(events(seen)) >= 4, "the events of before arrive", 60)
    told = events(seen)
    before = [
        event for event in told if datetime.fromisoformat(event["started_at"].replace("Z", "+00:00")) < restarted_at
    ]
    assert len(before) >= 4, told
    assert [event["id"] for event in told] == sorted({event["id"] for event in told}), "out of order, or twice"


def events(seen: Any) -> list[dict[str, Any]]:
    return [message.json() for message in seen.all("box/events")]


def kinds(told: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in told if event["type"] == kind]


def assert_whole(visit: list[dict[str, Any]]) -> None:
    """A visit that began while we listened has its parts in order, and each stay in a zone ends."""
    if visit[0]["type"] != "appeared":
        return
    types = [event["type"] for event in visit]
    assert types.count("appeared") == types.count("gone") == 1, types
    assert types.count("entered") == types.count("left"), types
    assert types[-1] == "gone", types
    assert visit[-1]["started_at"] == visit[0]["started_at"]
    assert visit[-1]["dwell_ms"] > 0
