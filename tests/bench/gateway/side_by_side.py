# SPDX-License-Identifier: Apache-2.0
"""What the bars compare by ratio: all servers run side by side, one is asked at a time, and they take turns (turns.py).

A server that nobody asks takes no processor. Memory is not looked at here: what is counted of shared pages depends on
who else has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.bench.gateway.figures import AT, BUSY, SHARES, CheapRun, InTurns, Plan
from tests.bench.gateway.load import Answers, Cheap, cheap, closed, open_loop
from tests.bench.gateway.servers import FLOOR, PATIENT_VISAVIS, RIVALS, VISAVIS, Kind, Server, floor
from tests.bench.gateway.warm import side_by_side, wait_until_quiet
from tests.bench.turns import in_turn

OVERLOAD, GRACE_S = "visavis, overloaded", 5.0

Turn = tuple[Cheap, float]  # and the server's processor time, seconds


def measured(plan: Plan, picture: Path) -> dict[str, InTurns]:
    """All servers by name, and FLOOR, which takes no pictures. Most connections come last: some servers are still busy
    with them afterwards.
    """
    kinds = {kind.name: kind for kind in (*RIVALS, PATIENT_VISAVIS, VISAVIS)}
    with side_by_side(kinds, picture) as servers:
        pictures = pictures_in_turn(servers, picture, plan)
        whole = [one for one in servers.values() if one.kind != PATIENT_VISAVIS]  # the same but for a queue of pictures
        with Server(floor(servers[VISAVIS.name].url(""))) as least:
            whole.append(least)
            status = cheap_in_turn(whole, lambda kind: kind.status, AT, plan)
            health = [cheap_in_turn(whole, lambda _: "/healthz", count, plan) for count in plan.cheap_connections]
    return {
        name: InTurns(
            health=[runs[name] for runs in health if name in runs],
            status=status.get(name),
            pictures=[one.per_second for one in pictures.get(name, [])],
            overload=[one.per_second for one in pictures[OVERLOAD]] if name == VISAVIS.name else [],
            failed=sum(one.errors for one in pictures.get(name, [])),
        )
        for name in (*kinds, FLOOR)
    }


def pictures_in_turn(servers: Mapping[str, Server], picture: Path, plan: Plan) -> dict[str, list[Answers]]:
    """What each round brought, of visavis also with more pictures than it can take."""
    measures = {name: partial(pictures_turn, server, picture, plan) for name, server in servers.items()}
    too_many = SHARES[-1] * measures[VISAVIS.name]().per_second
    overload = partial(overload_turn, servers[VISAVIS.name], picture, too_many, plan)
    return in_turn({**measures, OVERLOAD: overload}, plan.rounds)


def pictures_turn(server: Server, picture: Path, plan: Plan) -> Answers:
    return closed(server.url(server.kind.detect), picture, BUSY, plan.turn_s, GRACE_S)


def overload_turn(server: Server, picture: Path, per_second: float, plan: Plan) -> Answers:
    return open_loop(server.url(server.kind.detect), picture, per_second, plan.turn_s, GRACE_S)


def cheap_in_turn(
    servers: Sequence[Server], path: Callable[[Kind], str], connections: int, plan: Plan
) -> dict[str, CheapRun]:
    """All rounds on so many connections."""
    measures = {one.kind.name: partial(cheap_turn, one, path(one.kind), connections, plan.cheap_s) for one in servers}
    found = in_turn(measures, plan.rounds if connections == AT else plan.some_rounds)
    return {name: cheap_run(connections, turns) for name, turns in found.items()}


def cheap_turn(server: Server, path: str, connections: int, span_s: float) -> Turn:
    before_s = server.cpu_s()
    found = cheap(server.url(path), connections, span_s)
    spent_s = server.cpu_s() - before_s
    wait_until_quiet(server)
    return found, spent_s


def cheap_run(connections: int, turns: Sequence[Turn]) -> CheapRun:
    rounds = [found for found, _ in turns]
    spent_s = sum(spent_s for _, spent_s in turns)
    return CheapRun(connections, rounds, 1e6 * spent_s / max(1, sum(one.requests for one in rounds)))
