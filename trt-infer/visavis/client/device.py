# SPDX-License-Identifier: Apache-2.0
"""One device: what it sees, what happens there."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from visavis.client.connection import Broker, Inbox, Link
from visavis.client.messages import Reading, read
from visavis.client.messages_gen import Detections, Event, Info, Stats
from visavis.client.orders import Value, press, set_and_wait
from visavis.topics_gen import (
    detections_topic,
    events_topic,
    faces_topic,
    info_topic,
    occupied_topic,
    stats_topic,
    status_topic,
    zone_faces_topic,
    zone_occupied_topic,
)

EVENTS_REMEMBERED = 4_096
# A device obeys within milliseconds; a slow line and a snapshot take longer.
ORDER_S = 10.0


class Device(msgspec.Struct, frozen=True):
    """A device by its id; "+" stands for all devices. Each method that yields opens a connection of its own.

    The iterators go on while the broker is away and come back with it. They end when `stop` is set.

    Attributes:
        id: `device.id` of its configuration.
        broker: where it publishes.
        prefix: `mqtt.prefix` of its configuration.
        silence_s: an iterator raises Silent when nothing came for so long; None waits for ever.

    Raises (the iterators, at their first step):
        BrokerUnreachable: nothing answers.
        BrokerRefused: the broker wants another user or password.
    """

    id: str
    broker: Broker = Broker()
    prefix: str = "visavis"
    silence_s: float | None = None

    def detections(self, camera: str = "+", stop: threading.Event | None = None) -> Iterator[Detections]:
        """The faces of each frame. A reader that is too slow loses the oldest, never the newest."""
        return self._values(detections_topic(self.prefix, self.id, camera), 0, stop)

    def events(self, session: str = "", stop: threading.Event | None = None) -> Iterator[Event]:
        """What happens, in order and each once.

        Args:
            session: a name of your own; under it the broker keeps the events while your program does not run. One
                counts as read when the loop comes back for the next.
        """
        seen = _Recent()
        return (
            event for event in self._confirmed(events_topic(self.prefix, self.id), session, stop) if seen.new(event.id)
        )

    def faces(self, camera: str, zone: str = "", stop: threading.Event | None = None) -> Iterator[int]:
        """How many faces are followed, now and at each change; with `zone`, in that zone."""
        here = self.prefix, self.id, camera
        return self._values(zone_faces_topic(*here, zone) if zone else faces_topic(*here), 1, stop)

    def occupied(self, camera: str, zone: str = "", stop: threading.Event | None = None) -> Iterator[bool]:
        """Whether somebody is there, now and at each change; with `zone`, in that zone."""
        here = self.prefix, self.id, camera
        return self._values(zone_occupied_topic(*here, zone) if zone else occupied_topic(*here), 1, stop)

    def online(self, stop: threading.Event | None = None) -> Iterator[bool]:
        """Whether the device is there, now and at each change."""
        return self._values(status_topic(self.prefix, self.id), 1, stop)

    def info(self, stop: threading.Event | None = None) -> Iterator[Info]:
        """What the device is: version, model, cameras, now and at each change."""
        return self._values(info_topic(self.prefix, self.id), 1, stop)

    def stats(self, stop: threading.Event | None = None) -> Iterator[Stats]:
        """Its figures, every ten seconds."""
        return self._values(stats_topic(self.prefix, self.id), 0, stop)

    def set(self, camera: str, name: Literal["detect", "enabled", "privacy", "score"], value: Value) -> None:
        """Change how a camera works, and return when the device says that it holds.

        Args:
            value: True or False for `detect` and `enabled`, a number for `score`, a word for `privacy`.

        Raises:
            NotObeyed: it does not hold after ORDER_S.
        """
        set_and_wait(self.broker, (self.prefix, self.id, camera), name, value, ORDER_S)

    def snapshot(self, camera: str) -> bytes:
        """Ask for a picture now; JPEG with the camera's privacy applied.

        Raises:
            NotObeyed: none came within ORDER_S.
        """
        return press(self.broker, (self.prefix, self.id, camera), ORDER_S)

    def readings(self, topic: str, qos: int = 0, stop: threading.Event | None = None) -> Iterator[Reading]:
        """What comes on a topic, with the message as it came."""
        inbox = Inbox()
        with Link(self.broker, {topic: qos}, inbox.take) as link:
            for message in inbox.read(link, stop or threading.Event(), self.silence_s):
                if reading := read(message):
                    yield reading

    def _values(self, topic: str, qos: int, stop: threading.Event | None) -> Iterator[Any]:
        return (reading.value for reading in self.readings(topic, qos, stop) if reading.value is not None)

    def _confirmed(self, topic: str, session: str, stop: threading.Event | None) -> Iterator[Event]:
        inbox = Inbox(most=0)
        with Link(self.broker, {topic: 1}, inbox.take, session, confirm=True) as link:
            for message in inbox.read(link, stop or threading.Event(), self.silence_s):
                reading = read(message)
                if reading and reading.value is not None:
                    yield reading.value
                link.acknowledge(message)


class _Recent:
    """Which events came lately: after a break the device sends the last ones again, with the same ids."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def new(self, event_id: str) -> bool:
        if event_id in self._ids:
            return False
        self._ids[event_id] = None
        if len(self._ids) > EVENTS_REMEMBERED:
            self._ids.popitem(last=False)
        return True
