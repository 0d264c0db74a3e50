# SPDX-License-Identifier: Apache-2.0
"""The verdict of a soak: what leaks misses its bar, what breathes or steps once does not."""

from __future__ import annotations

import random

from tests.bench.soak import Look, judged

LOOKS = 480


def hours(per_hour: float = 0.0, *, step: float = 0.0, held: float = 0.0) -> list[Look]:
    """Eight hours of looks with noise; memory grows per hour or by a step, threads and descriptors by `held`."""
    dice = random.Random(8)
    found = []
    for number in range(LOOKS):
        hour = 8 * number / LOOKS
        memory = 50 + per_hour * hour + step * (number > LOOKS / 3) + dice.uniform(-2, 2)
        found.append(Look(hour, memory, memory, 20 + int(held * number / LOOKS), 30 + int(held * number / LOOKS)))
    return found


def missed(found: list[Look]) -> list[str]:
    return [bar.what.partition(",")[0] for bar in judged(found) if not bar.holds]


def test_what_stays_or_steps_once_holds() -> None:
    assert missed(hours()) == []
    assert missed(hours(step=3)) == []


def test_what_grows_is_named() -> None:
    assert missed(hours(0.8)) == ["anonymous memory of the daemon"]
    assert missed(hours(1.3)) == ["anonymous memory of the daemon", "anonymous memory of a worker"]
    assert missed(hours(held=6)) == ["threads of the daemon", "descriptors of the daemon"]
