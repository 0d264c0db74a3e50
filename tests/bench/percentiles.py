# SPDX-License-Identifier: Apache-2.0
"""The two percentiles of which pages tell."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def p50_p99(values: Sequence[float]) -> tuple[float, float]:
    """The median, and what all but one in a hundred stay below."""
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[98]
