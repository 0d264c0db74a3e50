# SPDX-License-Identifier: Apache-2.0
"""A process that hangs when its parent is killed: nobody is left who would end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import until

# Its main thread hears no signal, as in a library that never comes back.
HANGING = """
import os, signal, sys, threading
from visavis.parent import die_with_parent
die_with_parent(os.getppid(), 0.2)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(os.getpid(), flush=True)
threading.Event().wait()
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_a_child_that_hangs_ends_soon_after_its_parent(has_pidfd: bool) -> None:
    before = "" if has_pidfd else "import os\ndef pidfd_open(_): raise OSError\nos.pidfd_open = pidfd_open\n"
    command = [sys.executable, "-c", PARENT, before + HANGING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        until(lambda: not Path(f"/proc/{child}").exists() or is_zombie(child), "the child is an orphan")
        with pytest.raises(ChildProcessError):  # it was never ours
            os.waitpid(child, os.WNOHANG)


def is_zombie(process: int) -> bool:
    """Ended, and not yet buried by whoever has taken orphans in."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
