# SPDX-License-Identifier: Apache-2.0
"""Keeps every processor from falling asleep, so that a measurement does not show how long this machine's take to wake.

One process for each processor spins at the lowest priority there is (SCHED_IDLE): whatever else wants to run, runs at
once. A machine that infers is like that: its processors are seldom asleep.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def awake_processors() -> Iterator[None]:
    """All processors stay awake while the block runs."""
    context = multiprocessing.get_context("spawn")
    spinners = [context.Process(target=spin, args=(cpu,), daemon=True) for cpu in os.sched_getaffinity(0)]
    for spinner in spinners:
        spinner.start()
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.join()


def spin(cpu: int) -> None:
    """Runs in a process of its own until it is killed, or its parent has ended."""
    parent = os.getppid()
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass
