# SPDX-License-Identifier: Apache-2.0
"""Keeps worker processes alive where systemd does not: `visavis run`.

One thread for each worker starts it, waits for its end, and starts it again: after at most 50 ms the first time, after
5 s when it keeps ending at once. A worker that fails on the GPU counts that itself, see gpu_losses.

Workers are in sessions of their own, so that Ctrl-C reaches them only through us, and end when this process ends,
however that happens.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING

from visavis.backoff import backoff
from visavis.heap import with_huge_pages

if TYPE_CHECKING:
    from visavis.config_gen import Config

RESTART_FIRST_MS = 50
RESTART_MOST_MS = 5_000
STOP_LIMIT_S = 5.0
# Below this a box is as good as none, and there are so many that they cost time.
UNSURE_LEAST = 0.1

log = logging.getLogger(__name__)


def unsure_score(score: float) -> float:
    """The least score that a worker sends: what is below `score` is told to nobody, but continues a track."""
    return min(score, max(UNSURE_LEAST, round(score / 3, 4)))


def worker_command(config: Config, workers: int = 0) -> list[str]:
    """The command line of a worker for this configuration.

    Args:
        config: the effective configuration.
        workers: how many share the cores; 0 for the configured number.
    """
    detector = config.detector
    width, height = detector.input
    threads = detector.threads or max(1, (os.cpu_count() or 1) // (workers or detector.workers))
    options = {
        "--socket": config.worker.socket,
        "--credit": str(config.worker.credit),
        "--batch-window-ms": str(config.worker.batch_window_ms),
        "--backend": detector.backend,
        "--precision": detector.precision,
        "--model": detector.model,
        "--input": f"{width}x{height}",
        "--threads": str(threads),
        "--score": str(unsure_score(detector.score)),
        "--iou": str(detector.iou),
        "--kserve-url": detector.kserve_url,
        "--kserve-ca": detector.kserve_ca,
        "--kserve-token-file": detector.kserve_token_file,
        "--kserve-deadline-ms": str(detector.kserve_deadline_ms),
    }
    return [sys.executable, "-m", "visavis.cli", "worker"] + [word for pair in options.items() for word in pair]


class Supervisor:
    """`count` processes of `command`, each with `--name worker-N`, alive while the block runs.

    Args:
        command: what to start, without `--name` and `--die-with-parent`.
        count: how many, at first.
        stop_limit_s: how long a worker may take to finish after SIGTERM before it is killed.
    """

    def __init__(self, command: list[str], count: int, *, stop_limit_s: float = STOP_LIMIT_S) -> None:
        self._command, self._count = command, count
        self._stop_limit_s = stop_limit_s
        self._lock = threading.Lock()
        self._keepers: list[Keeper] = []
        self._ended = False

    def __enter__(self) -> Supervisor:
        self.resize(self._count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resize(0)
        self._ended = True

    @property
    def count(self) -> int:
        """How many workers there should be."""
        return self._count

    def resize(self, count: int, command: list[str] | None = None) -> None:
        """Start or end workers until there are `count`; those with the highest numbers end, with what they have.

        Args:
            count: how many from now on.
            command: what is started from now on, if it changes; workers that run keep theirs until they end.
        """
        with self._lock:
            if self._ended:
                return
            self._count, self._command = count, command or self._command
            surplus, self._keepers = self._keepers[count:], self._keepers[:count]
            for number in range(len(self._keepers) + 1, count + 1):
                self._keepers.append(Keeper(self._command, number))
            for keeper in surplus:
                keeper.stop()
            for keeper in surplus:
                keeper.end(self._stop_limit_s)

    def pids(self) -> dict[int, int]:
        """The process ids of the workers that run now, by number."""
        with self._lock:
            found = {keeper.number: keeper.pid() for keeper in self._keepers}
        return {number: pid for number, pid in found.items() if pid}

    def renew(self, stop: threading.Event) -> None:
        """Start every worker afresh, one after the other; each finishes the frame in its hands first.

        Args:
            stop: ends the waiting for the next one.
        """
        with self._lock:
            keepers = list(self._keepers)
        for keeper in keepers:
            pid = keeper.pid()
            keeper.restart()
            while not stop.is_set() and not keeper.stopped() and keeper.pid() in (0, pid):
                stop.wait(RESTART_FIRST_MS / 1_000)


class Keeper:
    """Starts one worker, waits for its end, and starts it again, until it is told to stop."""

    def __init__(self, command: list[str], number: int) -> None:
        self.number = number
        self._command = command
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name=f"worker-{number}")
        self._thread.start()

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
        """Return when a worker that was told to stop has ended; it is killed after `limit_s`."""
        self._thread.join(limit_s)
        with self._lock:
            if self._process:
                self._process.kill()
        self._thread.join()

    def _keep(self) -> None:
        for _ in backoff(first_ms=RESTART_FIRST_MS, most_ms=RESTART_MOST_MS, stop=self._stop):
            try:
                process = self._start()
            except OSError as error:  # no memory or process is free for it, or its program is just being replaced
                log.warning("worker-%d cannot be started, %s; trying again", self.number, error)
                continue
            if process is None:
                return
            code = process.wait()
            with self._lock:
                self._process = None
            if not self._stop.is_set():
                log.warning("worker-%d ended with %d; starting it again", self.number, code)

    def _start(self) -> subprocess.Popen[bytes] | None:
        """Start the worker, unless we were told to stop: then nobody would end it.

        Raises:
            OSError: it cannot be started now.
        """
        own = ["--name", f"worker-{self.number}", "--die-with-parent", str(os.getpid())]
        with self._lock:
            if self._stop.is_set():
                return None
            self._process = subprocess.Popen(
                self._command + own,
                env=with_huge_pages(os.environ),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            return self._process
