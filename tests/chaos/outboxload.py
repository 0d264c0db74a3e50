# SPDX-License-Identifier: Apache-2.0
"""The real Go outbox in a process that can be killed, a broker that can be away, and a subscriber that counts."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.chaos.load_program import LoadProgram
from tests.e2e.brokers import end_mosquitto, is_open
from tests.standing_still import Freezable
from tests.waiting import HANG_S, until

TOPIC = "visavis/load/events"
MARK = b"all that was published before this has come"
CATCH_UP_S = 60.0


class Outboxload(LoadProgram):
    """A running outboxload.

    Args:
        command: the built program, behind whatever it runs under.
        options: its flags.
    """

    def __init__(self, command: list[str], *options: str) -> None:
        super().__init__([*command, "-topic", TOPIC, *options])

    def stats(self) -> dict[str, Any]:
        """The outbox's figures of this instant."""
        return self.ask("stats")

    def append(self, first: int, last: int, *, chunk: int, kill_after: int | None = None) -> int:
        """Append events; the last one that is on disk for sure.

        Args:
            first: number of the first event.
            last: number of the last one.
            chunk: events between two syncs.
            kill_after: kill the program as soon as this event is on disk, while it goes on with the next.
        """
        self.tell(f"append {first} {last} {chunk}")
        sure = first - 1
        while "appended" not in (said := self.answer()):
            assert "synced" in said, said
            sure = int(said["synced"])
            if kill_after is not None and sure >= kill_after:
                self.process.kill()
                sure = self._last_synced(sure)
                self.kill()
                return sure
        return sure

    def _last_synced(self, sure: int) -> int:
        """What it had said before it was killed: on a busy machine it is ahead of who reads that."""
        while said := self.answer():
            sure = int(said.get("synced", sure))
        return sure


class Broker(Freezable):
    """A mosquitto that keeps its sessions over a restart."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._config = folder / "mosquitto.conf"
        # As root where we are root: the user mosquitto may not look into our folder.
        lines = ["user root", f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0"]
        lines += ["persistence true", f"persistence_location {folder}/"]
        self._config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = ["/usr/sbin/mosquitto", "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: is_open(self.port), "mosquitto does not listen")

    def stop(self) -> None:
        """End it in order, so that it saves its sessions."""
        if self._process is not None:
            end_mosquitto(self._process)
            self._process = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Counter:
    """A subscriber with a persistent session. It keeps the numbers of the events in the order of their arrival."""

    def __init__(self, port: int) -> None:
        self.arrived: list[int] = []
        self._cameras: dict[int, str] = {}
        self._marked = threading.Event()
        subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="counter", clean_session=False)
        self._client.on_message = lambda _client, _data, message: self._take(message.payload)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_connect = self._subscribe
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(HANG_S), "the broker did not answer the subscription"

    def _subscribe(self, *_: object) -> None:
        self._client.subscribe(TOPIC, qos=1)

    def catch_up(self) -> None:
        """Return when everything has come that the broker has had until now."""
        self._marked.clear()
        self._client.publish(TOPIC, MARK, qos=1)
        assert self._marked.wait(CATCH_UP_S), f"{len(self.arrived)} events came"

    def _take(self, payload: bytes | bytearray) -> None:
        if payload == MARK:
            self._marked.set()
            return
        event = json.loads(payload)
        assert event["id"].endswith(str(event["n"]))
        self._cameras[event["n"]] = event["camera"]
        self.arrived.append(event["n"])

    def distinct(self) -> int:
        """How many different events have come."""
        return len(self._cameras)

    def duplicates(self) -> int:
        """How often an event came again."""
        return len(self.arrived) - len(self._cameras)

    def out_of_order(self) -> int:
        """How many events came for the first time behind a newer one of their camera."""
        newest: dict[str, int] = {}
        seen: set[int] = set()
        wrong = 0
        for number in self.arrived:
            if number not in seen:
                camera = self._cameras[number]
                wrong += number < newest.get(camera, 0)
                newest[camera] = max(number, newest.get(camera, 0))
            seen.add(number)
        return wrong

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
