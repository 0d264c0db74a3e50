# SPDX-License-Identifier: Apache-2.0
"""Pictures from 16 clients with one worker, with two, and with two in INT8."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from visavis.detections import Frame

from tests.bench.gateway.load import closed
from tests.bench.gateway.measure import BUSY, Plan, warm_up
from tests.bench.gateway.servers import PATIENT, WORKERS, Server, own, visavis
from tests.unit.face_pictures import LABELLED, all_pictures, gocv_paths
from tests.waiting import until

GRACE_S = 2.0
INT8 = "INT8"


class WorkersRun(NamedTuple):
    """Pictures a second, memory of all processes, and the faces on all test pictures by file name."""

    per_second: float
    pss_mb: float
    faces: dict[str, list[dict[str, Any]]]


def measured(plan: Plan, picture: Path) -> dict[str, WorkersRun]:
    """By number of workers, in words; INT8 where this processor gains from it and finds the same faces."""
    runs = {str(count): of(plan, picture, count) for count in (1, WORKERS)}
    if quantized():
        runs[INT8] = of(plan, picture, WORKERS, 'precision = "int8"')
    return runs


def of(plan: Plan, picture: Path, workers: int, detector: str = "") -> WorkersRun:
    """One thread in each worker: by itself, a single one would take both processors."""
    kind = own(f"visavis, {workers} workers {detector}", visavis(PATIENT, workers, detector=f"threads = 1\n{detector}"))
    with Server(kind) as server:
        until(lambda: len(server.workers()) == workers, "workers are missing", 60)
        warm_up(server, picture)
        found = closed(server.url(kind.detect), picture, BUSY, plan.workers_s, GRACE_S)
        return WorkersRun(
            found.per_second, server.memory().pss, {name: faces(server, one) for name, one in all_pictures().items()}
        )


def faces(server: Server, picture: Frame) -> list[dict[str, Any]]:
    return server.faces(cv2.imencode(".png", picture)[1].tobytes(), "image/png")


def quantized() -> bool:
    """Make the INT8 model if it is not there; False where `visavis model quantize` says that it is of no use."""
    pictures = [str(path) for path in pictures_here()]
    command = [sys.executable, "-m", "visavis.cli", "model", "quantize", "centerface", "--pictures", *pictures]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"bench-gateway: no INT8: {done.stderr.strip()}", file=sys.stderr)
    return done.returncode == 0


def pictures_here() -> list[Path]:
    """Files of pictures with faces."""
    labelled = sorted(LABELLED.glob("*.jpg")) if LABELLED.is_dir() else []
    return [*labelled, *gocv_paths()]
