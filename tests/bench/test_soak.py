# SPDX-License-Identifier: Apache-2.0
"""The verdict of a soak: what leaks misses its bar, what breathes or steps once does not."""

from __future__ import annotations

import random

from tests.bench.soak import Held, Look, judged

LOOKS = 480


def hours(per_hour: float = 0.0, *, step: float = 0.0, held: float = 0.0) -> list[Look]:
    """Eight hours of looks with noise; memory grows per hour or by a step, threads and descriptors by `held`."""
    dice = random.Random(8)
    found = []
    for number in range(LOOKS):
        hour = 8 * number / LOOKS
        memory = 50 + per_hour * hour + step * (number > LOOKS / 3) + dice.uniform(-2, 2)
        more = int(held * number / LOOKS)
        daemon = Held(1, memory, 20 + more, 30 + more)
        found.append(Look(hour, daemon, daemon._replace(pid=2), inferred=300, answered=1))
    return found


def missed(found: list[Look]) -> list[str]:
    return [bar.what.partition(",")[0] for bar in judged(found) if not bar.holds]


def test_what_stays_or_steps_once_holds() -> None:
    assert missed(hours()) == []
    assert missed(hours(step=3)) == []


def test_what_grows_is_named() -> None:
    assert missed(hours(0.8)) == ["anonymous memory of the daemon"]
    assert missed(hours(1.3)) == ["anonymous memory of the daemon", "anonymous memory of the worker"]
    kinds = [f"{what} of the {whose}" for whose in ("daemon", "worker") for what in ("threads", "descriptors")]
    assert missed(hours(held=6)) == kinds


def test_a_worker_that_is_born_again_is_named_though_none_of_them_grew() -> None:
    found = [one._replace(worker=one.worker._replace(pid=2 + number // 20)) for number, one in enumerate(hours())]
    assert missed(found) == ["workers that took its place"]


def test_an_appliance_that_does_nothing_is_named() -> None:
    assert missed([one._replace(inferred=0) for one in hours()]) == ["frames inferred between two looks"]
    assert missed([one._replace(answered=0) for one in hours()]) == ["pictures of clients answered"]
