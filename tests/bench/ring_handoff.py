# SPDX-License-Identifier: Apache-2.0
"""The repository's own ring as one more transport: the real Go dispatcher lends frames to a Python process."""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from visavis.detections import no_detections
from visavis.ring import Identity, connect

from tests.chaos.ringload import Ringload

PROGRAM = Path(__file__).resolve().parents[2] / "build" / "ringload"


def ring_round(shape: tuple[int, int, int], count: int, interval_s: float) -> list[float]:
    """Latencies in microseconds of `count` frames at the pace: Go has written the frame -> the array exists."""
    context = multiprocessing.get_context("spawn")
    height, width, _ = shape
    with tempfile.TemporaryDirectory(prefix="handoff-") as folder:
        path = Path(folder) / "frames.sock"
        load = Ringload(PROGRAM, path, "-stream", f"camera:{width}x{height}@{round(1 / interval_s)}", "-credit", "1")
        results = context.SimpleQueue()
        receiver = context.Process(target=receive_into, args=(path, count, results))
        receiver.start()
        latencies: list[float] = results.get()
        receiver.join()
        load.quit()
    return latencies


def receive_into(path: Path, count: int, results: Any) -> None:
    """Runs in the receiving process: borrow, look at the clock, give back."""
    results.put(receive(path, count))


def receive(path: Path, count: int) -> list[float]:
    """Borrow `count` frames and return the age of each when its array exists."""
    latencies: list[float] = []
    stop = threading.Event()
    with connect(path, Identity("bench", "none@bench"), stop) as ring:
        for lease in ring.leases(stop):
            with lease as frame:
                latencies.append((time.monotonic_ns() - lease.captured_ns) / 1_000)
                assert frame.size > 0
            del frame
            lease.answer(no_detections())
            if len(latencies) == count:
                break
    return latencies
