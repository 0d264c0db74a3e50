# SPDX-License-Identifier: Apache-2.0
"""The repository's own ring as one more transport: the real Go dispatcher lends frames to a Python process."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

from visavis.detections import no_detections
from visavis.ring import Identity, connect

from tests.bench.child import Child
from tests.chaos.ringload import Ringload

# The ring's rows, with what the sender is told beside the pace.
RINGS: dict[str, tuple[str, ...]] = {"ring": (), "ring, copied in": ("-copy",)}
LIMIT_S = 20.0
PROGRAM = Path(__file__).resolve().parents[2] / "build" / "ringload"


def ring_round(shape: tuple[int, int, int], count: int, interval_s: float, *options: str) -> list[float]:
    """Latencies in microseconds of `count` frames at the pace: Go has written the frame -> the array exists."""
    height, width, _ = shape
    with tempfile.TemporaryDirectory(prefix="handoff-") as folder:
        path = Path(folder) / "frames.sock"
        stream = f"camera:{width}x{height}@{round(1 / interval_s)}"
        with Ringload(PROGRAM, path, "-stream", stream, "-credit", "1", *options) as load:
            with Child(receive, path, count) as receiver:
                latencies: list[float] = receiver.answer(LIMIT_S)
            load.quit()
    return latencies


def receive(path: Path, count: int) -> list[float]:
    """Runs in the receiving process: borrow `count` frames, and return the age of each when its array exists."""
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
