# SPDX-License-Identifier: Apache-2.0
"""Processes that are stopped and go on: to everybody else they hang."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """Let a process do nothing while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Freezable:
    """A program of which we have the process, while it runs."""

    _process: subprocess.Popen[bytes] | None

    def freeze(self) -> None:
        """Let it neither answer nor go."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
