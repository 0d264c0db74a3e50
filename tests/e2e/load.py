# SPDX-License-Identifier: Apache-2.0
"""Many clients at once: each with a connection of its own, in a closed loop."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.e2e.conftest import RunningAppliance
from tests.waiting import HANG_S


@dataclass(frozen=True)
class Outcome:
    """What one request got: 0 is a connection that broke."""

    status: int
    source: str


def statuses(outcomes: list[Outcome]) -> Counter[int]:
    return Counter(outcome.status for outcome in outcomes)


def jain(shares: list[float]) -> float:
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


class Client:
    """One connection that is opened again whenever it breaks."""

    def __init__(self, appliance: RunningAppliance, picture: bytes, source: str) -> None:
        self._picture, self._source = picture, source
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", appliance.http_port, timeout=HANG_S, source_address=(source, 0)
        )

    def post(self) -> Outcome:
        try:
            self._connection.request("POST", "/api/v1/detect", self._picture, {"Content-Type": "image/jpeg"})
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return Outcome(0, self._source)
        return Outcome(answer.status, self._source)

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
