# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from tests.bench.handoff import JUDGED, Rounds, bar, words


def test_the_bar_is_the_median_of_the_rounds_ratios_and_the_table_is_of_all_frames() -> None:
    slow_then_fast: Rounds = {
        (name, size): [[2 * p50_us] * 3, [p50_us] * 3, [p50_us] * 3]
        for name, p50_us in (("ring", 10.0), ("ring, copied in", 20.0), ("unix stream", 100.0))
        for size in ("640x480", "1920x1080")
    }
    disturbed = slow_then_fast | {("ring", "640x480"): [[20.0] * 3, [10.0] * 3, [20.0] * 3]}
    assert bar(disturbed, "640x480").value == pytest.approx(0.1)
    assert "| ring | 20 | 20 | 10 | 20 |" in words(JUDGED, disturbed)
