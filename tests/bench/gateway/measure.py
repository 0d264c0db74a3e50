# SPDX-License-Identifier: Apache-2.0
"""What is measured of every server that takes pictures, one server after the other."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.gateway.load import Answers, Cheap, cheap, closed, open_loop
from tests.bench.gateway.servers import PATIENT_VISAVIS, RIVALS, VISAVIS, Kind, Server
from tests.bench.gateway.tree import Memory
from tests.waiting import until

SHARES = (0.5, 0.9, 2.0)
AT = 64  # connections of the bars for cheap requests
BUSY = 16  # connections of the bars for pictures
CROWD = 256  # connections of the bar for memory


class Plan(NamedTuple):
    """How long and how much; the whole must end by itself within twelve minutes.

    Attributes:
        closed: connections → seconds for which pictures are sent, and for which their answers are then waited for.
    """

    cheap_s: float
    cheap_connections: tuple[int, ...]
    closed: dict[int, tuple[float, float]]
    open_s: float
    viewers: tuple[int, ...]
    viewers_s: float
    frames: int
    workers_s: float


FULL = Plan(
    cheap_s=2,
    cheap_connections=(1, 16, 64, 256, 1000),
    closed={1: (3, 1), 16: (5, 2), 64: (4, 4), 256: (6, 10), 1000: (8, 0.1)},
    open_s=6,
    viewers=(1, 16, 64, 256),
    viewers_s=5,
    frames=200,
    workers_s=6,
)
QUICK = Plan(
    cheap_s=1,
    cheap_connections=(1, 64),
    closed={1: (1, 1), 16: (2, 2), 64: (2, 4), 256: (2, 0.1)},
    open_s=2,
    viewers=(1, 16),
    viewers_s=2,
    frames=60,
    workers_s=2,
)


def over(value: float, other: float) -> float:
    """How many times the other; endless times nothing."""
    return value / other if other else math.inf


class CheapRun(NamedTuple):
    """Cheap requests on so many connections, and the server's processor time for each."""

    connections: int
    found: Cheap
    cpu_us: float


class ClosedRun(NamedTuple):
    """Pictures on so many connections; processor time of the server for each answer; its memory while they came."""

    connections: int
    found: Answers
    cpu_ms: float
    memory: Memory


class OpenRun(NamedTuple):
    """Pictures at a share of the capacity."""

    share: float
    per_second: float
    found: Answers


class Figures(NamedTuple):
    """Everything of one server."""

    name: str
    faces: list[dict[str, Any]]
    health: list[CheapRun]
    status: CheapRun | None
    closed: list[ClosedRun]
    opened: list[OpenRun]
    service_ms: float  # of visavis's slowest worker, for a picture
    libraries: int  # that visavis's daemon maps

    def closed_at(self, connections: int) -> ClosedRun:
        return next(run for run in self.closed if run.connections == connections)

    def health_at(self, connections: int) -> CheapRun:
        return next(run for run in self.health if run.connections == connections)

    @property
    def capacity(self) -> float:
        """Pictures a second in a closed loop."""
        return self.closed_at(BUSY).found.per_second


def measured(plan: Plan, picture: Path) -> dict[str, Figures]:
    """All servers by name, in the order of the page."""
    return {kind.name: of_server(kind, plan, picture) for kind in (*RIVALS, PATIENT_VISAVIS, VISAVIS)}


def of_server(kind: Kind, plan: Plan, picture: Path) -> Figures:
    """Start one server and measure it. Most connections come last: some servers are still busy with them afterwards."""
    begin_s = time.monotonic()
    whole = kind != PATIENT_VISAVIS  # which is the same server for everything but a queue of pictures
    with Server(kind) as server:
        warm_up(server, picture)
        faces = server.faces(picture.read_bytes())
        health, status = [], None
        if whole:
            health = [cheap_run(server, "/healthz", count, plan) for count in plan.cheap_connections]
            status = cheap_run(server, kind.status, AT, plan)
        few, many = partition(plan)
        runs = [closed_run(server, picture, count, plan) for count in few]
        opened = open_runs(server, picture, plan, runs) if whole else []
        runs += [closed_run(server, picture, count, plan) for count in many]
        service_ms, libraries = server.service_ms(), server.libraries()
    print(f"bench-gateway: {kind.name} took {time.monotonic() - begin_s:.0f} s", file=sys.stderr, flush=True)
    return Figures(kind.name, faces, health, status, runs, opened, service_ms, libraries)


def partition(plan: Plan) -> tuple[list[int], list[int]]:
    """Connections before and after the open loops."""
    return [count for count in plan.closed if count <= AT], [count for count in plan.closed if count > AT]


def wait_until_idle(server: Server, picture: Path) -> None:
    """A picture is answered, and with it what has waited before: servers go on for clients that have gone."""
    until(lambda: answers_pictures(server, picture), f"{server.kind.name} answers no picture", 60)


def warm_up(server: Server, picture: Path) -> None:
    """Both workers have seen pictures: what is slow only once is over."""
    wait_until_idle(server, picture)
    closed(server.url(server.kind.detect), picture, 4, 1.0, 5.0)


def answers_pictures(server: Server, picture: Path) -> bool:
    """Whether a picture is answered; a refusal while workers start is none."""
    try:
        return server.faces(picture.read_bytes()) != []
    except OSError:
        return False


def cheap_run(server: Server, path: str, connections: int, plan: Plan) -> CheapRun:
    before_s = server.cpu_s()
    found = cheap(server.url(path), connections, plan.cheap_s)
    return CheapRun(connections, found, 1e6 * (server.cpu_s() - before_s) / max(1, found.requests))


def closed_run(server: Server, picture: Path, connections: int, plan: Plan) -> ClosedRun:
    """Pictures, and at BUSY connections a cheap request beside them."""
    wait_until_idle(server, picture)
    span_s, grace_s = plan.closed[connections]
    probe = server.url("/healthz") if connections == BUSY else ""
    before_s = server.cpu_s()
    found = closed(server.url(server.kind.detect), picture, connections, span_s, grace_s, probe)
    spent_s = server.cpu_s() - before_s
    return ClosedRun(connections, found, 1e3 * spent_s / found.good if found.good else 0.0, server.memory())


def open_runs(server: Server, picture: Path, plan: Plan, runs: list[ClosedRun]) -> list[OpenRun]:
    """Below, near and above what the server itself reached in a closed loop."""
    capacity = next(run.found.per_second for run in runs if run.connections == BUSY)
    url = server.url(server.kind.detect)
    grace_s = 2.0 * plan.open_s
    opened = []
    for share in SHARES:
        wait_until_idle(server, picture)
        found = open_loop(url, picture, share * capacity, plan.open_s, grace_s)
        opened.append(OpenRun(share, share * capacity, found))
    return opened
