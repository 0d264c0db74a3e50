# SPDX-License-Identifier: Apache-2.0
"""Notices that a process hangs, where systemd does not: it hears the signs of life that systemd would."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from visavis.systemd import ALIVE, READY, tell_ourselves

# As WatchdogSec of visavis-infer@.service.
WATCHDOG_S = 30.0
# How often we look in the watchdog's time. Looks are counted, not seconds: a machine that stood still, as virtual ones
# do, or a `visavis run` that was stopped with Ctrl-Z has missed one look and blames nobody.
LOOKS = 4
MOST_BYTES = 4_096

log = logging.getLogger(__name__)


class Ear:
    """Hears one process on a socket, and counts the looks at which it, once ready, had said nothing."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._line.setblocking(False)
        self._ready = False
        self._silent_looks = 0

    def silent(self) -> bool:
        """To be asked at every look: whether the process has just been silent for too long. Told once."""
        heard = self._heard()
        self._ready = self._ready or READY in heard
        self._silent_looks = 0 if heard & {READY, ALIVE} else self._silent_looks + 1
        return self._ready and self._silent_looks == LOOKS

    def close(self) -> None:
        """Hear no more."""
        self._line.close()

    def _heard(self) -> set[str]:
        words: set[str] = set()
        while True:
            try:
                words.update(self._line.recv(MOST_BYTES).decode(errors="replace").splitlines())
            except BlockingIOError:
                return words


class Watchdog:
    """Hears one process after another, as long as each lives. Who uses it sees to it that only one thread does.

    Args:
        path: where its socket is made, in a folder that nobody else may enter.
        limit_s: how long a process may say nothing once it was ready; up to a look more passes.
    """

    def __init__(self, path: Path, limit_s: float = WATCHDOG_S) -> None:
        self.limit_s, self.look_s = limit_s, limit_s / LOOKS
        self._path = path
        self._ear: Ear | None = None

    def listen(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Listen to a process that is about to start, and return the environment in which it knows of us.

        Raises:
            OSError: the socket cannot be made now.
        """
        self.close()
        self._path.unlink(missing_ok=True)
        line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear = Ear(line)
        line.bind(str(self._path))
        told = {"NOTIFY_SOCKET": str(self._path), "WATCHDOG_USEC": microseconds(self.limit_s)}
        # Whoever started us may have a watchdog of its own, which means us.
        return {name: value for name, value in environment.items() if name != "WATCHDOG_PID"} | told

    def silent(self) -> bool:
        """To be asked every `look_s`: whether the process has just been silent for too long. Told once."""
        return self._ear is not None and self._ear.silent()

    def close(self) -> None:
        """Listen no more."""
        if self._ear is not None:
            self._ear.close()
            self._ear = None


def microseconds(duration_s: float) -> str:
    """As systemd writes durations into the environment."""
    return str(round(duration_s * 1e6))


def watch_itself(limit_s: float) -> None:
    """From now on this process ends itself, with SIGABRT and the trace that comes with it, when it hangs.

    For whoever starts again what ends and does not look at what hangs, as Docker. Where somebody listens already, as
    systemd or `visavis run`, nothing is done. It takes no file: a container may have no place for one.

    Raises:
        OSError: there are too many open files.
    """
    if "NOTIFY_SOCKET" in os.environ:
        return
    heard, said = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    tell_ourselves(said)
    os.environ.update(WATCHDOG_USEC=microseconds(limit_s), WATCHDOG_PID=str(os.getpid()))
    threading.Thread(target=_end_when_silent, args=(Ear(heard), limit_s), name="watchdog", daemon=True).start()


def _end_when_silent(ear: Ear, limit_s: float) -> None:
    while not ear.silent():
        time.sleep(limit_s / LOOKS)
    log.error("gave no sign of life for %g s: this worker hangs and ends itself", limit_s)
    os.abort()
