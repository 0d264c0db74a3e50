# SPDX-License-Identifier: Apache-2.0
"""Our units under the systemd of Debian 12 and 13, in systemd-nspawn: who is started again, and who is not.

Small programs stand in for ours. What ours end with is tested beside them; whole packages are in test_package.py.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from tests.repo.test_laws import ROOT
from tests.vm.container import Container, missing_for_containers
from tests.vm.inside import retry
from tests.vm.lab import DEBIAN_12, DEBIAN_13, Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
DAEMON, WORKER, SOCKET = "visavis-capture.service", "visavis-infer@1.service", "visavis-frames.socket"
ENDS_WITH, STARTS = "/etc/visavis/ends-with", "/var/lib/visavis/starts"
TELL = """#!/usr/bin/python3
import os, pathlib, socket, sys, time
def tell(words):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(words, os.environ["NOTIFY_SOCKET"])
"""
# Ends at once where it is told to; else it holds whoever comes to the socket.
STAND_IN_DAEMON = f"""{TELL}
with open("{STARTS}", "a") as starts:
    starts.write("started\\n")
told = pathlib.Path("{ENDS_WITH}")
if told.exists():
    sys.exit(int(told.read_text()))
frames = socket.socket(fileno=3)
frames.settimeout(5)
tell(b"READY=1")
held = []
while True:
    tell(b"WATCHDOG=1")
    try:
        held.append(frames.accept())
    except TimeoutError:
        pass
"""
# Comes to the socket, and again whenever it is let go.
STAND_IN_WORKER = f"""{TELL}
tell(b"READY=1")
while True:
    tell(b"WATCHDOG=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as frames:
        frames.settimeout(5)
        try:
            frames.connect("/run/visavis/frames.sock")
            while frames.recv(1):
                pass
        except TimeoutError:
            pass
        except OSError:
            time.sleep(0.1)
"""
INSTALL = f"""
tar -C /usr -xf /root/usr.tar && systemd-sysusers && systemd-tmpfiles --create visavis.conf
mkdir -p /etc/visavis && touch /etc/visavis/config.toml && systemctl daemon-reload
systemctl enable -q visavis.target {SOCKET} {DAEMON} {WORKER} && systemctl start visavis.target
"""


def usr() -> bytes:
    """What the package would put below /usr, as a tar archive."""
    units = {f"lib/systemd/system/{file.name}": file.read_bytes() for file in (ROOT / "systemd").glob("visavis*")}
    folders = ("sysusers.d/visavis.conf", "tmpfiles.d/visavis.conf")
    rest = {f"lib/{name}": (ROOT / "systemd" / name).read_bytes() for name in folders}
    programs = {"bin/visavis-capture": STAND_IN_DAEMON.encode(), "bin/visavis": STAND_IN_WORKER.encode()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in {**units, **rest, **programs}.items():
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(content), 0o755 if name in programs else 0o644
            archive.addfile(about, io.BytesIO(content))
    return packed.getvalue()


# Both within the time of `make test-vm` would be too much.
SYSTEMS = [pytest.param(DEBIAN_12, marks=pytest.mark.vm_long), DEBIAN_13]


@pytest.fixture(scope="module", params=SYSTEMS, ids=lambda board: board.suite)
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    missing = missing_for_containers()
    assert not missing, f"containers need {', '.join(missing)}: `make test-vm` as root"
    with Container(request.param, "units", tmp_path_factory.mktemp("units")) as machine:
        subprocess.run([*machine.ssh(), "cat >/root/usr.tar"], input=usr(), check=True)
        machine.run(INSTALL)
        yield machine


def is_state(machine: Machine, state: str) -> None:
    """Wait for a state of the daemon's unit."""
    found = f'[ "$(systemctl show -P ActiveState {DAEMON})" = {state} ]'
    machine.run(retry(found, 20, f"systemctl status {DAEMON} {SOCKET}"))


def starts_within_5_s(machine: Machine) -> int:
    """How often the daemon is started from now on."""
    return int(machine.run(f": >{STARTS}; sleep 5; wc -l <{STARTS}"))


def mend(machine: Machine) -> None:
    """What an owner does: the settings, and a start."""
    machine.run(f"rm -f {ENDS_WITH} && systemctl start {DAEMON}")
    is_state(machine, "active")
    assert machine.run(f"systemctl is-active {WORKER} {SOCKET}").split() == ["active"] * 2


def test_a_daemon_that_refuses_its_settings_fails_at_once_and_stays_so_though_a_worker_waits(device: Machine) -> None:
    device.run(f"echo 78 >{ENDS_WITH}")
    refused = device.try_to_run(f"systemctl restart {DAEMON}")
    assert refused.returncode != 0
    is_state(device, "failed")
    assert starts_within_5_s(device) == 0
    assert device.run(f"systemctl is-active {WORKER}").strip() == "active"
    mend(device)


@pytest.mark.parametrize("status", [1, 2])
def test_whatever_else_ends_it_is_tried_again_each_second(status: int, device: Machine) -> None:
    device.run(f"echo {status} >{ENDS_WITH}; systemctl kill -s KILL {DAEMON}")
    assert starts_within_5_s(device) > 1
    mend(device)


def test_a_daemon_that_is_stopped_stays_so_though_a_worker_waits(device: Machine) -> None:
    device.run(f"systemctl stop {DAEMON}")
    assert starts_within_5_s(device) == 0
    is_state(device, "inactive")
    mend(device)


def test_a_worker_waits_through_a_restart_of_the_daemon_and_the_socket_may_be_started_anew(device: Machine) -> None:
    before = device.run(f"systemctl show -P MainPID {WORKER}")
    device.run(f"systemctl restart {DAEMON}")
    assert device.run(f"systemctl show -P MainPID {WORKER}") == before
    device.run(f"systemctl restart {SOCKET}")
    is_state(device, "active")
    assert device.run(f"systemctl is-active {WORKER} {SOCKET}").split() == ["active"] * 2
