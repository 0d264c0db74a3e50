# SPDX-License-Identifier: Apache-2.0
"""A double of pycuda.driver: the GPU is memory of this process, a stream does its work only when it is waited for.

So work that is used before it was waited for shows as wrong bytes. `calls` notes what was asked for, in order;
`faults` names calls that fail. $VISAVIS_TEST_GPU=none is a machine without a driver, "dies" a GPU that runs once,
"hangs" one that does not come back from its third run: the first of a worker that is ready.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

calls: list[str] = []
faults: dict[str, str] = {}
memories: dict[int, np.ndarray[Any, Any]] = {}
# Far apart, so that an address within a memory is no other's.
APART = 1 << 32
_numbers = itertools.count(APART, APART)

Work = Callable[[], None]


class Error(Exception):
    """pycuda's base of all errors."""


def note(call: str) -> None:
    """Remember a call, or fail as told."""
    calls.append(call)
    fail(call)


def fail(call: str) -> None:
    """Fail if that was asked for."""
    if call in faults:
        raise Error(f"{call} failed: {faults[call]}")


def reset() -> None:
    """Forget all calls, faults and memory."""
    for state in (calls, faults, memories):
        state.clear()
    Context.current = None


def init() -> None:
    """cuInit."""
    if os.environ.get("VISAVIS_TEST_GPU") == "none":
        raise Error("cuInit failed: no CUDA-capable device is detected")
    note("init")


class Context:
    """A stack of one."""

    current: Context | None = None

    def push(self) -> None:
        note("push")
        Context.current = self

    @staticmethod
    def pop() -> None:
        note("pop")
        Context.current = None

    @staticmethod
    def get_current() -> Context | None:
        return Context.current


class Device:
    """The only one."""

    def __init__(self, number: int) -> None:
        self._number = number

    def name(self) -> str:
        return "Double"

    def compute_capability(self) -> tuple[int, int]:
        return (8, 7)

    def retain_primary_context(self) -> Context:
        note("retain_primary_context")
        return Context()


class Stream:
    """Work waits here until `synchronize`."""

    all: dict[int, Stream] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.handle = next(_numbers)
        self.waiting: list[Work] = []
        Stream.all[self.handle] = self

    def synchronize(self) -> None:
        note("synchronize")
        if os.environ.get("VISAVIS_TEST_GPU") == "dies" and calls.count("synchronize") > 1:
            raise Error("cuStreamSynchronize failed: an illegal memory access was encountered")
        if os.environ.get("VISAVIS_TEST_GPU") == "hangs" and calls.count("synchronize") > 2:
            time.sleep(600)
        work, self.waiting = self.waiting, []
        for piece in work:
            piece()


class DeviceMemory:
    """Bytes that only copies and networks reach."""

    def __init__(self, size: int) -> None:
        self._address = next(_numbers)
        memories[self._address] = np.full(size, 0xEE, np.uint8)

    def __int__(self) -> int:
        return self._address


def mem_alloc(size: int) -> DeviceMemory:
    """cuMemAlloc."""
    note("mem_alloc")
    return DeviceMemory(size)


def pagelocked_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """Page-locked memory, full of rubbish."""
    note("pagelocked_empty")
    made = np.empty(shape, dtype)
    made.view(np.uint8).fill(0xAA)
    return made


def memcpy_htod_async(target: int, source: np.ndarray[Any, Any], stream: Stream) -> None:
    """Copy up to an address, when the stream comes to it."""
    note("memcpy_htod_async")
    assert source.flags.c_contiguous

    def copy() -> None:
        offset = target % APART
        memories[target - offset][offset : offset + source.nbytes] = np.frombuffer(source, np.uint8)

    stream.waiting.append(copy)


def memcpy_dtoh_async(target: np.ndarray[Any, Any], source: DeviceMemory, stream: Stream) -> None:
    """Copy down, when the stream comes to it."""
    note("memcpy_dtoh_async")
    if calls.count("cuStreamBeginCapture_v2") > calls.count("cuStreamEndCapture"):
        fail("memcpy_dtoh_async while recording")
    flat = target.reshape(-1).view(np.uint8)
    assert np.shares_memory(flat, target)

    def copy() -> None:
        flat[:] = memories[int(source)][: flat.size]

    stream.waiting.append(copy)


class Event:
    """A moment of the stream's work."""

    def __init__(self) -> None:
        self._at_s = 0.0

    def record(self, stream: Stream) -> None:
        stream.waiting.append(self._happen)

    def time_till(self, other: Event) -> float:
        return (other._at_s - self._at_s) * 1_000

    def _happen(self) -> None:
        self._at_s = time.perf_counter()


def get_driver_version() -> int:
    """cuDriverGetVersion."""
    return 0


def mem_get_info() -> tuple[int, int]:
    """Free and total bytes; memory of the double is not counted."""
    return 1 << 30, 1 << 31
