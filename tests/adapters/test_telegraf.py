# SPDX-License-Identifier: Apache-2.0
"""The configuration of the page in a real Telegraf, between the demo and a real InfluxDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.programs import asked, changed, installed, program, shown
from tests.e2e.conftest import RunningAppliance
from tests.e2e.subscriber import Subscriber, subscribed
from tests.ports import free_port
from tests.repo.pages import blocks
from tests.waiting import until

pytestmark = [pytest.mark.adapters, pytest.mark.timeout(600)]

SCENE_LIMIT_S = 180
INFLUXDB = """\
reporting-disabled = true
bind-address = "127.0.0.1:RPC"
[meta]
  dir = "FOLDER/meta"
[data]
  dir = "FOLDER/data"
  wal-dir = "FOLDER/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:HTTP"
  log-enabled = false
"""

Point = dict[str, Any]


@contextmanager
def influxdb(folder: Path) -> Iterator[int]:
    """Run an empty one; the port on which it answers."""
    port = free_port()
    text = INFLUXDB.replace("FOLDER", str(folder)).replace("RPC", str(free_port())).replace("HTTP", str(port))
    (folder / "influxdb.conf").write_text(text)
    command = [installed("influxdb/usr/bin/influxd"), "-config", str(folder / "influxdb.conf")]
    with program(command, folder / "influxdb.log") as running:
        until(lambda: asked(f"http://127.0.0.1:{port}/ping") is not None, running.said, 60)
        yield port


@contextmanager
def telegraf(folder: Path, broker: int, database: int, start: int) -> Iterator[Any]:
    """Run it with the page's configuration, faster."""
    text = changed(
        shown("telegraf.md", "toml", "telegraf.conf"),
        broker__example=f"127.0.0.1:{broker}",
        influxdb__example=f"127.0.0.1:{database}",
    )
    text = text.replace(":1883", "").replace(":8086", "").replace('interval = "10s"', 'interval = "1s"')
    (folder / "telegraf.conf").write_text(text)
    command = [installed("telegraf"), "--config", str(folder / "telegraf.conf")]
    with program(command, folder / f"telegraf-{start}.log") as running:
        until(lambda: running.said().count("Connected [") == 3, running.said, 60)
        yield running


def rows(port: int, query: str) -> list[Point]:
    """The points of an answer, tags and fields alike; times are in nanoseconds."""
    answer = asked(f"http://127.0.0.1:{port}/query", db="visavis", epoch="ns", q=query)
    series = (answer or {"results": [{}]})["results"][0].get("series", [])
    return [
        dict(zip(one["columns"], row, strict=True)) | one.get("tags", {}) for one in series for row in one["values"]
    ]


def written(port: int) -> dict[str, Point]:
    """The events in the database by their id."""
    points = rows(port, "SELECT * FROM visavis_event")
    assert len({point["id"] for point in points}) == len(points), "an event is there twice"
    return {point["id"]: point for point in points}


def kinds(seen: Subscriber) -> set[str]:
    return {event["type"] for event in told(seen).values()}


def told(seen: Subscriber) -> dict[str, Point]:
    return {message.json()["id"]: message.json() for message in seen.all("porch/events")}


def test_each_event_is_in_the_database_once_and_at_its_time(device: RunningAppliance, tmp_path: Path) -> None:
    with (
        influxdb(tmp_path) as database,
        telegraf(tmp_path, device.mqtt_port, database, 1) as first,
        subscribed(device.mqtt_port, "#") as seen,
    ):
        until(lambda: {"appeared", "gone"} <= kinds(seen), "a visit", SCENE_LIMIT_S)
        until(lambda: told(seen).keys() <= written(database).keys(), first.said, 60)
        first.kill()
        before = len(told(seen))
        until(lambda: len(told(seen)) >= before + 2, "more events", SCENE_LIMIT_S)
        with telegraf(tmp_path, device.mqtt_port, database, 2) as second:
            until(lambda: told(seen).keys() <= written(database).keys(), second.said, 60)
            assert_as_told(told(seen), written(database))
            assert_figures(database)
    assert "E! " not in first.said() + second.said()


def assert_as_told(events: dict[str, Point], points: dict[str, Point]) -> None:
    for name in events.keys() & points.keys():
        event, point = events[name], points[name]
        at = event["ended_at"] if "ended_at" in event else event["started_at"]
        when = datetime.fromisoformat(at.replace("Z", "+00:00"))
        assert point["time"] == nanoseconds(when) + event["track"]
        assert (point["device"], point["camera"], point["type"]) == ("porch", event["camera"], event["type"])
        for field in ("visit", "track", "zone", "line", "direction", "dwell_ms", "started_at", "ended_at"):
            assert point.get(field) == event.get(field)
        assert point["score"] == event["best"]["score"]


def nanoseconds(when: datetime) -> int:
    since = when - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return since // timedelta(microseconds=1) * 1000


def assert_figures(database: int) -> None:
    """The other two measurements, and what the page asks."""
    tags = {"device": "porch", "camera": "door"}
    (faces,) = until(lambda: rows(database, "SELECT LAST(value) FROM visavis_faces GROUP BY *"), "faces", 60)
    assert faces.items() >= tags.items()
    figures = until(lambda: rows(database, "SELECT LAST(*) FROM visavis_camera GROUP BY *"), "figures", 60)[0]
    assert figures.items() >= tags.items()
    assert figures["last_fps_captured"] > 0
    assert figures["last_latency_p99_ms"] >= figures["last_latency_p50_ms"] > 0
    questions = [block.text for block in blocks("sql") if block.page.name == "telegraf.md"]
    assert len(questions) == 2
    for question in questions:
        assert any(row.get("seconds") or row.get("max") is not None for row in rows(database, question)), question
