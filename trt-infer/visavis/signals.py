# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM as an event that loops can wait on, or as one exception."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from visavis.threads import start

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that the stop signals set; the handlers of before are back afterwards.

    It is set at once, also while this thread is in a library that comes back much later: then no handler runs.
    A SIGHUP that is ignored stays so: that is how nohup keeps a command alive when its terminal is closed.
    """
    stop = threading.Event()
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    with _watched(stop):
        before = {number: signal.signal(number, _nothing) for number in STOP_SIGNALS if number not in ignored}
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def stopped_after(seconds: float, stop: threading.Event) -> Iterator[threading.Event]:
    """Set `stop` after so long in the block, unless it is set by then; and with it the event that is yielded."""
    due = threading.Event()

    def end() -> None:
        if not stop.is_set():
            due.set()
            stop.set()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    start(timer)
    try:
        yield due
    finally:
        timer.cancel()


@contextmanager
def stopped_as_by_ctrl_c() -> Iterator[None]:
    """Let the other stop signals end the block as Ctrl-C does; one that is ignored stays so.

    Raises:
        KeyboardInterrupt: one has come.
    """
    others = (signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in others if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, signal.default_int_handler) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_anyway(stop: threading.Event, limit_s: float, last: Callable[[], int]) -> Iterator[None]:
    """End this process with what `last` answers when the block takes longer than `limit_s` after `stop`.

    For a library that cannot be told to stop. What the block holds is lost, so it must be safe to lose.
    """
    done = threading.Event()

    def watch() -> None:
        stop.wait()
        if not done.wait(limit_s):
            os._exit(last())

    start(threading.Thread(target=watch, name="end-anyway", daemon=True))
    try:
        yield
    finally:
        done.set()


@contextmanager
def _watched(stop: threading.Event) -> Iterator[None]:
    """Let a thread set `stop`: the system's own handler writes each signal's number into a pipe."""
    ours, systems = os.pipe()
    os.set_blocking(systems, False)
    thread = threading.Thread(target=_watch, args=(ours, stop), name="signals", daemon=True)
    start(thread)
    before = signal.set_wakeup_fd(systems, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(systems)
        thread.join()
        os.close(ours)


def _watch(pipe: int, stop: threading.Event) -> None:
    while numbers := os.read(pipe, 16):
        if any(number in STOP_SIGNALS for number in numbers):
            stop.set()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A handler there must be: without one the system does what it does by itself."""
