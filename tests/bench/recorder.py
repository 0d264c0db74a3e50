# SPDX-License-Identifier: Apache-2.0
"""A worker that notes what it did: `visavis worker` with a clock before and after each frame and each inference.

It runs the product's own `connect`, `answer` and detector. Standard arguments of `visavis worker`, after the folder to
write to; NAME.json there holds one row a frame and the processor time of the inferences.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, str(Path(__file__).resolve())]
# Of `python -m visavis.cli worker ...`: what comes before the worker's own arguments.
PREFIX = 4


def recording(words: list[str], folder: Path) -> list[str]:
    """The recording worker's command for a worker's."""
    return [*COMMAND, str(folder), *words[PREFIX:]]


def records(folder: Path) -> list[dict[str, Any]]:
    """What the recording workers of a run wrote; call it after they ended."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("worker-*.json"))]


class Timed:
    """A detector with a count of the processor time that its calls took in the calling thread."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self.name, self.model_id, self.input_size = detector.name, detector.model_id, detector.input_size
        self.precision = detector.precision
        self.cpu_ns = 0

    def warm_up(self) -> None:
        self._detector.warm_up()

    def detect(self, frame: Any) -> Any:
        begin_ns = time.thread_time_ns()
        try:
            return self._detector.detect(frame)
        finally:
            self.cpu_ns += time.thread_time_ns() - begin_ns


def other_threads_ns() -> int:
    """Processor time of every thread but this one: the pool of the inference library, and nothing else of weight."""
    return time.process_time_ns() - time.thread_time_ns()


def serve(args: Any, stop: threading.Event) -> dict[str, Any]:
    """Serve one daemon until `stop`; returns the record."""
    from visavis.backends import load_detector  # noqa: PLC0415 (after the thread variables)
    from visavis.cli.worker import settings  # noqa: PLC0415
    from visavis.ring import Identity, connect  # noqa: PLC0415
    from visavis.worker import answer, no_faults  # noqa: PLC0415

    wanted = settings(args)
    detector = Timed(load_detector(wanted.detector))
    detector.warm_up()
    while not wanted.socket.exists() and not stop.is_set():
        time.sleep(0.01)
    rows = []
    with connect(wanted.socket, Identity(wanted.name, detector.model_id, wanted.credit), stop) as ring:
        marks, faults = [], no_faults()
        for lease in ring.leases(stop):
            answer(lease, detector, faults)
            rows.append((lease.stream, lease.frame_seq, lease.captured_ns, lease.begin_ns, lease.end_ns))
            marks.append((time.monotonic_ns(), detector.cpu_ns + other_threads_ns()))
    return {"rows": rows, "inference_cpu": marks}


def main() -> int:
    """Parse as `visavis worker` does, serve, write the record."""
    import argparse  # noqa: PLC0415

    from visavis.cli.worker import THREAD_VARIABLES, add_arguments  # noqa: PLC0415
    from visavis.parent import die_with_parent  # noqa: PLC0415
    from visavis.signals import stop_on_signals  # noqa: PLC0415

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    add_arguments(parser)
    args = parser.parse_args()
    die_with_parent(args.die_with_parent)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    with stop_on_signals() as stop:
        record = serve(args, stop)
    (args.folder / f"{args.name}.json").write_text(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
