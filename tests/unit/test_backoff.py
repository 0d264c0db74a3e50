# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

from visavis.backoff import backoff


class Clock(threading.Event):
    """A stop event whose waits take no time and are written down; time passes only in `spend`."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.waits_ms: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits_ms.append(round(timeout * 1_000, 3))
        self.now_s += timeout
        return self.is_set()

    def spend(self, seconds: float) -> None:
        self.now_s += seconds


def waits(attempts_s: list[float], jitter: float) -> list[float]:
    """The waits between attempts that last so long."""
    clock = Clock()
    attempts = iter(attempts_s)
    for _ in backoff(first_ms=20, most_ms=1_000, stop=clock, clock_s=lambda: clock.now_s, jitter=lambda: jitter):
        clock.spend(next(attempts))
        if len(clock.waits_ms) == len(attempts_s) - 1:
            clock.set()
    return clock.waits_ms[: len(attempts_s) - 1]


def test_the_first_attempt_comes_at_once_and_the_waits_double_up_to_the_most() -> None:
    assert waits([0] * 9, 1.0) == [20, 40, 80, 160, 320, 640, 1_000, 1_000]


def test_half_of_a_wait_is_jitter() -> None:
    assert waits([0] * 4, 0.0) == [10, 20, 40]


def test_an_attempt_that_lasted_starts_the_waits_over() -> None:
    assert waits([0, 0, 0, 5, 0, 0], 1.0) == [20, 40, 80, 20, 40]


def test_stop_ends_a_wait_in_the_middle() -> None:
    stop = threading.Event()
    attempts = []
    for attempt in backoff(first_ms=60_000, most_ms=60_000, stop=stop):
        attempts.append(attempt)
        threading.Timer(0.05, stop.set).start()
    assert attempts == [0]
