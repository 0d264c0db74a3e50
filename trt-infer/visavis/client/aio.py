# SPDX-License-Identifier: Apache-2.0
"""The same for asyncio: each iterator runs in a thread of its own, so that the event loop never waits.

from visavis.client.aio import Device

async for event in Device("porch").events():
    print(event.type, event.camera)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

from visavis.client.connection import Broker
from visavis.client.device import Device as Waiting
from visavis.client.messages_gen import Detections, Event, Info, Stats
from visavis.client.orders import Value

T = TypeVar("T")


class Device:
    """A device as `visavis.client.Device`; leaving the loop over an iterator ends its connection.

    Args:
        device_id: `device.id` of its configuration, "+" for all.
        broker: where it publishes.
        prefix: `mqtt.prefix` of its configuration.
        silence_s: an iterator raises Silent when nothing came for so long; None waits for ever.
    """

    def __init__(
        self, device_id: str, broker: Broker | None = None, prefix: str = "visavis", silence_s: float | None = None
    ) -> None:
        self._device = Waiting(device_id, broker or Broker(), prefix, silence_s)

    def detections(self, camera: str = "+") -> AsyncIterator[Detections]:
        """The faces of each frame."""
        return _stepwise(lambda stop: self._device.detections(camera, stop))

    def events(self, session: str = "") -> AsyncIterator[Event]:
        """What happens, in order and each once; see `visavis.client.Device.events` for `session`."""
        return _stepwise(lambda stop: self._device.events(session, stop))

    def faces(self, camera: str, zone: str = "") -> AsyncIterator[int]:
        """How many faces are followed, now and at each change; with `zone`, in that zone."""
        return _stepwise(lambda stop: self._device.faces(camera, zone, stop))

    def occupied(self, camera: str, zone: str = "") -> AsyncIterator[bool]:
        """Whether somebody is there, now and at each change; with `zone`, in that zone."""
        return _stepwise(lambda stop: self._device.occupied(camera, zone, stop))

    def online(self) -> AsyncIterator[bool]:
        """Whether the device is there, now and at each change."""
        return _stepwise(self._device.online)

    def info(self) -> AsyncIterator[Info]:
        """What the device is, now and at each change."""
        return _stepwise(self._device.info)

    def stats(self) -> AsyncIterator[Stats]:
        """Its figures, every ten seconds."""
        return _stepwise(self._device.stats)

    async def set(self, camera: str, name: Literal["detect", "enabled", "privacy", "score"], value: Value) -> None:
        """Change how a camera works; as `visavis.client.Device.set`."""
        await asyncio.to_thread(self._device.set, camera, name, value)

    async def snapshot(self, camera: str) -> bytes:
        """Ask for a picture now; as `visavis.client.Device.snapshot`."""
        return await asyncio.to_thread(self._device.snapshot, camera)


_END = object()


async def _stepwise(begin: Callable[[threading.Event], Iterator[T]]) -> AsyncIterator[T]:
    """Take one step of the iterator after the other in one thread."""
    stop, thread = threading.Event(), ThreadPoolExecutor(1, "visavis-client")
    steps = begin(stop)
    loop = asyncio.get_running_loop()
    try:
        while (value := await loop.run_in_executor(thread, next, steps, _END)) is not _END:
            yield value  # type: ignore[misc]
    finally:
        # The thread sees it within the inbox's WAIT_S; the event loop does not wait for that. Another step would count
        # as read what the loop has not come back for.
        stop.set()
        thread.submit(steps.close)  # type: ignore[attr-defined] # each is a generator
        thread.shutdown(wait=False)
