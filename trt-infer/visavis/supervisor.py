# SPDX-License-Identifier: Apache-2.0
"""Keeps worker processes alive where systemd does not: `visavis run`.

Each worker has a keeper, which starts it again when it ends, and a watchdog, which notices that it hangs. A worker that
fails on the GPU counts that itself, see gpu_losses.

Workers are in sessions of their own, so that Ctrl-C reaches them only through us, and end when this process ends,
however that happens.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType

from visavis.heap import with_huge_pages
from visavis.keeper import Keeper, NotKept
from visavis.watchdog import Limits, Watchdog

STOP_LIMIT_S = 5.0
DEFAULT_LIMITS = Limits()
# How long a worker may take to be back before the next one is started afresh, and how often we look.
BACK_LIMIT_S = 60.0
BACK_LOOK_S = 0.25
REMEDY = "its own message is above, and `visavis doctor` looks for the cause"


def start_worker(command: list[str], name: str, watchdog: Watchdog | None = None) -> subprocess.Popen[bytes]:
    """Start a worker that ends with us.

    Raises:
        OSError: it cannot be started now.
    """
    own = ["--name", name, "--die-with-parent", str(os.getpid())]
    environment = with_huge_pages(os.environ)
    if watchdog:
        environment = watchdog.listen(environment)
    return subprocess.Popen(command + own, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)


class Supervisor:
    """`count` processes of `command`, each with `--name worker-N`, alive while the block runs.

    Args:
        command: what to start, without `--name` and `--die-with-parent`.
        count: how many, at first.
        folder: where workers give signs of life, which nobody else may enter; without it nobody listens.
        stop_limit_s: how long workers that end together may take to finish after SIGTERM before they are killed.
        limits: how long one may be silent before it is killed.
    """

    def __init__(
        self,
        command: list[str],
        count: int,
        folder: Path | None = None,
        *,
        stop_limit_s: float = STOP_LIMIT_S,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._command, self._count, self._folder = command, count, folder
        self._stop_limit_s, self._limits = stop_limit_s, limits
        self._lock = threading.Lock()
        self._keepers: list[Keeper] = []
        self._ended = False

    def __enter__(self) -> Supervisor:
        try:
            self.resize(self._count)
        except NotKept:
            self.resize(0)
            raise
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

        Raises:
            NotKept: there are no threads for so many; as many as there are go on.
        """
        with self._lock:
            if self._ended:
                return
            self._count, self._command = count, command or self._command
            surplus, self._keepers = self._keepers[count:], self._keepers[:count]
            try:
                for number in range(len(self._keepers) + 1, count + 1):
                    self._keepers.append(self._keeper(number))
            except NotKept:
                self._count = len(self._keepers)
                raise
            for keeper in surplus:
                keeper.stop()
            until_s = time.monotonic() + self._stop_limit_s  # for all of them: who asked waits
            for keeper in surplus:
                keeper.end(max(0.0, until_s - time.monotonic()))

    def pids(self) -> dict[int, int]:
        """The process ids of the workers that run now, by number."""
        with self._lock:
            found = {number: keeper.pid() for number, keeper in enumerate(self._keepers, 1)}
        return {number: pid for number, pid in found.items() if pid}

    def renew(self, connected: Callable[[], set[tuple[str, int]]], stop: threading.Event) -> None:
        """Start every worker afresh, each when the one before is back, so that the others serve meanwhile.

        Args:
            connected: asks the daemon which workers it has: their names, of which a worker that joined may have one
                too, and their numbers there.
            stop: ends the waiting for the next one.
        """
        with self._lock:
            keepers = list(self._keepers)
        for keeper in keepers:
            if stop.is_set():
                return
            before = connected()
            keeper.restart()
            limit_s = time.monotonic() + BACK_LIMIT_S
            while not any(name == keeper.name for name, _ in connected() - before) and time.monotonic() < limit_s:
                if keeper.stopped() or stop.wait(BACK_LOOK_S):
                    break

    def _keeper(self, number: int) -> Keeper:
        name = f"worker-{number}"
        watchdog = Watchdog(self._folder / f"life-{number}", self._limits) if self._folder else None
        return Keeper(name, partial(self._start, name, watchdog), REMEDY, watchdog=watchdog)

    def _start(self, name: str, watchdog: Watchdog | None) -> subprocess.Popen[bytes]:
        return start_worker(self._command, name, watchdog)
