# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as an event that loops can wait on."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that the stop signals set; the handlers of before are back afterwards.

    A SIGHUP that is ignored stays so: that is how nohup keeps a command alive when its terminal is closed.
    """
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        # In a thread of its own: the handler may run while this one holds the event's lock, and would wait for itself.
        _thread.start_new_thread(stop.set, ())

    kept = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    before = {number: signal.signal(number, handle) for number in STOP_SIGNALS if number not in kept}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
