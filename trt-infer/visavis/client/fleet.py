# SPDX-License-Identifier: Apache-2.0
"""All devices of a broker at a glance."""

from __future__ import annotations

import copy
import threading
from collections import deque
from datetime import datetime, timezone
from time import monotonic
from typing import Any

import msgspec

from visavis.client.connection import Broker, Link, Message
from visavis.client.messages import Reading, read
from visavis.client.messages_gen import Detections, Info, Stats
from visavis.topics_gen import topic_level

# The rate of detections is told over this many.
PACE_MESSAGES = 30
# How long a broker that is back may take to tell all that it keeps: what it has not told then was removed meanwhile.
TELLS_ALL_S = 15.0


class Camera(msgspec.Struct):
    """What is known of a camera; None for what it has not said yet.

    Attributes:
        online: whether it delivers.
        detecting: whether somebody looks for faces there; while not, `faces`, `occupied` and `zones` say nothing.
        faces: how many are followed.
        occupied: whether somebody is there.
        zones: faces in each zone.
        detections: the newest.
        arrived_s: when the last ones arrived, by a clock that does not jump.
    """

    online: bool | None = None
    detecting: bool | None = None
    faces: int | None = None
    occupied: bool | None = None
    zones: dict[str, int] = {}
    detections: Detections | None = None
    arrived_s: deque[float] = msgspec.field(default_factory=lambda: deque(maxlen=PACE_MESSAGES))
    connection: int = 0  # the one over which it was last told of

    @property
    def detected_fps(self) -> float:
        """Detections a second; 0 once they stay away."""
        if len(self.arrived_s) < 2:
            return 0.0
        return (len(self.arrived_s) - 1) / max(monotonic() - self.arrived_s[0], 1e-9)


class State(msgspec.Struct):
    """What is known of a device; None for what it has not said yet.

    Attributes:
        online: whether it is there.
        info: what it is.
        stats: its newest figures.
        seen_at: when it last said anything that the broker had not kept from before, UTC.
        cameras: by their ids.
    """

    online: bool | None = None
    info: Info | None = None
    stats: Stats | None = None
    seen_at: datetime | None = None
    cameras: dict[str, Camera] = {}
    connection: int = 0  # the one over which it was last told of

    @property
    def cameras_away(self) -> list[str]:
        """The ids of cameras that it has, or of which something was heard, and that are not known to be online.

        All of them where the device is away: the last that a broker has of them may be of before a power cut.
        """
        names = {*self.cameras, *(self.info.cameras if self.info else ())}
        there = set() if self.online is False else {name for name, one in self.cameras.items() if one.online}
        return sorted(names - there)


class Fleet:
    """The devices that speak at a broker, kept up to date inside a `with` block.

    with Fleet(Broker("broker.local")) as fleet:
        fleet.wait(timeout_s=5)
        for name, device in fleet.devices().items():
            print(name, device.online, device.info and device.info.version)

    Args:
        broker: where they publish.
        prefix: their mqtt.prefix.
        device: a device id, or "+" for all.
        detections: False leaves out the messages of each frame, for many devices over a thin line.
    """

    def __init__(
        self, broker: Broker | None = None, prefix: str = "visavis", device: str = "+", detections: bool = True
    ) -> None:
        here = f"{topic_level(prefix)}/{topic_level(device)}"
        names = ["status", "info", "stats", "+/status", "+/detecting", "+/faces", "+/occupied", "+/zone/+/faces"]
        # No session waits for us, so QoS 1 would gain nothing; and of much that is retained mosquitto leaves some out.
        topics: dict[str, int] = {f"{here}/{name}": 0 for name in names}
        if detections:
            topics[f"{here}/+/detections"] = 0
        self._link = Link(broker or Broker(), topics, self._take)
        self._lock, self._changed = threading.Lock(), threading.Event()
        self._devices: dict[str, State] = {}

    def __enter__(self) -> Fleet:
        """Connect.

        Raises:
            BrokerUnreachable: nothing answers.
        """
        self._link.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Say goodbye."""
        self._link.__exit__()

    def wait_subscribed(self, timeout_s: float) -> None:
        """Return when the broker has begun to tell what it has kept, and all that comes.

        Raises:
            BrokerRefused: the broker wants another user or password.
            Silent: it did not answer in time.
        """
        self._link.wait_subscribed(timeout_s)

    def devices(self) -> dict[str, State]:
        """What is known now, by device id: a copy.

        Raises:
            BrokerRefused: the broker wants another user or password.
        """
        self._link.check()
        with self._lock:
            self._forget_removed()
            devices = {name: copy.deepcopy(self._devices[name]) for name in sorted(self._devices)}
        for device in devices.values():
            device.cameras = {name: camera for name, camera in device.cameras.items() if _told_of(camera)}
        return devices

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is something new, at most `timeout_s`; whether there is."""
        self._link.check()
        changed = self._changed.wait(timeout_s)
        self._changed.clear()
        return changed

    def _take(self, message: Message) -> None:
        reading = read(message)
        if reading is None:
            return
        with self._lock:
            self._note(reading)
        self._changed.set()

    def _forget_removed(self) -> None:
        """Let go of what a broker that was away does not tell of any more."""
        now = self._link.connection  # before the question: one that ends in between has told nothing
        if self._link.told_again_s() < TELLS_ALL_S:
            return
        self._devices = {name: device for name, device in self._devices.items() if device.connection == now}
        for device in self._devices.values():
            device.cameras = {name: camera for name, camera in device.cameras.items() if camera.connection == now}

    def _note(self, reading: Reading) -> None:
        device = self._devices.setdefault(reading.levels["device"], State())
        device.connection = self._link.connection
        if not reading.message.retained:
            device.seen_at = datetime.now(timezone.utc)
        if "camera" not in reading.levels:
            setattr(device, {"status": "online"}.get(reading.name, reading.name), reading.value)
        elif reading.value is None:
            _forget(device, reading)
        else:
            camera = device.cameras.setdefault(reading.levels["camera"], Camera())
            camera.connection = device.connection
            _note_camera(camera, reading)


def _forget(device: State, reading: Reading) -> None:
    """A topic that the device has cleared: the camera or the zone is gone."""
    if reading.name == "zone_faces" and reading.levels["camera"] in device.cameras:
        device.cameras[reading.levels["camera"]].zones.pop(reading.levels["zone"], None)
    elif reading.name == "camera_status":
        device.cameras.pop(reading.levels["camera"], None)


def _told_of(camera: Camera) -> bool:
    """An older release, which a device went back to, leaves `detecting` standing, also of a camera that it removes."""
    return camera != Camera(detecting=camera.detecting, connection=camera.connection)


def _note_camera(camera: Camera, reading: Reading) -> None:
    value: Any = reading.value
    if reading.name == "camera_status":
        camera.online = value
    elif reading.name == "zone_faces":
        camera.zones[reading.levels["zone"]] = value
    else:
        setattr(camera, reading.name, value)
    if reading.name == "detections":
        camera.arrived_s.append(monotonic())
