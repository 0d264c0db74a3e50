# SPDX-License-Identifier: Apache-2.0
"""Viewers of one video in which faces are detected and drawn: pictures a second of each, and what that costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.gateway.figures import Plan
from tests.bench.gateway.load import viewers
from tests.bench.gateway.servers import Kind, Place, Server, python, visavis
from tests.bench.tree import tree_cpu_s, tree_memory
from tests.peak import Peak

TUTORIAL, BROADCAST, VISAVIS = "Flask, each viewer for itself", "detect once, asyncio", "visavis"
# What the tutorial's server is not asked for: it needs a detector, and a third of a gigabyte, for each few viewers.
MOST_OF_TUTORIAL = 64
LOOK_S = 0.5


class LiveRun(NamedTuple):
    """One video with so many viewers; visavis's daemon, which detects nothing, also by itself.

    Attributes:
        daemon_mb: its memory at its most while they watched. At one moment it depends on when garbage was last
            collected, which moves it by a quarter of what 256 viewers take.
    """

    viewers: int
    least_fps: float
    median_fps: float
    broken: int
    cores: float
    daemon_cores: float
    daemon_mb: float
    pss_mb: float


def kinds(clip: Path) -> dict[str, Kind]:
    """The three ways, by name."""
    environment = {"BENCH_CLIP": str(clip)}
    server = ["--port"]

    def tutorial(at: Place) -> list[list[str]]:
        return [python("flask", "--app", "tests.bench.rivals.flask_mjpeg", "run", *server, str(at.port))]

    def broadcast(at: Place) -> list[list[str]]:
        application = "tests.bench.rivals.broadcast:app"
        return [python("uvicorn", application, *server, str(at.port), "--no-access-log")]

    source = visavis(source=f"file:{clip}")
    return {
        TUTORIAL: Kind(TUTORIAL, tutorial, environment=environment),
        BROADCAST: Kind(BROADCAST, broadcast, environment=environment),
        VISAVIS: Kind(VISAVIS, source, status="/api/v1/status"),
    }


def path_of(name: str) -> str:
    return "/api/v1/cameras/camera/stream.mjpeg?boxes=1" if name == VISAVIS else "/stream.mjpeg"


def measured(plan: Plan, clip: Path) -> dict[str, list[LiveRun]]:
    """Each way with 1 to many viewers."""
    return {name: of_kind(name, kind, plan) for name, kind in kinds(clip).items()}


def of_kind(name: str, kind: Kind, plan: Plan) -> list[LiveRun]:
    runs = []
    with Server(kind) as server:
        viewers(server.url(path_of(name)), 1, 1)
        for count in plan.viewers:
            if name != TUTORIAL or count <= MOST_OF_TUTORIAL:
                runs.append(run(server, path_of(name), count, plan))
    return runs


def run(server: Server, path: str, count: int, plan: Plan) -> LiveRun:
    begin_s = time.monotonic()
    all_s, daemon_s = server.cpu_s(), tree_cpu_s(server.daemon())
    with Peak(lambda: tree_memory(server.daemon()).pss, LOOK_S) as memory:
        found = viewers(server.url(path), count, plan.viewers_s)
    took_s = time.monotonic() - begin_s
    return LiveRun(
        viewers=count,
        least_fps=found["least"],
        median_fps=found["median"],
        broken=found["broken"],
        cores=(server.cpu_s() - all_s) / took_s,
        daemon_cores=(tree_cpu_s(server.daemon()) - daemon_s) / took_s,
        daemon_mb=memory.most,
        pss_mb=server.memory().pss,
    )
