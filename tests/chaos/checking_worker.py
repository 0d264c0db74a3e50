# SPDX-License-Identifier: Apache-2.0
"""A worker that holds several leases and looks at every byte of a frame when it is lent and again at the end."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np
import numpy.typing as npt
from visavis.backoff import backoff
from visavis.detections import Frame, no_detections
from visavis.errors import DaemonGone
from visavis.ring import Identity, Lease, RingClient, connect

# What a worker counts, in a file that survives it.
FRAMES, TORN_WHEN_LENT, TORN_AT_END, MAPS, FDS = range(5)
CREDIT = 3
Counts = npt.NDArray[np.int64]


def counts_of(file: Path) -> Counts:
    """The counters of one worker name, shared through a file."""
    if not file.exists():
        file.write_bytes(bytes(8 * 8))
    return np.memmap(file, np.int64, "r+", shape=(8,))


def main(socket: Path, counts_file: Path, name: str, *, ignore_leases: bool = False) -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    counts = counts_of(counts_file)
    identity = Identity(name, "checking@test", CREDIT)
    serve = serve_without_leases if ignore_leases else serve_with_leases
    for _ in backoff(first_ms=5, most_ms=100, stop=stop):
        with contextlib.suppress(DaemonGone), connect(socket, identity, stop, strict=not ignore_leases) as ring:
            serve(ring, counts, stop)


def serve_with_leases(ring: RingClient, counts: Counts, stop: threading.Event) -> None:
    """Hold as many leases as granted; give the oldest back when the next ones are here."""
    held: deque[tuple[Lease, int]] = deque()
    for lease in ring.leases(stop):
        counts[TORN_WHEN_LENT] += not intact(lease)
        held.append((lease, lease.frame_seq))
        if len(held) == ring.welcome.credit or stop.is_set():
            end(held.popleft()[0], counts)
        counts[MAPS] = Path("/proc/self/maps").read_text().count("/memfd:visavis-")
        counts[FDS] = sum(1 for _ in Path("/proc/self/fd").iterdir())
    while held:
        end(held.popleft()[0], counts)


def end(lease: Lease, counts: Counts) -> None:
    """Look again, then give the frame back."""
    counts[TORN_AT_END] += not intact(lease)
    lease.answer(no_detections())
    counts[FRAMES] += 1


def serve_without_leases(ring: RingClient, counts: Counts, stop: threading.Event) -> None:
    """The control: give each frame back at once and go on looking at it."""
    for lease in ring.leases(stop):
        with lease as frame:
            lease.answer(no_detections())
            time.sleep(0.005)
            counts[TORN_AT_END] += not whole(frame, lease.frame_seq)
            counts[FRAMES] += 1


def intact(lease: Lease) -> bool:
    """Tell whether every byte of the frame is the one that the writer of this very frame wrote."""
    with lease as frame:
        return whole(frame, lease.frame_seq)


def whole(frame: Frame, seq: int) -> bool:
    """Tell whether every byte is the low byte of `seq`."""
    assert frame.size > 0
    return bool((frame == seq & 0xFF).all())
