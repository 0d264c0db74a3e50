# SPDX-License-Identifier: Apache-2.0
"""The worker says HELLO under the name of what infers, and the appliance tells the world."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from visavis import ring_gen as wire
from visavis.backends import kserve as kserve_backend
from visavis.ring import Identity, connect
from visavis.settings import WorkerSettings
from visavis.systemd import SignOfLife
from visavis.worker import Renamed, run_once

from tests.e2e.clients import metrics
from tests.e2e.conftest import RunningAppliance
from tests.kserve.conftest import MODEL, PATIENT_MS, SIZE, Asking, asked
from tests.kserve.servers import KServeServer, Served
from tests.unit.daemon_double import DaemonDouble, Memory, frame, ring_add
from tests.unit.test_worker import worker
from tests.waiting import HANG_S, until

pytestmark = pytest.mark.timeout(600)  # limits within a test add up to more than the usual one

WIDTH, HEIGHT = SIZE
PICTURE_BYTES = WIDTH * HEIGHT * 3
PATIENT_LEASE_MS = 60_000  # which leaves the server all of its deadline
APPLIANCE = """
[device]
id = "box"
[web]
listen = "127.0.0.1:{{http_port}}"
[mqtt]
url = "managed"
[detector]
input = [320, 256]
workers = 2
backend = "kserve"
kserve_url = "{url}"
kserve_deadline_ms = 1000
[gateway]
deadline_ms = 2000
[[camera]]
id = "demo"
source = "demo:"
size = [640, 480]
"""


def lease(number: int, slot: int = 0, waited_ns: int = 0, lease_ms: int = wire.LEASE_MS) -> bytes:
    planes = (wire.Plane(0, PICTURE_BYTES, WIDTH * 3, HEIGHT),) + (wire.Plane(0, 0, 0, 0),) * 3
    made = frame(number, slot=slot, width=WIDTH, height=HEIGHT, payload_bytes=PICTURE_BYTES, planes=planes)
    made.captured_ns -= waited_ns
    made.lease_ms = lease_ms
    return made.pack()


@pytest.fixture
def ring() -> Iterator[tuple[wire.RingAdd, Memory]]:
    said = ring_add()
    said.slot_stride = -(-PICTURE_BYTES // wire.ALIGN) * wire.ALIGN
    said.file_size = wire.DATA_OFFSET + said.slot_count * said.slot_stride
    said.width, said.height = WIDTH, HEIGHT
    memory = Memory(said)
    yield said, memory
    memory.close()


def hello(daemon: DaemonDouble) -> tuple[str, int]:
    assert daemon.peer
    assert daemon.hello is not None
    return daemon.hello.model, daemon.hello.flags


def test_the_worker_introduces_itself_again_when_the_server_is_lost_and_when_it_is_back(
    kserve: Served, ring: tuple[wire.RingAdd, Memory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kserve_backend, "OPEN_MS", PATIENT_MS)
    told = WorkerSettings(socket=tmp_path / "frames.sock", name="tester", detector=asked(kserve.url()))
    first = DaemonDouble(tmp_path / "frames.sock")
    with worker(told):
        with first as daemon:
            assert hello(daemon) == (f"{MODEL}@kserve", 0)
            assert daemon.next()[0] == wire.ServerState(losses=0, local_frames=0)
            daemon.add(*ring)
            daemon.send(lease(1, lease_ms=PATIENT_LEASE_MS))
            assert daemon.result().status == wire.Status.OK
            kserve.freeze()
            kserve.mood.write_text("fail")
            daemon.send(lease(2, lease_ms=PATIENT_LEASE_MS))
            daemon.send(lease(3, slot=1))  # crosses the worker's leaving: still answered
            kserve.thaw()
            said = [daemon.next()[0] for _ in range(5)]
            kinds = sorted(type(one).__name__ for one in said)
            assert kinds == ["Credit", "Result", "Result", "ServerState", "ServerState"]
            assert all(one.status == wire.Status.OK for one in said if isinstance(one, wire.Result))
            assert ends(daemon), "the worker stayed under its old name"
        kserve.mood.write_text("fail")
        with DaemonDouble(tmp_path / "frames.sock") as daemon:
            assert hello(daemon) == (f"{MODEL}@onnxruntime", wire.HelloFlag.FP32)
            assert daemon.next()[0] == wire.ServerState(losses=1, local_frames=2)
            daemon.add(*ring)
            daemon.send(lease(1))
            assert daemon.result().status == wire.Status.OK
            assert daemon.next()[0] == wire.ServerState(losses=1, local_frames=3)
            kserve.mood.write_text("well")
            until(lambda: ends(daemon), "the worker stayed under its old name", 60)
        with DaemonDouble(tmp_path / "frames.sock") as daemon:
            assert hello(daemon) == (f"{MODEL}@kserve", 0)
            assert daemon.next()[0] == wire.ServerState(losses=1, local_frames=3)


def test_the_server_infers_a_picture_that_waited_for_long_in_the_daemon(
    kserve: Served, asking: Asking, ring: tuple[wire.RingAdd, Memory], tmp_path: Path
) -> None:
    detector, stop = asking(kserve.url()), threading.Event()
    me = Identity("tester", f"{MODEL}@kserve")
    with DaemonDouble(tmp_path / "frames.sock") as daemon, connect(daemon.path, me, stop) as client:
        daemon.add(*ring)
        daemon.send(lease(1, waited_ns=5 * 10**9, lease_ms=PATIENT_LEASE_MS))
        until = Renamed(detector, stop, SignOfLife())
        answering = threading.Thread(target=run_once, args=(client, detector, until))
        answering.start()
        try:
            assert isinstance(daemon.next()[0], wire.ServerState)
            assert daemon.result().status == wire.Status.OK
        finally:
            stop.set()
            answering.join()
    assert (detector.remote_frames, detector.local_frames) == (1, 0)


def ends(daemon: DaemonDouble) -> bool:
    """Whether the worker closes the connection, whatever it says before."""
    daemon.peer.settimeout(HANG_S)
    try:
        while daemon.peer.recv(1 << 17):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True


@pytest.fixture
def server(exported: Path, tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "server").mkdir()
    with KServeServer(tmp_path / "server", {MODEL: exported}) as served:
        yield served


@pytest.fixture
def appliance(server: Served, tmp_path: Path) -> Iterator[RunningAppliance]:
    running = RunningAppliance(tmp_path, APPLIANCE.format(url=server.url("grpc")))
    yield running
    if running.process.poll() is None:
        running.stop()


def backends(appliance: RunningAppliance) -> list[str]:
    return [worker["backend"] for worker in appliance.status()["workers"]]


def servers(appliance: RunningAppliance) -> dict[str, dict[str, int]]:
    """How the server of each worker did, as the status tells it once both have told the daemon."""

    def both() -> dict[str, dict[str, int]] | None:
        workers = appliance.status()["workers"]
        told = {worker["name"]: worker["server"] for worker in workers if "server" in worker}
        return told if len(told) == 2 else None

    found: dict[str, dict[str, int]] = until(both, lambda: f"only {appliance.status()['workers']}")
    return found


def assert_counted(appliance: RunningAppliance, before: dict[str, dict[str, int]]) -> None:
    """Both workers have lost their server since, and inferred here; status and metrics say how often."""
    for what in ("losses", "local_frames"):
        figures = metrics(appliance, f"visavis_server_{what}_total")
        for name, server in servers(appliance).items():
            # The status is the later one, and both go on counting.
            assert before[name][what] < figures[f'worker="{name}"'] <= server[what]


def inferred(appliance: RunningAppliance) -> int:
    return int(appliance.camera("demo")["frames"]["inferred"])


@pytest.mark.slow
def test_status_and_info_tell_what_infers_and_no_frame_is_lost(appliance: RunningAppliance, server: Served) -> None:
    def log() -> str:
        return f"{backends(appliance)}: {appliance.log.read_text()[-3_000:]}"

    def go_on(frames: int = 10) -> None:
        wanted = inferred(appliance) + frames
        until(lambda: inferred(appliance) >= wanted, log, 60)

    appliance.wait_ready()
    until(lambda: backends(appliance) == ["kserve"] * 2, log, 60)
    go_on()
    before = servers(appliance)
    server.kill()
    until(lambda: backends(appliance) == ["onnxruntime"] * 2, log, 60)
    go_on()
    assert_counted(appliance, before)
    info: dict[str, Any] = {}
    until(lambda: info.update(latest(appliance)) or info["backend"] == "onnxruntime", lambda: str(info))
    server.start()
    until(lambda: backends(appliance) == ["kserve"] * 2, log, 90)
    go_on()
    assert_counted(appliance, before)
    frames = appliance.camera("demo")["frames"]
    assert frames["captured"] == frames["inferred"] + frames["in_flight"] + sum(frames["dropped"].values())
    assert frames["dropped"]["abandoned"] == 0, log()
    assert "is lost (loss 1)" in appliance.log.read_text()
    assert appliance.stop() == 0


def latest(appliance: RunningAppliance) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(appliance.messages("visavis/box/info", 1)[0])
    return found
