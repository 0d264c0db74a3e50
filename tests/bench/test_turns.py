# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest

from tests.bench.turns import in_turn, ratio

TRUE_RATIO, ROUNDS = 40.0, 6
PHASE_TURNS = 5  # for which the machine below keeps its speed


class Drifting:
    """A machine that is a fifth slower in every other phase."""

    def __init__(self) -> None:
        self.turns = 0

    def program(self, rate: float) -> Callable[[], float]:
        """A program that does so much a second on the fast machine."""

        def measure() -> float:
            slow = self.turns // PHASE_TURNS % 2
            self.turns += 1
            return rate * (0.8 if slow else 1.0)

        return measure


def test_the_ratio_of_two_programs_is_that_of_a_steady_machine() -> None:
    machine = Drifting()
    found = in_turn({"ours": machine.program(TRUE_RATIO), "theirs": machine.program(1.0)}, ROUNDS)
    assert ratio(found["ours"], found["theirs"]) == pytest.approx(TRUE_RATIO)


def test_every_other_round_goes_backwards() -> None:
    order: list[str] = []
    in_turn({name: partial(order.append, name) for name in "abc"}, 3)
    assert "".join(order) == "abccbaabc"


def test_nobody_is_faster_than_one_that_has_failed() -> None:
    assert math.isnan(ratio([1.0, 1.0, 1.0], [1.0, 0.0, 1.0]))


def test_rounds_that_one_of_both_missed_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0, 1.0], [1.0])
