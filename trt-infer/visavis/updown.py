# SPDX-License-Identifier: Apache-2.0
"""Keeps the log calm about what comes and goes, such as a model server that ends each connection at once.

What goes on so for a month must not write lines every few seconds: the same is said once an hour. The daemon's package
`updown` does the same.
"""

from __future__ import annotations

import time

HELD_S = 600.0  # what was well for so long: its next fault is news
PAUSE_S = 3_600.0  # between two lines about the same
REASONS_MOST = 8  # that are told apart; more are those of a peer that never says the same twice


class Teller:
    """Knows of one such thing what was told, and how often it was not."""

    def __init__(self) -> None:
        self._up_s: float | None = None  # since when it is well; None while it is not
        self._told: dict[str, float] = {}
        self._news, self.left_out = True, 0

    def back(self) -> bool:
        """Note that it is well; whether to say so: where its fault was said."""
        say, self._news, self._up_s = self._news, False, time.monotonic()
        return say

    def lost(self, why: str) -> bool:
        """Note a fault; whether to say it. `left_out` counts those that were not said since the last that was."""
        now_s = time.monotonic()
        held, self._up_s = self._up_s is not None and now_s - self._up_s >= HELD_S, None
        self._told = {} if held else {one: at_s for one, at_s in self._told.items() if now_s - at_s < PAUSE_S}
        if why in self._told or len(self._told) >= REASONS_MOST:
            self.left_out += 1
            return False
        self._told[why], self._news = now_s, True
        return True

    def taken(self) -> int:
        """How many faults were left out; they count anew from here on."""
        left_out, self.left_out = self.left_out, 0
        return left_out
