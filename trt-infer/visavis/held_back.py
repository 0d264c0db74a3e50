# SPDX-License-Identifier: Apache-2.0
"""A worker that fails soon after each start is started ever less often: systemd does it a second later each time.

As the daemon does it (go-capture/cmd/visavis-capture/hold.go): the count is in the service's own folder, which stays
while the service is started again, and goes when it is stopped.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

from visavis.atomic import write_atomically
from visavis.systemd import ALIVE, STATUS, tell

MOST_FAILURES = 5
WELL_S = 60.0
# And RestartSec.
PAUSE_MOST_S = 29.0
# For the watchdog of a worker that was ready.
ALIVE_EVERY_S = 5.0

log = logging.getLogger(__name__)


def hold_back(ran_s: float, stop: threading.Event) -> bool:
    """Wait before this process ends: not after the first failure, and then ever longer.

    Args:
        ran_s: how long it was well; after a while it counts anew.
        stop: set when this process is told to end.

    Returns:
        Whether it was told to end while it waited.
    """
    folder = os.environ.get("RUNTIME_DIRECTORY")
    if not folder or stop.is_set():
        return False
    try:
        before = _one_more(Path(folder) / "failures", anew=ran_s >= WELL_S)
    except OSError as error:
        log.warning("nothing holds back the next start, %s", error)
        return False
    pause_s = min(2.0**before - 1, PAUSE_MOST_S)
    if pause_s:
        tell(f"{STATUS}failed {before + 1} times in a row, see the journal; the next try comes after {pause_s:g} s")
    while pause_s > 0 and not stop.is_set():
        tell(ALIVE, waits=False)
        stop.wait(min(pause_s, ALIVE_EVERY_S))
        pause_s -= ALIVE_EVERY_S
    return stop.is_set()


def _one_more(file: Path, *, anew: bool) -> int:
    """Count a failure; returns how many came before."""
    text = file.read_text("utf-8", "replace") if file.exists() and not anew else ""
    before = min(int(text), MOST_FAILURES) if text.isdecimal() else 0
    write_atomically(file, str(before + 1).encode())
    return before
