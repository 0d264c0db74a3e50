# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

import pytest

from tests.waiting import HANG_S

# A signal may arrive while the main thread is inside Event.wait and holds its lock.
PROGRAM = f"""
import signal
from visavis.signals import stop_on_signals
with stop_on_signals() as stop:
    with stop._cond:
        signal.raise_signal(signal.SIGTERM)
    assert stop.wait({HANG_S}), "the signal was lost"
"""


def test_a_signal_in_the_middle_of_a_wait_ends_it() -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], timeout=2 * HANG_S, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail("the handler waits for the lock that its own thread holds")
    assert done.returncode == 0, done.stderr


# A terminal that is closed sends SIGHUP; nohup has let its command ignore that.
UNDER_NOHUP = f"""
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from visavis.signals import stop_on_signals
with stop_on_signals() as stop:
    signal.raise_signal(signal.SIGHUP)
    assert not stop.wait(0.2), "it ends with the terminal"
    signal.raise_signal(signal.SIGTERM)
    assert stop.wait({HANG_S}), "it ends with nothing any more"
"""


def test_what_nohup_started_outlives_the_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", UNDER_NOHUP], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


AS_CTRL_C = """
import signal
from visavis.signals import stopped_as_by_ctrl_c
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with stopped_as_by_ctrl_c():
    signal.raise_signal(signal.SIGHUP)
try:
    with stopped_as_by_ctrl_c():
        signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt:
    print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""


def test_what_nohup_started_is_stopped_by_sigterm_alone_and_only_where_it_is_watched() -> None:
    done = subprocess.run([sys.executable, "-c", AS_CTRL_C], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
