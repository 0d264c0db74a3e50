# SPDX-License-Identifier: Apache-2.0
"""Pictures from 16 clients with one worker, with two, and with two in INT8."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from visavis.detections import Frame

from tests.bench.gateway.figures import BUSY, Plan
from tests.bench.gateway.load import closed
from tests.bench.gateway.servers import PATIENT, WORKERS, Kind, Server, own, visavis
from tests.bench.gateway.side_by_side import pictures_turn
from tests.bench.gateway.warm import side_by_side, warm_up
from tests.bench.tree import tree_cpu_s
from tests.bench.turns import in_turn
from tests.unit.face_pictures import LABELLED, all_pictures, gocv_paths

INT8 = "INT8"


class Spent(NamedTuple):
    """Processor time of one picture, ms: in the workers, and in everything else with the client."""

    workers_ms: float
    others_ms: float


class WorkersRun(NamedTuple):
    """Pictures a second of each round; alone: time of a picture, memory of all, faces on all test pictures by file."""

    rates: list[float]
    spent: Spent
    pss_mb: float
    faces: dict[str, list[dict[str, Any]]]


def measured(plan: Plan, picture: Path) -> dict[str, WorkersRun]:
    """By number of workers, in words; INT8 where this processor gains from it and finds the same faces."""
    kinds = {str(count): kind_of(count) for count in (1, WORKERS)}
    if quantized():
        kinds[INT8] = kind_of(WORKERS, 'precision = "int8"')
    looked_at = {name: alone(kind, picture, plan) for name, kind in kinds.items()}
    with side_by_side(kinds, picture) as servers:
        turns = {name: partial(pictures_turn, server, picture, plan) for name, server in servers.items()}
        found = in_turn(turns, plan.rounds)
    rates = {name: [one.per_second for one in runs] for name, runs in found.items()}
    return {name: WorkersRun(rates[name], *looked_at[name]) for name in kinds}


def kind_of(workers: int, detector: str = "") -> Kind:
    """One thread in each worker: by itself, a single one would take both processors."""
    commands = visavis(PATIENT, workers, detector=f"threads = 1\n{detector}")
    return own(f"visavis, {workers} workers {detector}", commands, workers)


def alone(kind: Kind, picture: Path, plan: Plan) -> tuple[Spent, float, dict[str, list[dict[str, Any]]]]:
    """Time, memory and faces of one that runs alone: what is counted of shared pages depends on who else has them."""
    with Server(kind) as server:
        warm_up(server, picture)
        spent = spent_on_one(server, picture, plan)
        return spent, server.memory().pss, {name: faces(server, one) for name, one in all_pictures().items()}


def spent_on_one(server: Server, picture: Path, plan: Plan) -> Spent:
    workers_s, all_s = used_s(server)
    answered = closed(server.url(server.kind.detect), picture, BUSY, *plan.closed[BUSY]).good
    workers_ms, all_ms = (
        1e3 * (after_s - before_s) / answered
        for before_s, after_s in zip((workers_s, all_s), used_s(server), strict=True)
    )
    return Spent(workers_ms, all_ms - workers_ms)


def used_s(server: Server) -> tuple[float, float]:
    """Processor time so far of the workers, and of all, with the clients that have ended."""
    own = os.times()
    return tree_cpu_s(server.inferring()), server.cpu_s() + own.children_user + own.children_system


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
