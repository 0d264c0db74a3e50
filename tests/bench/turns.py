# SPDX-License-Identifier: Apache-2.0
"""Comparing on a machine whose speed drifts: who is compared takes turns, and each ratio is of one round.

A virtual machine may run a fifth faster for half a minute, then slower again. Measured one after another, the ratio of
two programs is then also that of two moments; within a short round both see the same machine. The order is turned round
from round to round, so that a drift within a round favours each as often, and the median of the rounds' ratios does not
care about a round in which the speed changed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


def in_turn(measures: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """What each measured in each round: forwards, backwards, forwards and so on."""
    found: dict[K, list[T]] = {name: [] for name in measures}
    for number in range(rounds):
        for name in list(measures)[:: -1 if number % 2 else 1]:
            found[name].append(measures[name]())
    return found


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios within a round; no number if one of them is none."""
    return known(statistics.median, ratios(ours, theirs))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """The ratio of each round."""
    return [over(our, their) for our, their in zip(ours, theirs, strict=True)]


def known(figure: Callable[[Sequence[float]], float], values: Sequence[float]) -> float:
    """A figure of values; no number if one of them is none, since Python puts those in no order."""
    return math.nan if any(map(math.isnan, values)) else figure(values)


def over(value: float, other: float) -> float:
    """How many times the other; no number at all beside nothing, so that no bar holds against one that has failed."""
    return value / other if other else math.nan
