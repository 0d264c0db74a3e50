# SPDX-License-Identifier: Apache-2.0
"""What is measured of every server that takes pictures, alone on the machine, one server after the other."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.bench.gateway.figures import AT, BUSY, SHARES, ClosedRun, Figures, InTurns, OpenRun, Plan
from tests.bench.gateway.load import closed, open_loop
from tests.bench.gateway.servers import PATIENT_VISAVIS, RIVALS, VISAVIS, Kind, Server
from tests.bench.gateway.warm import wait_until_idle, warm_up
from tests.peak import Peak

LOOK_S = 0.5


def measured(plan: Plan, picture: Path, turns: Mapping[str, InTurns]) -> dict[str, Figures]:
    """All servers by name, in the order of the page, with what they did in turns."""
    kinds = (*RIVALS, PATIENT_VISAVIS, VISAVIS)
    return {kind.name: of_server(kind, plan, picture, turns[kind.name]) for kind in kinds}


def of_server(kind: Kind, plan: Plan, picture: Path, turns: InTurns) -> Figures:
    """Start one server and measure it. Most connections come last: some servers are still busy with them afterwards."""
    begin_s = time.monotonic()
    with Server(kind) as server:
        warm_up(server, picture)
        faces = server.faces(picture.read_bytes())
        few, many = partition(plan)
        runs = [closed_run(server, picture, count, plan) for count in few]
        opened = open_runs(server, picture, plan, runs) if kind != PATIENT_VISAVIS else []
        runs += [closed_run(server, picture, count, plan) for count in many]
        service_ms, libraries = server.service_ms(), server.libraries()
    print(f"bench-gateway: {kind.name} took {time.monotonic() - begin_s:.0f} s", file=sys.stderr, flush=True)
    return Figures(kind.name, turns, faces, runs, opened, service_ms, libraries)


def partition(plan: Plan) -> tuple[list[int], list[int]]:
    """Connections before and after the open loops."""
    return [count for count in plan.closed if count <= AT], [count for count in plan.closed if count > AT]


def closed_run(server: Server, picture: Path, connections: int, plan: Plan) -> ClosedRun:
    """Pictures, and at BUSY connections a cheap request beside them."""
    wait_until_idle(server, picture)
    span_s, grace_s = plan.closed[connections]
    probe = server.url("/healthz") if connections == BUSY else ""
    before_s = server.cpu_s()
    with Peak(server.memory, LOOK_S) as memory:
        found = closed(server.url(server.kind.detect), picture, connections, span_s, grace_s, probe)
    spent_s = server.cpu_s() - before_s
    return ClosedRun(connections, found, 1e3 * spent_s / found.good if found.good else 0.0, memory.most)


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
