# SPDX-License-Identifier: Apache-2.0
"""How soon a worker that waits at the socket has a frame when the daemon starts again, as systemd starts both."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
import urllib.error
from pathlib import Path
from typing import NamedTuple

from tests.bench.page import Bar, Section
from tests.e2e.test_services import House

STARTS, MOST_MS, LIMIT_S, LOOK_S = 5, 100.0, 60.0, 0.001


def measure() -> Section:
    """The bar: the median of some starts; the first one is not counted, since the worker only connects then."""
    with tempfile.TemporaryDirectory(prefix="bench-restart-") as folder:
        house = House(Path(folder))
        house.ear.setblocking(False)
        try:
            with house.worker():
                starts = [start(house) for _ in range(STARTS + 1)][1:]
        finally:
            house.close()
    what = "the daemon serves again → first result of a worker that waited"
    bar = Bar(what, statistics.median(one.result_ms - one.ready_ms for one in starts), MOST_MS, "ms")
    words = ", ".join(f"{one.ready_ms:.0f} and {one.result_ms:.0f}" for one in starts)
    lines = [f"{STARTS} starts below a worker that stays, ms from exec to READY and to the first result: {words}."]
    return Section("Start again", lines, [bar])


class Start(NamedTuple):
    """When the daemon said that it serves, and when a frame was inferred; ms after exec."""

    ready_ms: float
    result_ms: float


def start(house: House) -> Start:
    """One start of the daemon, from exec to the first inferred frame, and its end."""
    begin_s, ready_s = time.monotonic(), None
    with house.daemon() as daemon:
        while not has_inferred(house):
            if time.monotonic() - begin_s > LIMIT_S:
                raise TimeoutError(f"no frame was inferred within {LIMIT_S:.0f} s")
            time.sleep(LOOK_S)
            if is_ready(house):
                ready_s = ready_s or time.monotonic()
        result_s = time.monotonic()
        daemon.terminate()
        while daemon.poll() is None:
            is_ready(house)
            time.sleep(LOOK_S)
    return Start(((ready_s or result_s) - begin_s) * 1e3, (result_s - begin_s) * 1e3)


def is_ready(house: House) -> bool:
    """Take the notices that have come, for who speaks to a full ear waits; whether one says READY."""
    ready = False
    with contextlib.suppress(BlockingIOError):
        while heard := house.ear.recv(4096):
            ready = ready or b"READY=1" in heard
    return ready


def has_inferred(house: House) -> bool:
    """Whether a frame was inferred; False while nobody listens."""
    try:
        return house.inferred() > 0
    except urllib.error.URLError:
        return False
