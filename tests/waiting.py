# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

HANG_S = 30.0  # nothing takes so long but what hangs, not even on a busy machine


def until(condition: Callable[[], Any], words: Callable[[], str] | str, limit_s: float = HANG_S) -> Any:
    """Wait until `condition` returns something true, and return that; fail with `words` after `limit_s`."""
    end_s = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end_s, f"not within {limit_s:g} s: {words if isinstance(words, str) else words()}"
        time.sleep(0.005)
