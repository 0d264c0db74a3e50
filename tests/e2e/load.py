# SPDX-License-Identifier: Apache-2.0
"""Many clients at once: each with a connection of its own, in a closed loop or at a rate."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.e2e.conftest import RunningAppliance

ANSWER_LIMIT_S = 30


@dataclass(frozen=True)
class Outcome:
    """What one request got: 0 is a connection that broke."""

    status: int
    took_s: float
    total_ms: float
    source: str


def statuses(outcomes: list[Outcome]) -> Counter[int]:
    return Counter(outcome.status for outcome in outcomes)


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def jain(shares: list[float]) -> float:
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


class Client:
    """One connection that is opened again whenever it breaks."""

    def __init__(self, appliance: RunningAppliance, picture: bytes, source: str) -> None:
        self._picture, self._source = picture, source
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", appliance.http_port, timeout=ANSWER_LIMIT_S, source_address=(source, 0)
        )

    def post(self) -> Outcome:
        began = time.monotonic()
        try:
            self._connection.request("POST", "/api/v1/detect", self._picture, {"Content-Type": "image/jpeg"})
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return Outcome(0, time.monotonic() - began, 0.0, self._source)
        total = json.loads(body)["latency_ms"]["total"] if answer.status == 200 else 0.0
        return Outcome(answer.status, time.monotonic() - began, total, self._source)

    def close(self) -> None:
        self._connection.close()


def closed_loop(
    appliance: RunningAppliance, picture: bytes, sources: list[str], seconds: float, stop: threading.Event | None = None
) -> list[Outcome]:
    """One client for each source address, each with one picture under way, until the time is over or `stop` is set.

    A client that is refused waits for a hundredth of a second, so that refusals do not take the machine.
    """
    end, over = time.monotonic() + seconds, stop or threading.Event()

    def run(source: str) -> list[Outcome]:
        client, seen = Client(appliance, picture, source), []
        while time.monotonic() < end and not over.is_set():
            seen.append(client.post())
            if seen[-1].status != 200:
                time.sleep(0.01)
        client.close()
        return seen

    with ThreadPoolExecutor(len(sources)) as pool:
        return list(itertools.chain.from_iterable(pool.map(run, sources)))


def open_loop(
    appliance: RunningAppliance, picture: bytes, per_second: float, seconds: float, most: int = 48
) -> list[Outcome]:
    """Requests at a rate, whatever the answers take, over at most so many connections."""
    count = int(per_second * seconds)
    turn = itertools.count()
    began = time.monotonic()

    def run(_: int) -> list[Outcome]:
        client, seen = Client(appliance, picture, "127.0.0.1"), []
        while (number := next(turn)) < count:
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            seen.append(client.post())
        client.close()
        return seen

    with ThreadPoolExecutor(most) as pool:
        return list(itertools.chain.from_iterable(pool.map(run, range(most))))
