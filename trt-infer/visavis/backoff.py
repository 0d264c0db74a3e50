# SPDX-License-Identifier: Apache-2.0
"""Waiting between attempts: short at first, longer each time, never in step with others."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator


def backoff(
    *,
    first_ms: float,
    most_ms: float,
    stop: threading.Event,
    clock_s: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> Iterator[int]:
    """Yield 0, 1, 2... once for each attempt until `stop` is set, with a wait before all but the first.

    The wait doubles from `first_ms` to `most_ms`; half of it is jitter, so that many who lost the same thing do not
    come back in step. An attempt that lasted longer than `most_ms` was a success that ended: the waits start over.

    Args:
        first_ms: the longest first wait.
        most_ms: the longest wait.
        stop: ends the iteration, also in the middle of a wait.
        clock_s: seconds that only grow.
        jitter: a number in [0, 1).
    """
    attempt, wait_ms = 0, first_ms
    while not stop.is_set():
        began_s = clock_s()
        yield attempt
        attempt += 1
        if (clock_s() - began_s) * 1_000 > most_ms:
            wait_ms = first_ms
        stop.wait(wait_ms * (1 + jitter()) / 2 / 1_000)
        wait_ms = min(wait_ms * 2, most_ms)
