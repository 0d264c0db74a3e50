# SPDX-License-Identifier: Apache-2.0
"""How fast a figure grows, whatever it does once.

The estimator of Theil and Sen is the median of the slopes of pairs of looks (H. Theil, A rank-invariant method of
linear and polynomial regression analysis, 1950; P. K. Sen, Estimates of the regression coefficient based on Kendall's
tau, 1968). Here of pairs that are at most half of the run apart: one step, of a pool that finds its size, then lies
within a third of them at most; of all pairs it would be half when it comes in the middle. Steps that come again and
again are growth, and are found.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations

Look = tuple[float, float]  # frames so far, the figure then


def slope(looks: Sequence[Look]) -> float:
    """Growth of the figure for each frame, of looks in order."""
    most = (looks[-1][0] - looks[0][0]) / 2
    pairs = combinations(looks, 2)
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs if 0 < b[0] - a[0] <= most)
