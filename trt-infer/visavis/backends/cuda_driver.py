# SPDX-License-Identifier: Apache-2.0
"""The few calls of the CUDA driver that pycuda has no door for: a stream's work as one graph, read-only registration.

Everything here is an improvement that may be missing: where the driver has not got it, the caller goes the plain way.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)

LIBRARY = "libcuda.so.1"
# Other threads of this process may go on using the driver while one records.
CAPTURE_THREAD_LOCAL = 1
REGISTER_READ_ONLY = 8
# Numbers of cuDeviceGetAttribute; pycuda's own names depend on the CUDA that it was built with.
HOST_REGISTER_SUPPORTED = 99
READ_ONLY_HOST_REGISTER_SUPPORTED = 113

Memory = npt.NDArray[np.uint8]


def load_driver() -> Any | None:
    """The driver's library, or None where there is none."""
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        log.info("no CUDA graphs, %s", error)
        return None


class Graph:
    """Work of one stream, recorded once; `launch` is one call instead of dozens."""

    def __init__(self, driver: Any, executable: ctypes.c_void_p) -> None:
        self._driver, self._executable = driver, executable

    def launch(self, stream: int) -> bool:
        """Enqueue the work on the stream; False when the driver refused."""
        return bool(self._driver.cuGraphLaunch(self._executable, ctypes.c_void_p(stream)) == 0)


def record(driver: Any | None, stream: int, work: Callable[[], bool]) -> Graph | None:
    """Record what `work` enqueues on a stream, without running it.

    Args:
        driver: what `load_driver` found.
        stream: the stream's handle; nothing may be waiting in it.
        work: answers False when it failed.

    Returns:
        The graph, or None when something in it cannot be recorded here.
    """
    if driver is None or not hasattr(driver, "cuGraphInstantiateWithFlags"):
        return None
    handle, graph, executable = ctypes.c_void_p(stream), ctypes.c_void_p(), ctypes.c_void_p()
    if driver.cuStreamBeginCapture_v2(handle, CAPTURE_THREAD_LOCAL) != 0:
        return None
    worked = ended = False
    try:
        worked = work()
    finally:
        # Always ended, or the stream stays unusable.
        ended = driver.cuStreamEndCapture(handle, ctypes.byref(graph)) == 0
    if not (worked and ended):
        return None
    made = driver.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, ctypes.c_ulonglong(0)) == 0
    driver.cuGraphDestroy(graph)
    return Graph(driver, executable) if made else None


def can_register(driver: Any | None, device: int) -> bool:
    """Whether the GPU can read a read-only mapping directly: both attributes must say so."""
    return driver is not None and all(
        _attribute(driver, number, device) == 1
        for number in (HOST_REGISTER_SUPPORTED, READ_ONLY_HOST_REGISTER_SUPPORTED)
    )


def register(driver: Any, memory: Memory) -> bool:
    """Pin a read-only mapping for the GPU, once for a whole ring; it must be unregistered before it is unmapped."""
    address, size = ctypes.c_void_p(memory.ctypes.data), ctypes.c_size_t(memory.nbytes)
    return bool(driver.cuMemHostRegister_v2(address, size, REGISTER_READ_ONLY) == 0)


def unregister(driver: Any, memory: Memory) -> None:
    """End what `register` began."""
    driver.cuMemHostUnregister(ctypes.c_void_p(memory.ctypes.data))


def _attribute(driver: Any, number: int, device: int) -> int:
    value = ctypes.c_int()
    return value.value if driver.cuDeviceGetAttribute(ctypes.byref(value), number, device) == 0 else 0
