# SPDX-License-Identifier: Apache-2.0
"""Keeps one process alive where systemd does not, in `visavis run`: a worker, or the broker."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from visavis import threads
from visavis.backoff import backoff
from visavis.errors import VisavisError
from visavis.watchdog import Watchdog

RESTART_FIRST_MS = 50
RESTART_MOST_MS = 5_000
# That many ends in a row, each soon after its start, are no accident.
MANY_ENDS = 5
# How long one that hangs may take to tell where.
ABORT_LIMIT_S = 3.0

log = logging.getLogger(__name__)


class NotKept(VisavisError):
    """Nobody could start it again."""

    kind = "not_kept"


class Keeper:
    """Starts a process, waits for its end, and starts it again, until it is told to stop.

    Again means after at most 50 ms the first time, and after 5 s when it keeps ending at once.

    Args:
        name: what the log calls it.
        start: starts it, in a session of its own: Ctrl-C must reach it only through us.
        remedy: what to do when it ends again and again.
        running: it, where it runs already.
        watchdog: hears it, once `start` has told it so; what then hangs is killed and started again.

    Raises:
        NotKept: there is no thread for that; the process, if it runs already, was ended.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], subprocess.Popen[bytes]],
        remedy: str,
        running: subprocess.Popen[bytes] | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.name = name
        self._start_one, self._remedy = start, remedy
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._process = running
        self._ends = 0
        self._threads = [threading.Thread(target=self._keep, name=name)]
        if watchdog:
            self._threads.append(threading.Thread(target=self._watch, args=(watchdog,), name=f"{name}'s watchdog"))
        try:
            for thread in self._threads:
                threads.start(thread)
        except OSError as error:
            self._threads = [thread for thread in self._threads if thread.ident]
            self.stop()
            self.end(ABORT_LIMIT_S)
            raise NotKept(f"{name} cannot be watched over, {error.strerror}", threads.MORE_THREADS) from error

    def pid(self) -> int:
        """The process id; 0 while none runs."""
        with self._lock:
            return self._process.pid if self._process else 0

    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def restart(self) -> None:
        """Ask the process to finish what it has and end; another one takes its place."""
        with self._lock:
            if self._process:
                self._process.terminate()

    def stop(self) -> None:
        """Ask the process to finish what it has and end, for good."""
        with self._lock:
            self._stop.set()
        self.restart()

    def end(self, limit_s: float) -> None:
        """Return when a process that was told to stop has ended; it is killed after `limit_s`."""
        if self._threads:
            self._threads[0].join(limit_s)
        with self._lock:
            if self._process:
                self._process.kill()
        for thread in self._threads:
            thread.join()

    def _keep(self) -> None:
        for _ in backoff(first_ms=RESTART_FIRST_MS, most_ms=RESTART_MOST_MS, stop=self._stop):
            began_s = time.monotonic()
            try:
                process = self._started()
            except OSError as error:  # no memory or process is free for it, or its program is just being replaced
                log.warning("%s cannot be started, %s; trying again", self.name, error)
                continue
            if process is None:
                return
            code = process.wait()
            with self._lock:
                self._process = None
            if process.stdin:
                process.stdin.close()
            if not self._stop.is_set():
                self._tell(code, time.monotonic() - began_s)

    def _started(self) -> subprocess.Popen[bytes] | None:
        """The process, started unless it runs; None when we were told to stop: then nobody would end it.

        Raises:
            OSError: it cannot be started now.
        """
        with self._lock:
            if self._process is None and not self._stop.is_set():
                self._process = self._start_one()
            return self._process

    def _watch(self, watchdog: Watchdog) -> None:
        while not self._stop.wait(watchdog.look_s):
            with self._lock:
                process = self._process
                sign = watchdog.hangs() if process else ""
            if process and sign:
                log.error("%s %s: it hangs and is killed", self.name, sign)
                _abort(process)
        self._threads[0].join()  # until it has ended, it is to find somebody who listens
        with self._lock:
            watchdog.close()

    def _tell(self, code: int, lasted_s: float) -> None:
        log.warning("%s ended with %d; starting it again", self.name, code)
        self._ends = self._ends + 1 if lasted_s * 1_000 <= RESTART_MOST_MS else 0
        if self._ends == MANY_ENDS:
            log.error("%s ended %d times in a row, soon after each start: %s", self.name, self._ends, self._remedy)


def _abort(process: subprocess.Popen[bytes]) -> None:
    """End it as systemd's watchdog does: so a worker leaves the trace by which it counts that its GPU hung."""
    process.send_signal(signal.SIGABRT)
    try:
        process.wait(ABORT_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
