# SPDX-License-Identifier: Apache-2.0
"""What a worker says to systemd: that it is ready, that it lives, and its log with fields.

Debian's python3-systemd does it where it is installed; without it one datagram and plain lines on stderr do. A sign of
life is always that datagram: sd_notify(3) waits for a listener that stands still, and a worker must not. `visavis run`
listens as systemd does; where nobody does, nothing is said.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from functools import cache
from time import monotonic, monotonic_ns, sleep
from typing import cast

from visavis.threads import start

STATUS = "STATUS="
READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"
MORE_TIME_US = "EXTEND_TIMEOUT_USEC="
# TensorRT says nothing for minutes while it times one large layer on a small GPU.
START_SILENCE_S = 1_800
START_ASK_PERIOD_S = 10.0
LOG_FORMAT = "%(levelname)s %(message)s"

log = logging.getLogger(__name__)


# Where this process hears itself; nowhere, or one.
_own_ears: list[socket.socket] = []


def tell_ourselves(line: socket.socket) -> None:
    """From now on notices go here, where a part of this process listens in systemd's place."""
    _own_ears[:] = [line]


def tell(*words: str, waits: bool = True) -> bool:
    """Send a notice, such as READY and f"{STATUS}warm"; whether there is somebody that it went to.

    With `waits` false it is dropped where the listener has enough of them to read.
    """
    try:
        return _sent("\n".join(words), waits=waits)
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("nobody listens at NOTIFY_SOCKET, where whoever started this process should, %s", error)
        return False


def _sent(notice: str, *, waits: bool) -> bool:
    """To our own ear, or to the socket that NOTIFY_SOCKET names."""
    flags = 0 if waits else socket.MSG_DONTWAIT
    if _own_ears:
        return bool(_own_ears[0].send(notice.encode(), flags))
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if waits and (notify := _sd_notify()):
        return notify(notice)
    return _datagram(notice.encode(), flags, address)


@cache
def _sd_notify() -> Callable[[str], bool] | None:
    """The library's sd_notify(3); None where it is not installed."""
    try:
        from systemd.daemon import notify  # noqa: PLC0415 (only there under systemd)
    except ImportError:
        return None
    return cast("Callable[[str], bool]", notify)


def _datagram(notice: bytes, flags: int, address: str) -> bool:
    """What sd_notify(3) says on the wire: "@" stands for an abstract socket."""
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(notice, flags, address)
    return True


class SignOfLife:
    """Tells the watchdog that we live, as often as it wants; to be called wherever progress is made."""

    def __init__(self) -> None:
        self._period_s = watchdog_period_s()
        self._told_s = monotonic()
        self._excused_ns = 0
        self._begins = threading.Event()
        self._helper: threading.Thread | None = None

    def give(self) -> None:
        """Cheap: most calls only look at the clock."""
        self._excused_ns = 0
        if self._period_s and monotonic() - self._told_s >= self._period_s:
            self._told_s = monotonic()
            # `visavis run` may have been stopped with Ctrl-Z.
            tell(ALIVE, waits=False)

    def excuse(self, until_ns: int) -> None:
        """Let what begins now take until then, CLOCK_MONOTONIC, and no longer: who waits for it gives it so long."""
        if not self._period_s or until_ns - monotonic_ns() < self._period_s * 1e9:
            return  # the next sign comes soon enough
        self._excused_ns = until_ns
        self._begins.set()
        if self._helper is None:
            self._helper = threading.Thread(target=self._give_meanwhile, name="sign-of-life", daemon=True)
            start(self._helper)

    def _give_meanwhile(self) -> None:
        while self._begins.wait():
            self._begins.clear()
            while monotonic_ns() < self._excused_ns:
                tell(ALIVE, waits=False)
                sleep(self._period_s / 2)


class LongStart:
    """Lets a start take longer than the unit's TimeoutStartSec for as long as it goes on."""

    def __init__(self) -> None:
        self._asked_s = -START_ASK_PERIOD_S

    def goes_on(self) -> None:
        """To be called wherever progress is made: a start that makes none for START_SILENCE_S is ended."""
        if monotonic() - self._asked_s >= START_ASK_PERIOD_S:
            self._asked_s = monotonic()
            tell(f"{MORE_TIME_US}{START_SILENCE_S * 1_000_000}")


def watchdog_period_s() -> float:
    """Half of what the unit's WatchdogSec allows; 0 without one, or when it is meant for another process."""
    for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    return int(allowed_us) / 2e6 if for_us and allowed_us.isdecimal() else 0.0


def log_handler(name: str) -> logging.Handler:
    """Where log records go: to the journal with VISAVIS_WORKER=name if that is where stderr leads, else to stderr."""
    if "JOURNAL_STREAM" in os.environ:
        try:
            from systemd.journal import JournalHandler  # noqa: PLC0415 (only there under systemd)
        except ImportError:
            log.debug("python3-systemd is not installed: the log goes to stderr")
        else:
            handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER="visavis", VISAVIS_WORKER=name)
            return handler
    plain = logging.StreamHandler()
    plain.setFormatter(logging.Formatter(LOG_FORMAT))
    return plain
