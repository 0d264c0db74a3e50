# SPDX-License-Identifier: Apache-2.0
"""Pictures of a camera for calibration, straight from the running daemon.

Viewers and snapshots see pixelated faces, which would teach the wrong ranges. So we join where workers do, as a
visitor: who may open the daemon's socket may see its frames anyway. A visitor has a place beside all workers. It asks
for one frame at a time, gets the next one of some camera, and answers it as a worker would: the workers go on, and the
count of frames stays exact. Copies of some stay in this process's memory and are never written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from visavis.backends import Detector
from visavis.detections import Frame
from visavis.errors import DaemonGone, ModelError, Refused, Stopped
from visavis.ring import Identity, Lease, RingClient, connect, model_at
from visavis.ring_gen import HelloFlag, Refusal
from visavis.scores import SURE
from visavis.threads import start

# With fewer pictures calibration is a matter of luck.
LEAST = 8

# Why no pictures come -> what helps.
START = "start visavis, name its socket with --socket (under `visavis run`: $TMPDIR/visavis-*/frames.sock)"
REMEDIES: dict[int, str] = {
    Refusal.TOO_MANY_WORKERS: "another calibration runs, wait until it has ended",
    Refusal.PEER_NOT_ALLOWED: "with the package put `sudo -u visavis-infer` before this command",
}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures of `camera` with a face on them, `apart_s` seconds from one to the next, for `limit_s` at most.

    While none has a face, or is of another camera, the next look is `look_s` later: we are slower than the workers.
    """

    socket: Path
    camera: str
    count: int = 64
    least: int = LEAST
    apart_s: float = 0.5
    look_s: float = 0.1
    limit_s: float = 180.0


class Looked:
    """Set once a frame was answered, or when `stop` is: ends the asking for frames."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.answered = False

    def is_set(self) -> bool:
        """Whether to ask for no more."""
        return self.answered or self._stop.is_set()


def borrowed(wish: Wish, detector: Detector, stop: threading.Event) -> Iterator[Frame]:
    """Yield (1, H, W, 3) uint8 BGR, copies of the network's own input.

    Args:
        wish: whose pictures.
        detector: answers the frames, with all from scores.TOLD_LEAST on; its input is the size that the daemon draws.
        stop: set to give up.

    Raises:
        Stopped: it was told to stop.
        ModelError: too few pictures came, or they are of another size.
        DaemonGone: no daemon is there.
        Refused: it takes no other visitor.
        OSError: no thread is free to watch the time.
    """
    count = 0
    identity = Identity("calibration", model_at(detector.model_id, detector.name), flags=HelloFlag.VISITOR)
    end_s = time.monotonic() + wish.limit_s
    with connect(wish.socket, identity, stop) as ring, _set_at(end_s, stop):
        while count < wish.count and not stop.is_set():
            copy = next_look(ring, wish.camera, detector, stop)
            if copy is not None:
                count += 1
                yield copy
            stop.wait(wish.look_s if copy is None else wish.apart_s)
    if count < wish.count and time.monotonic() < end_s:
        sentence = f"the look at camera {wish.camera!r} was stopped after {count} of {wish.count} pictures"
        raise Stopped(sentence, "start it again, nothing was kept")
    if count < wish.least:
        raise ModelError(
            f"camera {wish.camera!r} showed a face on {count} pictures in {wish.limit_s:g} s, {wish.least} are wanted",
            "stand before it, look whether it is online (`/api/v1/status`), or use --pictures",
        )


@contextmanager
def _set_at(end_s: float, stop: threading.Event) -> Iterator[None]:
    """Set `stop` at a time of the monotonic clock, if the block lasts so long.

    Raises:
        OSError: no thread is free for that.
    """
    timer = threading.Timer(max(0.0, end_s - time.monotonic()), stop.set)
    start(timer)
    try:
        yield
    finally:
        timer.cancel()


def next_look(ring: RingClient, camera: str, detector: Detector, stop: threading.Event) -> Frame | None:
    """Ask for one frame and answer it; return a copy when it is the camera's and has a face."""
    ring.set_credit(1)
    looked, copy = Looked(stop), None
    for lease in ring.leases(looked):
        ring.set_credit(0)  # before the answer, which else brings the next frame
        found = answered(lease, detector, wanted=lease.stream == camera)
        copy = found if copy is None else copy
        looked.answered = True
    return copy


def answered(lease: Lease, detector: Detector, *, wanted: bool) -> Frame | None:
    """Answer a frame like any worker; return a copy when it is wanted and has a face that is sure."""
    with lease as frame:
        height, width = frame.shape[:2]
        if (width, height) != detector.input_size:
            raise ModelError(f"the daemon draws {width}x{height} for its workers", f"--input {width}x{height}")
        found = detector.detect(frame)
        copy = np.array(frame[None]) if wanted and (found["score"] >= SURE).any() else None
    del frame  # no view may be left when the lease ends
    lease.answer(found)
    return copy


def without_pictures(error: DaemonGone | Refused, wish: Wish) -> ModelError:
    """The same for a person who asked for pictures of a camera."""
    remedy = REMEDIES.get(error.code, START) if isinstance(error, Refused) else START
    return ModelError(f"no pictures of camera {wish.camera!r}, {error.sentence}", f"{remedy}, or use --pictures")
