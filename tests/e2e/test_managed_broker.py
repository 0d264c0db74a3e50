# SPDX-License-Identifier: Apache-2.0
"""The broker that `visavis run` starts lives exactly as long as `visavis run`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from visavis.broker import BrokerFailed, managed_broker

from tests.e2e.brokers import is_open, publish
from tests.ports import free_port
from tests.waiting import HANG_S, until

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
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(port), str(tmp_path)], env=environment)
    try:
        until(lambda: is_open(port), "the broker does not listen")
        assert len(named(tmp_path)) > 1, "the test does not see the broker's processes"
        owner.send_signal(how)
        owner.wait(HANG_S)
        until(lambda: not is_open(port), "the broker outlives its owner")
        until(lambda: not named(tmp_path), lambda: f"these processes are left behind: {named(tmp_path)}")
    finally:
        owner.kill()
        for left in named(tmp_path):
            os.kill(int(left), signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_broker_that_dies_is_started_again_on_its_port(
    tmp_path: Path, how: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with managed_broker(port, tmp_path):
        os.kill(program(tmp_path), how)
        until(lambda: "the broker ended with" in caplog.text, "nothing was said")
        until(lambda: is_open(port), "it does not come back")
    until(lambda: not named(tmp_path), lambda: f"these processes are left behind: {named(tmp_path)}")
    assert not is_open(port)


def test_what_the_broker_had_to_keep_is_there_when_it_comes_back(tmp_path: Path) -> None:
    port = free_port()
    with managed_broker(port, tmp_path):
        assert_kept_over_a_restart(port, tmp_path)


# Starts what follows where the system has no user mosquitto.
NO_USER = """
grep -v ^mosquitto: /etc/passwd >"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
shift
exec "$@"
"""


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root's mosquitto becomes another user: run the tests as root for this"
)
def test_where_there_is_no_user_mosquitto_it_keeps_that_too(tmp_path: Path) -> None:
    port = free_port()
    command = ["unshare", "-m", "sh", "-ec", NO_USER, "sh", str(tmp_path)]
    owner = subprocess.Popen([*command, sys.executable, "-c", OWNER, str(port), str(tmp_path)])
    try:
        until(lambda: is_open(port), "the broker does not listen")
        assert_kept_over_a_restart(port, tmp_path)
    finally:
        owner.terminate()
        owner.wait(HANG_S)


def assert_kept_over_a_restart(port: int, folder: Path) -> None:
    publish(port, "door", "open", "-r", "-q", "1")
    first = program(folder)
    os.kill(first, signal.SIGTERM)
    until(lambda: program(folder) not in (0, first) and is_open(port), "it does not come back")
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", "door", "-C", "1", "-W", "10"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "open\n"


def test_a_broker_that_ends_at_start_is_no_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mosquitto").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "mosquitto").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(BrokerFailed, match="ended with 7"), managed_broker(free_port(), tmp_path):
        pytest.fail("it was taken for one that runs")
    until(lambda: not named(tmp_path), lambda: f"these processes are left behind: {named(tmp_path)}")


def program(folder: Path) -> int:
    """The process that is mosquitto itself; 0 while there is none."""
    found = subprocess.run(["pgrep", "-f", f"^[^ ]*mosquitto -c {folder}"], capture_output=True, text=True, check=False)
    return int(found.stdout or 0)


def named(folder: Path) -> list[str]:
    """The processes that have `folder` in their command line."""
    return subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout.split()
