# SPDX-License-Identifier: Apache-2.0
"""Readers go on when the broker was away: in a thread, under asyncio, over a fleet, with a session."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from visavis.client import Broker, Device, Fleet, aio, connection

from tests.e2e.brokers import mosquitto, publish
from tests.e2e.speaking import KEPT, begin_session, event, event_id
from tests.ports import free_port
from tests.waiting import HANG_S, until

FACES = "visavis/porch/door/faces"


class Seen:
    """What a reader has read; it ends with `stop`."""

    def __init__(self, broker: Broker) -> None:
        self.values: list[int] = []
        self.stop = threading.Event()
        self._broker = broker

    def in_a_thread(self) -> None:
        for value in Device("porch", self._broker).faces("door", stop=self.stop):
            self.values.append(value)

    def under_asyncio(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        async for value in aio.Device("porch", self._broker).faces("door"):
            self.values.append(value)
            if self.stop.is_set():
                break

    def over_a_fleet(self) -> None:
        with Fleet(self._broker) as fleet:
            while not self.stop.is_set():
                fleet.wait(timeout_s=0.1)
                doors = [device.cameras["door"] for device in fleet.devices().values() if "door" in device.cameras]
                self.values += [door.faces for door in doors if door.faces is not None]


@pytest.mark.parametrize("way", ["in_a_thread", "under_asyncio", "over_a_fleet"])
def test_readers_go_on_when_the_broker_is_back(way: str, tmp_path: Path) -> None:
    port = free_port()
    seen = Seen(Broker("127.0.0.1", port))
    with ThreadPoolExecutor(1) as pool:
        with mosquitto(tmp_path, port):
            publish(port, FACES, "1", *KEPT)
            reading = pool.submit(getattr(seen, way))
            until(lambda: 1 in seen.values or reading.done(), "nothing is read")
        with mosquitto(tmp_path, port):
            publish(port, FACES, "2", *KEPT)
            until(lambda: 2 in seen.values or reading.done(), lambda: f"it does not go on: {seen.values}", 60)
            seen.stop.set()
            publish(port, FACES, "3", *KEPT)
            reading.result(60)
    assert {1, 2} <= set(seen.values)


def test_the_pauses_between_tries_stay_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.RECONNECT_MOST_S <= 10
    monkeypatch.setattr(connection, "RECONNECT_MOST_S", 0)  # paho's own pauses, doubled each time, outlast the test
    port = free_port()
    with ExitStack() as readers:
        with mosquitto(tmp_path, port):
            readers.enter_context(Fleet(Broker("127.0.0.1", port)))
        with socket.create_server(("127.0.0.1", port)) as nobody:
            nobody.settimeout(HANG_S)
            for _ in range(8):
                nobody.accept()[0].close()


def test_events_of_a_session_are_read_to_the_last_over_a_broker_that_was_away(tmp_path: Path) -> None:
    port = free_port()
    kept = ["persistence true", f"persistence_location {tmp_path}/"]
    porch = Device("porch", Broker("127.0.0.1", port), silence_s=60)
    with mosquitto(tmp_path, port, more=kept):
        begin_session(port, "visits")
        events = porch.events("visits")
        publish(port, "visavis/porch/events", event(0), "-q", "1")
        assert next(events).id == event_id(0)
    with mosquitto(tmp_path, port, more=kept):
        for number in (1, 2, 3):
            publish(port, "visavis/porch/events", event(number), "-q", "1")
        assert ids(events, 3) == [event_id(number) for number in (1, 2, 3)]


def ids(events: Iterator[Any], count: int) -> list[str]:
    return [next(events).id for _ in range(count)]
