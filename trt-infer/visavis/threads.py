# SPDX-License-Identifier: Apache-2.0
"""Threads that the system may refuse, as it refuses files and memory."""

from __future__ import annotations

import errno
import threading

# What to do when it does.
MORE_THREADS = "let this user, or the service or container around it, have more processes"


def start(thread: threading.Thread) -> None:
    """Start a new thread.

    Raises:
        OSError: this user, or the service or container around it, may have no more.
    """
    try:
        thread.start()
    except RuntimeError as error:  # Python has no kind of its own for that
        raise OSError(errno.EAGAIN, f"no more threads or processes are allowed, {error}") from error
