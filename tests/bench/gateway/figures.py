# SPDX-License-Identifier: Apache-2.0
"""How long and how much is measured, and what is found of each server."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from tests.bench.gateway.load import Answers, Cheap
from tests.bench.tree import Memory

SHARES = (0.5, 0.9, 2.0)
AT = 64  # connections of the bars for cheap requests
BUSY = 16  # connections of the bars for pictures
CROWD = 256  # connections, and viewers, of the bars for memory


class Plan(NamedTuple):
    """How long and how much; the whole must end by itself within fifteen minutes.

    Attributes:
        rounds: of what is compared by ratio; `some_rounds` of the other cheap requests.
        turn_s: for which pictures are sent in one turn of a round.
        closed: connections → seconds for which pictures are sent, and for which their answers are then waited for.
    """

    rounds: int
    some_rounds: int
    cheap_s: float
    cheap_connections: tuple[int, ...]
    turn_s: float
    closed: dict[int, tuple[float, float]]
    open_s: float
    viewers: tuple[int, ...]
    viewers_s: float
    frames: int


FULL = Plan(
    rounds=5,
    some_rounds=2,
    cheap_s=1,
    cheap_connections=(1, 16, 64, 256, 1000),
    turn_s=2,
    closed={1: (3, 1), 16: (5, 2), 64: (4, 4), 256: (6, 10), 1000: (8, 0.1)},
    open_s=6,
    viewers=(1, 16, 64, CROWD, 500),
    viewers_s=5,
    frames=200,
)
QUICK = Plan(
    rounds=2,
    some_rounds=1,
    cheap_s=1,
    cheap_connections=(1, 64),
    turn_s=1,
    closed={1: (1, 1), 16: (2, 2), 64: (2, 4), 256: (2, 0.1)},
    open_s=2,
    viewers=(1, 16),
    viewers_s=2,
    frames=60,
)


class CheapRun(NamedTuple):
    """Cheap requests on so many connections, in some rounds, and the server's processor time for each request."""

    connections: int
    rounds: list[Cheap]
    cpu_us: float

    @property
    def rates(self) -> list[float]:
        """Requests a second of each round."""
        return [one.per_second for one in self.rounds]

    @property
    def per_second(self) -> float:
        return statistics.median(self.rates)

    @property
    def p50_ms(self) -> float:
        return statistics.median(one.p50_ms for one in self.rounds)

    @property
    def p99_ms(self) -> float:
        return statistics.median(one.p99_ms for one in self.rounds)

    @property
    def errors(self) -> int:
        return sum(one.errors for one in self.rounds)


class InTurns(NamedTuple):
    """What one server did while the others ran beside it.

    Attributes:
        pictures: a second, of each round, with BUSY connections.
        overload: answers a second, of each round, at the highest of SHARES; only of visavis.
        failed: of its pictures in all rounds, those that got neither an answer nor a refusal.
    """

    health: list[CheapRun]
    status: CheapRun | None
    pictures: list[float]
    overload: list[float]
    failed: int = 0

    def health_at(self, connections: int) -> CheapRun:
        return next(run for run in self.health if run.connections == connections)


class ClosedRun(NamedTuple):
    """Pictures on so many connections; the server's processor time for each answer, and its memory at its most."""

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
    turns: InTurns
    faces: list[dict[str, Any]]
    closed: list[ClosedRun]
    opened: list[OpenRun]
    service_ms: float  # of visavis's slowest worker, for a picture
    libraries: int  # that visavis's daemon maps

    def closed_at(self, connections: int) -> ClosedRun:
        return next(run for run in self.closed if run.connections == connections)

    def health_at(self, connections: int) -> CheapRun:
        return self.turns.health_at(connections)
