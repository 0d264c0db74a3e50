# SPDX-License-Identifier: Apache-2.0
"""What a person sees in the terminal: complaints, and figures that renew themselves in place."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

PLAIN_PERIOD_S = 10.0


def complain(sentence: str) -> None:
    """One error for a person, on stderr."""
    print(f"visavis: {sentence}", file=sys.stderr, flush=True)


class LiveLines:
    """A block of lines: redrawn in place on a terminal, printed every PLAIN_PERIOD_S elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._drawn = 0
        self._printed_at_s = -PLAIN_PERIOD_S

    def show(self, lines: Sequence[str]) -> None:
        """Draw `lines` over the ones of last time."""
        if self._terminal:
            up = f"\x1b[{self._drawn}F" if self._drawn else ""
            sys.stdout.write(up + "".join(f"\x1b[2K{line}\n" for line in lines))
            self._drawn = len(lines)
        elif time.monotonic() - self._printed_at_s >= PLAIN_PERIOD_S:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            self._printed_at_s = time.monotonic()
        sys.stdout.flush()
