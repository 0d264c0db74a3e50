# SPDX-License-Identifier: Apache-2.0
"""What a frame costs in the worker beside its inference: view, decode, reply.

    .venv/bin/python -m tests.bench.overhead      one JSON object

The worker's real code, its real client and CenterFace in fp32 on one thread, on pictures with faces at 640x480 (one
without any is told beside them: it is the cheaper case). The network runs for each frame, so that decoding begins with
the caches that inference leaves; its own time is taken off. Both ends of the socket live in this process: the frame
waits there when the turn begins, so no waking is measured.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from visavis import ring_gen as wire
from visavis.backends.onnxruntime import OnnxRuntime
from visavis.detections import Frame
from visavis.heap import with_huge_pages
from visavis.pictures import letterboxed
from visavis.ring import Lease, RingClient
from visavis.settings import DetectorSettings
from visavis.worker import answer, no_faults

from tests.bench.bookkeeping import welcome
from tests.bench.page import Bar, Section
from tests.unit.daemon_double import Memory, frame, ring_add
from tests.unit.face_pictures import all_pictures

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 640, 480
PAYLOAD = WIDTH * HEIGHT * 3
STRIDE = -(-PAYLOAD // wire.ALIGN) * wire.ALIGN
TURNS, WARM_UP = 240, 20
MOST_MS = 0.3


def measure() -> Section:
    """The bar, from a process of its own."""
    command = [sys.executable, "-m", "tests.bench.overhead"]
    answer = subprocess.run(
        command, cwd=ROOT, env=with_huge_pages(os.environ), capture_output=True, text=True, check=True
    )
    found = json.loads(answer.stdout)
    lines = [
        "CenterFace on one thread, {turns} frames of {pictures} pictures with {faces} faces. Milliseconds beside",
        "inference: p50 {p50_ms:.3f}, p99 {p99_ms:.3f}; {most_faces_ms:.3f} with {most_faces} faces on a picture,",
        "{none_ms:.3f} with none. Inference itself: p50 {inference_ms:.1f}.",
    ]
    bar = Bar("worker's view, decode and reply of a frame, CenterFace 640x480", found["p50_ms"], MOST_MS, "ms")
    return Section("A frame in the worker", [line.format(**found) for line in lines], [bar])


class TimedSession:
    """A session that adds up the time inside `run`."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.spent_ns = 0

    def run(self, *words: Any) -> Any:
        begin_ns = time.perf_counter_ns()
        answers = self._session.run(*words)
        self.spent_ns += time.perf_counter_ns() - begin_ns
        return answers


class Timed(OnnxRuntime):
    """The backend as it is, with the time of the network known."""

    def __init__(self, settings: DetectorSettings) -> None:
        super().__init__(settings)
        self.session = TimedSession(self._session)
        self._session = self.session


def found_here() -> dict[str, Any]:
    """Time every turn."""
    pictures = [letterboxed(picture, (WIDTH, HEIGHT))[0] for picture in all_pictures().values()]
    pictures.append(np.full((HEIGHT, WIDTH, 3), 128, np.uint8))
    detector = Timed(DetectorSettings(backend="onnxruntime", threads=1))
    detector.warm_up()
    with both_ends(pictures) as (daemon, leases):
        rows = [turn(daemon, leases, number, len(pictures), detector) for number in range(WARM_UP + TURNS)][WARM_UP:]
    most = max(faces for _, _, faces in rows)
    besides = [beside for beside, _, faces in rows if faces]
    return {
        "pictures": len(pictures) - 1,
        "faces": sum(faces for _, _, faces in rows[: len(pictures)]),
        "turns": len(besides),
        "p50_ms": statistics.median(besides),
        "p99_ms": statistics.quantiles(besides, n=100)[98],
        "inference_ms": statistics.median(inference for _, inference, _ in rows),
        "most_faces": most,
        "none_ms": statistics.median(beside for beside, _, faces in rows if not faces),
        "most_faces_ms": statistics.median(beside for beside, _, faces in rows if faces == most),
    }


@contextmanager
def both_ends(pictures: Sequence[Frame]) -> Iterator[tuple[socket.socket, Iterator[Lease]]]:
    """The daemon's end of a connection whose ring holds the pictures, and the leases of the worker's end."""
    daemon, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    said = ring_add(slots=len(pictures))
    said.width, said.height, said.slot_stride = WIDTH, HEIGHT, STRIDE
    said.file_size = wire.DATA_OFFSET + len(pictures) * STRIDE
    memory = Memory(said)
    for slot, picture in enumerate(pictures):
        begin = wire.DATA_OFFSET + slot * STRIDE
        memory.map[begin : begin + PAYLOAD] = picture.tobytes()
    with daemon, worker:
        client = RingClient(worker, welcome(), strict=True)
        socket.send_fds(daemon, [said.pack()], [memory.fd])
        yield daemon, client.leases(threading.Event())
        client.close()
    memory.close()


def turn(
    daemon: socket.socket, leases: Iterator[Lease], number: int, slots: int, detector: Timed
) -> tuple[float, float, int]:
    """One frame: milliseconds beside inference, of inference, and how many faces were found."""
    daemon.send(lent(number, number % slots).pack())
    detector.session.spent_ns = 0
    begin_ns = time.perf_counter_ns()
    assert answer(next(leases), detector, no_faults())
    took_ns = time.perf_counter_ns() - begin_ns
    faces = wire.detections_of(daemon.recv(wire.Result.SIZE + wire.MAX_RESULT_BYTES)).size
    return (took_ns - detector.session.spent_ns) / 1e6, detector.session.spent_ns / 1e6, faces


def lent(number: int, slot: int) -> wire.Frame:
    """The message that lends one picture."""
    plane = wire.Plane(0, PAYLOAD, WIDTH * 3, HEIGHT)
    return frame(
        number + 1,
        slot=slot,
        width=WIDTH,
        height=HEIGHT,
        payload_bytes=PAYLOAD,
        source_width=WIDTH,
        source_height=HEIGHT,
        planes=(plane, *[wire.Plane(0, 0, 0, 0)] * 3),
    )


if __name__ == "__main__":
    print(json.dumps(found_here()))
