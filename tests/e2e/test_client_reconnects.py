# SPDX-License-Identifier: Apache-2.0
"""Readers go on when the broker was away: in a thread, under asyncio, over a fleet, with a session."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from visavis.client import Broker, BrokerRefused, Device, Fleet, aio, connection
from visavis.client.connection import Link

from tests.e2e.brokers import mosquitto, publish
from tests.e2e.speaking import KEPT, begin_session, event, event_id, introduce
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


def greet(peer: socket.socket, code: int = 0) -> None:
    """Answer CONNECT with the code, and for 0 SUBSCRIBE too."""
    peer.settimeout(HANG_S)
    peer.recv(1 << 16)
    peer.sendall(bytes([0x20, 2, 0, code]))
    if code == 0:
        subscribe = peer.recv(1 << 16)
        peer.sendall(bytes([0x90, 3]) + subscribe[2:4] + b"\0")


def answer(listener: socket.socket, answers: Sequence[tuple[int, bytes]]) -> None:
    """Take one connection for each answer, and end it: a code for CONNECT, and for 0 the payload of a message."""
    for code, payload in answers:
        with listener.accept()[0] as peer:
            greet(peer, code)
            if code == 0:
                publication = len(FACES).to_bytes(2, "big") + FACES.encode() + payload
                peer.sendall(bytes([0x30, len(publication)]) + publication)


@contextmanager
def saying(*answers: tuple[int, bytes]) -> Iterator[Broker]:
    """A broker that answers one connection after another with what it is told."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(HANG_S)
        done = pool.submit(answer, listener, answers)
        yield Broker("127.0.0.1", listener.getsockname()[1])
        done.result(HANG_S)


def test_a_broker_that_is_not_available_yet_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    unavailable = 3
    with saying((0, b"1"), (unavailable, b""), (unavailable, b""), (0, b"2")) as broker:
        faces = Device("porch", broker, silence_s=HANG_S).faces("door")
        assert [next(faces), next(faces)] == [1, 2]
    assert caplog.text.count("does not let us in yet, Server unavailable; it is asked again") == 1


def test_a_broker_that_knew_us_is_asked_again_when_it_does_not(caplog: pytest.LogCaptureFixture) -> None:
    """As one does that is up before it has read its passwords."""
    not_authorised = 5
    with saying((0, b"1"), (not_authorised, b""), (0, b"2")) as broker:
        faces = Device("porch", broker, silence_s=HANG_S).faces("door")
        assert [next(faces), next(faces)] == [1, 2]
    words = "does not let us in yet, Not authorized; it is asked again; check user and password"
    assert caplog.text.count(words) == 1


def test_what_was_removed_while_the_broker_was_away_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with ExitStack() as listening:
        with mosquitto(tmp_path, port):
            introduce(port, "attic")
            introduce(port, "cellar")
            publish(port, "visavis/attic/yard/status", "online", *KEPT)
            fleet = listening.enter_context(Fleet(Broker("127.0.0.1", port)))
            until(
                lambda: cameras(fleet) == {"attic": ["door", "yard"], "cellar": ["door"]}, lambda: str(cameras(fleet))
            )
        with mosquitto(tmp_path, port):
            introduce(port, "attic")
            until(lambda: fleet._link.told_again_s() > 1, "the broker does not tell anew")
            assert cameras(fleet) == {"attic": ["door", "yard"], "cellar": ["door"]}
            monkeypatch.setattr("visavis.client.fleet.TELLS_ALL_S", 1)
            assert cameras(fleet) == {"attic": ["door"]}


def cameras(fleet: Fleet) -> dict[str, list[str]]:
    return {name: sorted(device.cameras) for name, device in fleet.devices().items()}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, "Client identifier not valid: choose another name for the session"),
        (4, "Bad user name or password: check user and password"),
        (5, "Not authorized: check user and password"),
    ],
)
def test_a_broker_that_wants_somebody_else_is_not(code: int, words: str) -> None:
    with (
        saying((code, b"")) as broker,
        Link(broker, {}, print, "visits") as link,
        pytest.raises(BrokerRefused, match=words),
    ):
        link.wait_subscribed(HANG_S)


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


def event_under(packet_id: int, number: int) -> bytes:
    """A PUBLISH of an event with QoS 1."""
    topic = b"visavis/porch/events"
    rest = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big") + event(number).encode()
    return bytes([0x32, len(rest) & 0x7F | 0x80, len(rest) >> 7]) + rest


def puback(packet_id: int) -> bytes:
    return bytes([0x40, 2]) + packet_id.to_bytes(2, "big")


def test_what_came_over_an_ended_connection_is_not_acknowledged_on_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("paho.mqtt.client.Client._reconnect_wait", lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(HANG_S)
        porch = Device("porch", Broker("127.0.0.1", listener.getsockname()[1]), silence_s=HANG_S)
        events = porch.events("visits")
        reading = pool.submit(next, events)
        with listener.accept()[0] as peer:
            greet(peer)
            peer.sendall(event_under(1, 0) + event_under(2, 1))
            assert reading.result(HANG_S).id == event_id(0)
        with listener.accept()[0] as peer:
            greet(peer)
            peer.sendall(event_under(1, 0) + event_under(2, 1))
            assert next(events).id == event_id(1)
            reading = pool.submit(next, events)
            assert peer.recv(4) == puback(1)
            peer.sendall(event_under(1, 2))
            assert reading.result(HANG_S).id == event_id(2)
            events.close()  # type: ignore[attr-defined]
            said, disconnect = b"".join(iter(lambda: peer.recv(1 << 16), b"")), bytes([0xE0, 0])
            assert said == puback(2) + disconnect, "the third counts as read before it was"


def ids(events: Iterator[Any], count: int) -> list[str]:
    return [next(events).id for _ in range(count)]
