# SPDX-License-Identifier: Apache-2.0
"""The broker that `visavis run` starts lives exactly as long as `visavis run`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.brokers import is_open
from tests.e2e.conftest import free_port
from tests.waiting import until

OWNER = """
import sys, threading
from pathlib import Path
from visavis.broker import managed_broker
from visavis.signals import stop_on_signals
with stop_on_signals() as stop, managed_broker(int(sys.argv[1]), Path(sys.argv[2])):
    stop.wait()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_broker_ends_with_its_owner_however_that_ends(tmp_path: Path, how: signal.Signals) -> None:
    port = free_port()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(port), str(tmp_path)])
    try:
        until(lambda: is_open(port), "the broker does not listen", 15)
        assert len(named(tmp_path)) > 1, "the test does not see the broker's processes"
        owner.send_signal(how)
        owner.wait(15)
        until(lambda: not is_open(port), "the broker outlives its owner", 15)
        until(lambda: not named(tmp_path), lambda: f"these processes are left behind: {named(tmp_path)}", 15)
    finally:
        owner.kill()
        for left in named(tmp_path):
            os.kill(int(left), signal.SIGKILL)


def named(folder: Path) -> list[str]:
    """The processes that have `folder` in their command line."""
    return subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout.split()
