# SPDX-License-Identifier: Apache-2.0
"""A process that does not outlive the one that started it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time

from visavis.threads import start

PR_SET_PDEATHSIG = 1
# How long after its parent a process may take to end by itself. One that hangs has nobody left who would end it.
GRACE_S = 30.0


def die_with_parent(parent: int, grace_s: float = GRACE_S) -> None:
    """Ask the kernel to send us SIGTERM when our parent ends, and end at once if `parent` is no longer it.

    Args:
        parent: the process id of the parent, as the parent knows it.
        grace_s: what SIGTERM does not end by then ends all the same.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(0)
    start(threading.Thread(target=_end_after, args=(parent, grace_s), name="parent", daemon=True))


def _end_after(parent: int, grace_s: float) -> None:
    try:
        process = os.pidfd_open(parent)
        select.select([process], [], [])  # readable when it has ended
        os.close(process)
    except OSError:  # before Linux 5.3, or it has ended already
        while os.getppid() == parent:
            time.sleep(1)
    time.sleep(grace_s)
    os._exit(1)
