# SPDX-License-Identifier: Apache-2.0
"""The memory of one ring as a worker sees it: verified, mapped read-only, lent slot by slot.

A worker's views of a frame are valid only while it holds the lease. `Ring.leaked` tells whether one is left.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from visavis import ring_gen as wire
from visavis.errors import BadRing

# Python names FUTURE_WRITE from 3.13 on only.
F_SEAL_FUTURE_WRITE = 0x10
NEEDED_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
SEALS = {"SHRINK": fcntl.F_SEAL_SHRINK, "GROW": fcntl.F_SEAL_GROW, "FUTURE_WRITE": F_SEAL_FUTURE_WRITE}
REMEDY = "install worker and daemon from one release"


@runtime_checkable
class Device(Protocol):
    """What reads rings beside this processor: a GPU, behind a detector."""

    def share_ring(self, memory: npt.NDArray[np.uint8]) -> bool:
        """Begin to read a ring where it lies; False where driver or device cannot: its frames are copied then.

        Args:
            memory: the whole mapping, 1-D uint8.
        """

    def unshare_ring(self, memory: npt.NDArray[np.uint8]) -> None:
        """End it: the memory is about to go."""


class Ring:
    """One mapped ring: `slots` arrays of bytes, read-only.

    Raises:
        BadRing: size, seals or header are not what RING_ADD says; nothing is mapped then.
    """

    def __init__(self, fd: int, said: wire.RingAdd, instance_id: int) -> None:
        _verify_shape(said)
        _verify_file(fd, said)
        self.said = said
        self._memory = _map(fd, said.file_size)
        try:
            _verify_header(bytes(self._memory[: wire.Header.SIZE]), said, instance_id)
        except BadRing:
            self._memory.close()
            raise
        self._roots = [self._root(slot) for slot in range(said.slot_count)]
        self._pictures = [root[:0] for root in self._roots]
        self._places = [(0, 0)] * said.slot_count
        self._idle = self._references(0)
        self._shared: tuple[Device, npt.NDArray[np.uint8]] | None = None

    def share(self, device: Device) -> None:
        """Let a device read all of it, until it is unmapped, if the device can."""
        memory = np.frombuffer(self._memory, np.uint8)
        if device.share_ring(memory):
            self._shared = (device, memory)

    def picture(self, slot: int, shape: tuple[int, int, int], offset: int, row_bytes: int) -> npt.NDArray[np.uint8]:
        """Return a read-only view of (height, width, channels) bytes that begins `offset` bytes into `slot`.

        It is made once and lent again while the daemon draws in the same place: making it costs a third of what a
        lease costs in Python.
        """
        picture, place = self._pictures[slot], (offset, row_bytes)
        if self._places[slot] != place or picture.shape != shape:
            picture = self.view(slot, shape, offset, row_bytes)
            self._pictures[slot], self._places[slot] = picture, place
        return picture

    def view(self, slot: int, shape: tuple[int, int, int], offset: int, row_bytes: int) -> npt.NDArray[np.uint8]:
        """Return a read-only view like `picture`, made anew at each call."""
        view: npt.NDArray[np.uint8] = np.ndarray(shape, np.uint8, self._roots[slot], offset, (row_bytes, shape[2], 1))
        return view

    def leaked(self, slot: int) -> bool:
        """Tell whether anything still looks at `slot`: a crop, a view of a view, a memoryview, a ctypes object.

        Each of them keeps the slot's picture or its root array alive, so their reference counts tell how many there
        are. An address that was kept as a plain integer cannot be seen.
        """
        return self._references(slot) != self._idle

    def unmap(self) -> bool:
        """Give the memory back; False while a view is left, whoever holds it: try again later."""
        self._unshare()
        self._roots, self._pictures = [], []
        try:
            self._memory.close()
        except BufferError:
            return False
        return True

    def _unshare(self) -> None:
        if self._shared is not None:
            device, memory = self._shared
            device.unshare_ring(memory)
            self._shared = None

    def _references(self, slot: int) -> int:
        return sys.getrefcount(self._roots[slot]) + sys.getrefcount(self._pictures[slot])

    def _root(self, slot: int) -> npt.NDArray[np.uint8]:
        offset = self.said.data_offset + slot * self.said.slot_stride
        return np.frombuffer(self._memory, np.uint8, self.said.slot_stride, offset)


def _verify_shape(said: wire.RingAdd) -> None:
    slots = said.slot_count
    if not 0 < slots <= wire.MAX_SLOTS or said.slot_stride == 0:
        raise BadRing(
            f"ring {said.ring_id} of {said.stream_name} has {slots} slots of {said.slot_stride} bytes", REMEDY
        )
    if said.data_offset + slots * said.slot_stride > said.file_size:
        raise BadRing(
            f"the slots of ring {said.ring_id} of {said.stream_name} do not fit {said.file_size} bytes", REMEDY
        )


def _verify_file(fd: int, said: wire.RingAdd) -> None:
    size = os.fstat(fd).st_size
    if size != said.file_size:
        raise BadRing(f"ring {said.ring_id} of {said.stream_name} has {size} bytes, not {said.file_size}", REMEDY)
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as error:
        raise BadRing(f"ring {said.ring_id} of {said.stream_name} cannot be sealed, {error}", REMEDY) from error
    missing = [name for name, seal in SEALS.items() if seal & NEEDED_SEALS and not seals & seal]
    if missing:
        # Without them the daemon could shrink the file under us, which ends this process with SIGBUS.
        raise BadRing(f"ring {said.ring_id} of {said.stream_name} lacks the seals {', '.join(missing)}", REMEDY)


def _map(fd: int, size: int) -> mmap.mmap:
    # Not populated: a ring has slots for more workers than there mostly are, and the daemon reserves memory only for
    # those that it uses. The first touch of a slot costs 0.3 ms for a 1080p frame, once. The file's own descriptor is
    # not needed.
    keep: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
    return mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ, **keep)


def _verify_header(raw: bytes, said: wire.RingAdd, instance_id: int) -> None:
    try:
        header = wire.Header.unpack(raw)
    except wire.LayoutError as error:
        raise BadRing(f"ring {said.ring_id} of {said.stream_name}, {error}") from error
    expected = {
        "major": wire.MAJOR,
        "ring_id": said.ring_id,
        "stream_id": said.stream_id,
        "slot_count": said.slot_count,
        "slot_header_stride": wire.SLOT_HEADER_STRIDE,
        "slot_header_offset": wire.SLOT_HEADER_OFFSET,
        "data_offset": said.data_offset,
        "slot_stride": said.slot_stride,
        "file_size": said.file_size,
        "instance_id": instance_id,
        "stream_name": said.stream_name,
    }
    for name, value in expected.items():
        found = getattr(header, name)
        if found != value:
            raise BadRing(f"{name} in the header of ring {said.ring_id} is {found!r}, RING_ADD says {value!r}", REMEDY)
