# SPDX-License-Identifier: Apache-2.0
"""Notices that a process hangs, where systemd does not: it hears the signs of life that systemd would."""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from visavis.systemd import ALIVE, MORE_TIME_US, READY, tell_ourselves
from visavis.threads import start

# How often we look within the shorter limit. Looks are counted, not seconds: a machine that stood still, as virtual
# ones do, or a `visavis run` that was stopped with Ctrl-Z has missed some looks and blames nobody.
LOOKS = 4
MOST_BYTES = 4_096

log = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a process may be silent: the defaults are WatchdogSec and TimeoutStartSec of visavis-infer@.service.

    Attributes:
        serving_s: once it was ready; up to a look more passes.
        starting_s: until it is ready, unless it asks for more time (EXTEND_TIMEOUT_USEC), as the build of an engine
            does while it goes on.
    """

    serving_s: float = 30.0
    starting_s: float = 300.0

    @property
    def look_s(self) -> float:
        """How long it takes from one look to the next."""
        return min(self.serving_s, self.starting_s) / LOOKS


class Ear:
    """Hears one process on a socket, and counts the looks at which it said nothing."""

    def __init__(self, line: socket.socket, limits: Limits) -> None:
        self._line = line
        self._line.setblocking(False)
        self._look_s = limits.look_s
        self._limit_s = {False: limits.starting_s, True: limits.serving_s}
        self._ready = False
        self._silent_looks = 0

    def hangs(self) -> str:
        """To be asked at every look: how it shows that the process hangs; "" while it does not. Told once."""
        heard = self._heard()
        self._ready = self._ready or READY in heard
        asked_s = max(map(_more_time_s, heard), default=0.0)
        if asked_s:
            self._limit_s[False] = asked_s
        moved = asked_s or heard & {READY, ALIVE}
        self._silent_looks = 0 if moved else self._silent_looks + 1
        limit_s = self._limit_s[self._ready]
        if self._silent_looks != math.ceil(limit_s / self._look_s):
            return ""
        sign = "gave no sign of life for {:g} s" if self._ready else "stood still for {:g} s at its start"
        return sign.format(limit_s)

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


def _more_time_s(word: str) -> float:
    asked_us = word.removeprefix(MORE_TIME_US)
    return int(asked_us) / 1e6 if asked_us != word and asked_us.isdecimal() else 0.0


class Watchdog:
    """Hears one process after another, as long as each lives. Who uses it sees to it that only one thread does.

    Args:
        path: where its socket is made, in a folder that nobody else may enter.
        limits: how long a process may be silent.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        self._ear: Ear | None = None

    @property
    def look_s(self) -> float:
        """How often `hangs` is to be asked."""
        return self._limits.look_s

    def listen(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Listen to a process that is about to start, and return the environment in which it knows of us.

        Raises:
            OSError: the socket cannot be made now.
        """
        self.close()
        self._path.unlink(missing_ok=True)
        line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear = Ear(line, self._limits)
        line.bind(str(self._path))
        told = {"NOTIFY_SOCKET": str(self._path), "WATCHDOG_USEC": microseconds(self._limits.serving_s)}
        # Whoever started us may have a watchdog of its own, which means us.
        return {name: value for name, value in environment.items() if name != "WATCHDOG_PID"} | told

    def hangs(self) -> str:
        """To be asked every `look_s`: how it shows that the process hangs; "" while it does not. Told once."""
        return self._ear.hangs() if self._ear is not None else ""

    def close(self) -> None:
        """Listen no more."""
        if self._ear is not None:
            self._ear.close()
            self._ear = None


def microseconds(duration_s: float) -> str:
    """As systemd writes durations into the environment."""
    return str(round(duration_s * 1e6))


def watch_itself(limits: Limits) -> None:
    """From now on this process ends itself, with SIGABRT and the trace that comes with it, when it hangs.

    For whoever starts again what ends and does not look at what hangs, as Docker. Where somebody listens already, as
    systemd or `visavis run`, nothing is done. It takes no file: a container may have no place for one.

    Raises:
        OSError: there are too many open files, or threads.
    """
    if "NOTIFY_SOCKET" in os.environ:
        return
    heard, said = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    tell_ourselves(said)
    os.environ.update(WATCHDOG_USEC=microseconds(limits.serving_s), WATCHDOG_PID=str(os.getpid()))
    watch = threading.Thread(target=_end_when_it_hangs, args=(Ear(heard, limits), limits.look_s), name="watchdog")
    watch.daemon = True
    start(watch)


def _end_when_it_hangs(ear: Ear, look_s: float) -> None:
    sign = ""
    while not sign:
        time.sleep(look_s)
        sign = ear.hangs()
    log.error("%s: this worker hangs and ends itself", sign)
    os.abort()
