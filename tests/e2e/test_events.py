# SPDX-License-Identifier: Apache-2.0
"""What happens to the faces of the demo, as events and as the states of a zone, from the real appliance."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from visavis.broker import managed_broker

from tests.e2e.brokers import publish
from tests.e2e.conftest import RunningAppliance
from tests.e2e.event_stream import pages, streamed
from tests.e2e.subscriber import subscribed, violation
from tests.e2e.test_appliance import DEMO, SCRIPT_LIMIT_S, child_pid
from tests.ports import free_port
from tests.waiting import HANG_S, until

pytestmark = pytest.mark.timeout(600)  # limits within a test add up to more than the usual one

PLACES = """zones = [{{ name = "left", polygon = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]] }}]
lines = [{{ name = "mat", start = [0.32, 1], end = [0.32, 0] }}]
"""

LOST_S = 1.0  # tracker.lost_ms: nobody is gone earlier than that after an event

GATE = '[[camera]]\nid = "gate"\nsource = "demo:"\nsize = [640, 480]\n'


@pytest.mark.slow
def test_each_visit_is_told_from_its_beginning_to_its_end(start_appliance: Callable[..., RunningAppliance]) -> None:
    appliance = start_appliance(DEMO + PLACES)
    appliance.wait_ready()
    with subscribed(appliance.mqtt_port, "visavis/box/#") as seen, streamed(appliance) as stream:
        for kind, count in (("gone", 3), ("left", 1), ("crossed", 1)):
            until(partial(happened, seen, kind, count), lambda: f"not all happens: {events(seen)}", SCRIPT_LIMIT_S)
        until(lambda: still_there(events(seen)), lambda: f"somebody is there: {events(seen)}", SCRIPT_LIMIT_S)
        paged = pages(appliance)
        assert appliance.stop() == 0
        seen.to_the_end()
    heard = [message for message in seen.all() if message.topic.endswith(("/events", "/zone/left/faces", "/occupied"))]
    assert [violation(message) for message in heard if violation(message)] == []
    told = events(seen)
    assert [event["id"] for event in told] == sorted({event["id"] for event in told}), "out of order, or twice"
    assert not still_there(told), "the end of the daemon left a visit open"
    assert_same(told, paged, "the API tells something else than MQTT")
    assert_same(told, stream.events, "the stream tells something else than MQTT")
    assert stream.ids == [event["id"] for event in stream.events]
    for gone in kinds(told, "gone"):
        assert_whole([event for event in told if event["visit"] == gone["visit"]])
    assert {message.payload for message in seen.all("/zone/left/occupied")} == {b"ON", b"OFF"}
    assert b"1" in {message.payload for message in seen.all("/zone/left/faces")}


def assert_same(told: list[dict[str, Any]], others: list[dict[str, Any]], words: str) -> None:
    """Both tell the same events, but one began a little earlier than the other, or ended earlier."""
    first = max(told[0]["id"], others[0]["id"])
    ours, theirs = ([event for event in each if event["id"] >= first] for each in (told, others))
    both = min(len(ours), len(theirs))
    assert ours[:both] == theirs[:both], words
    assert both, "they have nothing in common"


@pytest.mark.slow
def test_events_survive_an_outage_and_a_killed_daemon(
    start_appliance: Callable[..., RunningAppliance], tmp_path: Path
) -> None:
    port = free_port()
    configuration = DEMO.replace('"managed"', f'"mqtt://127.0.0.1:{port}"')
    killed = start_appliance(configuration)
    killed.wait_ready()
    until(lambda: killed.status()["broker"]["outbox"] >= 4, "four events wait for the broker", SCRIPT_LIMIT_S)
    kept = pages(killed)
    kept.append(stopped_with_somebody_there(killed))
    os.kill(child_pid(killed, "visavis-capture"), signal.SIGKILL)
    assert killed.process.wait(HANG_S) != 0, "visavis run goes on without its daemon"
    restarted_at = datetime.now(timezone.utc)
    with managed_broker(port, tmp_path), subscribed(port, "visavis/box/events") as seen:
        restarted = start_appliance(configuration)
        until(lambda: len(events(seen)) > len(kept), "the events of before arrive, and an end", 60)
        until(lambda: kept[-1]["visit"] in cut_off(events(seen)), lambda: f"who was there is gone: {events(seen)}")
        until(lambda: restarted.answers("/healthz"), "the API answers", 60)
        now = pages(restarted)
        assert [event for event in now if event in kept] == kept, "the API forgot"
        with streamed(restarted, now[0]["id"]) as stream:
            until(lambda: len(stream.events) >= len(now) - 1, "the stream goes on from before the kill")
        assert stream.events[: len(now) - 1] == now[1:]
    told = events(seen)
    assert [violation(message) for message in seen.all() if violation(message)] == []
    before = [
        event for event in told if datetime.fromisoformat(event["started_at"].replace("Z", "+00:00")) < restarted_at
    ]
    assert len(before) >= 4, told
    assert [event["id"] for event in told] == sorted({event["id"] for event in told}), "out of order, or twice"


@pytest.mark.slow
def test_removed_zones_and_cameras_leave_nothing_at_the_broker(
    start_appliance: Callable[..., RunningAppliance], tmp_path: Path
) -> None:
    port = free_port()
    alone = DEMO.replace('"managed"', f'"mqtt://127.0.0.1:{port}"')
    with managed_broker(port, tmp_path):
        first = start_appliance(alone + PLACES + GATE)
        first.wait_ready()
        until(lambda: {"gate/status", "demo/zone/left/faces"} <= retained(port), lambda: f"{retained(port)}")
        first.file.write_text((alone + PLACES).format(http_port=first.http_port))
        os.kill(child_pid(first, "visavis-capture -config"), signal.SIGHUP)
        until(lambda: not any("gate" in topic for topic in retained(port)), lambda: f"{retained(port)}")
        assert {"demo/status", "demo/zone/left/faces"} <= retained(port)
        assert first.stop() == 0
        second = start_appliance(alone)
        second.wait_ready()
        until(lambda: not any("zone" in topic for topic in retained(port)), lambda: f"{retained(port)}")
        states = {f"demo/state/{name}" for name in ("detect", "enabled", "privacy", "score")}
        held = {"status", "info", "demo/status", "demo/detecting", "demo/faces", "demo/occupied"} | states
        until(lambda: retained(port) == held, lambda: f"{retained(port)}")
        assert second.stop() == 0
        start_appliance(alone.replace('id = "box"', 'id = "hall"'))
        until(lambda: not retained(port), lambda: f"under the old name: {retained(port)}", 60)


def retained(port: int) -> set[str]:
    """The topics of the device that the broker holds: of what comes up to a mark that is sent once we listen."""
    with subscribed(port, "#") as seen:
        publish(port, "mark", "", "-q", "1")
        until(lambda: seen.all("mark"), "the mark comes")
        held = {message.topic: message.payload for message in seen.all() if message.retain}
    return {topic.removeprefix("visavis/box/") for topic in held if topic.startswith("visavis/box/") and held[topic]}


def stopped_with_somebody_there(appliance: RunningAppliance) -> dict[str, Any]:
    """Stop the daemon, as it is, when somebody has appeared who cannot be gone yet; return that event, now on disk."""
    daemon, tried = child_pid(appliance, "visavis-capture"), ""

    def there() -> dict[str, Any]:
        nonlocal tried
        newest = stream.events[-1] if stream.events else {}
        if newest.get("type") != "appeared" or newest["id"] == tried:
            return {}
        tried = newest["id"]
        os.kill(daemon, signal.SIGSTOP)
        if time.time() - made_at_s(tried) < LOST_S and tried in on_disk():
            return newest
        os.kill(daemon, signal.SIGCONT)
        return {}

    with streamed(appliance) as stream:
        found: dict[str, Any] = until(there, lambda: f"somebody appears: {stream.events}", 90)
    return found


def made_at_s(event_id: str) -> float:
    """When an event was made, which the first ten characters of its id say in milliseconds."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    milliseconds = 0
    for character in event_id[:10]:
        milliseconds = 32 * milliseconds + digits.index(character)
    return milliseconds / 1000


def on_disk() -> str:
    folder = Path(os.environ["VISAVIS_STATE_DIR"]) / "history" / "box"
    return "".join(file.read_text() for file in folder.glob("*.events"))


def events(seen: Any) -> list[dict[str, Any]]:
    return [message.json() for message in seen.all("box/events")]


def still_there(told: list[dict[str, Any]]) -> set[str]:
    """The visits that began and did not end."""
    ended = {event["visit"] for event in kinds(told, "gone")}
    return {event["visit"] for event in kinds(told, "appeared")} - ended


def cut_off(told: list[dict[str, Any]]) -> set[str]:
    """The visits of whose end nobody has been witness."""
    return {event["visit"] for event in kinds(told, "gone") if "cut_off" in event}


def happened(seen: Any, kind: str, count: int) -> bool:
    """Whether so many events of a kind were told."""
    return len(kinds(events(seen), kind)) >= count


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
