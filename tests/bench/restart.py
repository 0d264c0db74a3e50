# SPDX-License-Identifier: Apache-2.0
"""How soon a worker that waits at the socket has a frame when the daemon starts again, as systemd starts both."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench.page import Bar, Section
from tests.e2e.test_services import House

STARTS, MOST_MS, LIMIT_S, LOOK_S = 5, 100.0, 60.0, 0.001
HOW = (
    "The daemon is handed the socket where the worker waits as systemd hands it (`LISTEN_FDS`), and counts as started",
    "once it says `READY=1`, as it does for systemd (`Type=notify`).",
)


def measure() -> Section:
    """The bar: the median of some starts; the first one is not counted, since the worker only connects then."""
    with tempfile.TemporaryDirectory(prefix="bench-restart-") as folder:
        house = House(Path(folder))
        try:
            with house.worker():
                house.wait_for("READY=1")  # the worker's: whoever says it from now on is the daemon
                house.ear.setblocking(False)
                starts = [start(house) for _ in range(STARTS + 1)][1:]
        finally:
            house.close()
    what = "the daemon serves again → first result of a worker that waited"
    bar = Bar(what, statistics.median(one.result_ms - one.ready_ms for one in starts), MOST_MS, "ms")
    words = ", ".join(f"{one.ready_ms:.0f} and {one.result_ms:.0f}" for one in starts)
    lines = [
        f"{STARTS} starts below a worker that stays, ms from exec to READY=1 and to the first result: {words}.",
        *HOW,
    ]
    return Section("Start again", lines, [bar])


class Start(NamedTuple):
    """When the daemon said that it serves, and when a frame was inferred; ms after exec."""

    ready_ms: float
    result_ms: float


def start(house: House) -> Start:
    """One start of the daemon, from exec to the first inferred frame, and its end."""
    begin_s = time.monotonic()
    with house.daemon() as daemon:
        ready_s = first(lambda: is_ready(house), "it does not say that it is ready")
        result_s = first(lambda: has_inferred(house), "no frame was inferred")
        daemon.terminate()
        first(lambda: is_ended(house, daemon), "it does not end")
    return Start((ready_s - begin_s) * 1e3, (result_s - begin_s) * 1e3)


def first(holds: Callable[[], bool], otherwise: str) -> float:
    """When something first holds, by a clock that does not jump."""
    end_s = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > end_s:
            raise TimeoutError(f"{otherwise} within {LIMIT_S:.0f} s")
        time.sleep(LOOK_S)
    return time.monotonic()


def is_ready(house: House) -> bool:
    """Take the notices that have come, for who speaks to a full ear waits; whether one says READY."""
    ready = False
    with contextlib.suppress(BlockingIOError):
        while heard := house.ear.recv(4096):
            ready = ready or b"READY=1" in heard
    return ready


def has_inferred(house: House) -> bool:
    """Whether a frame was inferred."""
    is_ready(house)
    return house.inferred() > 0


def is_ended(house: House, daemon: subprocess.Popen[bytes]) -> bool:
    """Whether the daemon has ended."""
    is_ready(house)
    return daemon.poll() is not None
