# SPDX-License-Identifier: Apache-2.0
"""Pictures of a camera for calibration, straight from the running daemon.

Viewers and snapshots see pixelated faces, which would teach the wrong ranges. So we join as a worker: who may open the
daemon's socket may see its frames anyway. It takes as many workers as are configured, so one of them must be away.
Every frame that is lent is answered as any worker would; copies of some stay in this process's memory and are never
written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from visavis.backends import Detector
from visavis.detections import Frame
from visavis.errors import DaemonGone, ModelError, Refused
from visavis.ring import Identity, Lease, connect
from visavis.ring_gen import Refusal


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures of `camera` with a face on them, `apart_s` seconds from one to the next, for `limit_s` at most."""

    socket: Path
    camera: str
    count: int = 64
    least: int = 8
    apart_s: float = 0.5
    limit_s: float = 180.0


def borrowed(wish: Wish, detector: Detector, stop: threading.Event) -> Iterator[Frame]:
    """Yield (1, H, W, 3) uint8 BGR, copies of the network's own input.

    Args:
        wish: whose pictures.
        detector: answers the frames; its input is the size that the daemon draws.
        stop: set to give up.

    Raises:
        ModelError: too few pictures came, or they are of another size.
        DaemonGone: no daemon is there.
        Refused: it takes no other worker.
    """
    count = 0
    with connect(wish.socket, Identity("calibration", f"{detector.model_id}@{detector.name}"), stop) as ring:
        timer = threading.Timer(wish.limit_s, stop.set)
        timer.start()
        try:
            next_s = 0.0
            for lease in ring.leases(stop):
                copy = answered(lease, detector, wanted=lease.stream == wish.camera and time.monotonic() >= next_s)
                if copy is not None:
                    next_s = time.monotonic() + wish.apart_s
                    count += 1
                    yield copy
                if count == wish.count:
                    stop.set()
        finally:
            timer.cancel()
    if count < wish.least:
        raise ModelError(
            f"camera {wish.camera!r} showed a face on {count} pictures in {wish.limit_s:g} s, {wish.least} are wanted",
            "stand before it, look whether it is online (`/api/v1/status`), or use --pictures",
        )


def answered(lease: Lease, detector: Detector, *, wanted: bool) -> Frame | None:
    """Answer a frame like any worker; return a copy when it is wanted and has a face."""
    with lease as frame:
        height, width = frame.shape[:2]
        if (width, height) != detector.input_size:
            raise ModelError(f"the daemon draws {width}x{height} for its workers", f"--input {width}x{height}")
        found = detector.detect(frame)
        copy = np.array(frame[None]) if wanted and found.size else None
    del frame  # no view may be left when the lease ends
    lease.answer(found)
    return copy


def without_pictures(error: DaemonGone | Refused, wish: Wish) -> ModelError:
    """The same for a person who asked for pictures of a camera."""
    remedies = (
        "stop one of its workers while this runs, or start `visavis-capture` without any"
        if isinstance(error, Refused) and error.code == Refusal.TOO_MANY_WORKERS
        else "start visavis, name its socket with --socket (under `visavis run`: $TMPDIR/visavis-*/frames.sock)"
    )
    return ModelError(f"no pictures of camera {wish.camera!r}, {error.sentence}", f"{remedies}, or use --pictures")
