# SPDX-License-Identifier: Apache-2.0
"""How workers come to the GPU and how they leave it: real worker processes, a real build, a double of the GPU."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from visavis import ring_gen as wire
from visavis import worker
from visavis.config_gen import Config, Detector, Worker
from visavis.detections import Detections, Frame, no_detections
from visavis.engines.first_build import FirstBuild, build_command, build_note
from visavis.engines.note_gen import Note
from visavis.engines.vault import Vault
from visavis.errors import DetectorLost
from visavis.gpu_losses import MOST_LOST, Record
from visavis.models.cache import prepared_model
from visavis.settings import WorkerSettings
from visavis.supervisor import Supervisor
from visavis.watchdog import Limits
from visavis.worker_command import worker_command

from tests import waiting
from tests.tensorrt import core
from tests.tensorrt.gpu_double import OLD
from tests.unit.daemon_double import HEIGHT, INSTANCE, WIDTH, DaemonDouble, Memory, frame, ring_add
from tests.waiting import HANG_S

SIZE = (64, 64)
# On a real GPU an engine takes a minute.
until = partial(waiting.until, limit_s=600 if core.REAL_GPU else 120)
double_only = pytest.mark.skipif(core.REAL_GPU, reason="a real GPU does not fail when it is told to")


class Hellos:
    """A daemon that lends nothing: it writes down who comes."""

    def __init__(self, path: Path) -> None:
        self.models: list[str] = []
        self.flags: list[int] = []
        self._peers: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for peer in (self._listener, *self._peers):
            peer.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(peer)
            said = peer.recv(4096)
            if said:
                peer.send(welcome())
                hello = wire.Hello.unpack(said)
                self.flags.append(hello.flags)
                self.models.append(hello.model)


def welcome() -> bytes:
    return wire.Welcome(
        major=wire.MAJOR,
        minor=wire.MINOR,
        worker_id=1,
        instance_id=INSTANCE,
        credit=1,
        max_detections=100,
        lease_ms=wire.LEASE_MS,
        max_result_bytes=wire.MAX_RESULT_BYTES,
        now_ns=time.monotonic_ns(),
    ).pack()


@contextmanager
def hellos(path: Path) -> Iterator[Hellos]:
    made = Hellos(path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def machine(real_core: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with TensorRT, pycuda and the double of a GPU for every process that starts; a cache of its own."""
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path))
    prepared = prepared_model("centerface", *SIZE, tmp_path)
    network = tmp_path / "network.onnx"
    network.write_bytes(prepared.content)
    for name, value in core.environment(VISAVIS_TEST_NETWORK=str(network)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(core.HERE / "alias"))
    return tmp_path


def config(folder: Path, backend: Literal["auto", "tensorrt", "onnxruntime", "fake"] = "auto") -> Config:
    socket_path = str(folder / "frames.sock")
    return Config(detector=Detector(backend=backend, input=SIZE, threads=1), worker=Worker(socket=socket_path))


def build_of(folder: Path) -> list[str]:
    words = build_command(config(folder))
    assert words is not None
    return words


def test_detection_does_not_wait_for_the_build_and_changes_over(machine: Path) -> None:
    workers_command = worker_command(config(machine))
    with hellos(machine / "frames.sock") as daemon, Supervisor(workers_command, 1) as workers:
        until(lambda: daemon.models, "the first worker is there")
        assert daemon.models == ["centerface@onnxruntime"]
        renew = partial(workers.renew, lambda: {("worker-1", len(daemon.models))})
        with FirstBuild(build_of(machine), build_note(config(machine)), renew):
            until(lambda: len(daemon.models) > 1, "a worker came after the build")
        assert daemon.models == ["centerface@onnxruntime", "centerface@tensorrt"]


def test_an_engine_that_is_there_changes_nothing(machine: Path) -> None:
    subprocess.run(build_of(machine), check=True, capture_output=True)
    called = threading.Event()
    with FirstBuild(build_of(machine), build_note(config(machine)), lambda _stop: called.set()) as first:
        first._thread.join()
    assert not called.is_set()


@double_only
def test_an_engine_that_an_update_of_the_driver_made_useless_is_built_again(machine: Path) -> None:
    subprocess.run(build_of(machine), check=True, capture_output=True)
    (engine,) = (machine / "engines").glob("*.engine")
    vault = Vault(engine.parent)
    record, plan = vault.unseal(engine.name) or (b"", b"")
    vault.seal(engine.name, record, plan + OLD)
    note = build_note(config(machine)).path
    with hellos(machine / "frames.sock") as daemon, Supervisor(worker_command(config(machine)), 1) as workers:
        until(lambda: daemon.models, "the first worker is there")
        assert "TensorRT cannot load" in msgspec.json.decode(note.read_bytes(), type=Note).error
        renew = partial(workers.renew, lambda: {("worker-1", len(daemon.models))})
        with FirstBuild(build_of(machine), build_note(config(machine)), renew):
            until(lambda: daemon.models[-1] == "centerface@tensorrt", "a worker came after the build")
        assert daemon.models[0] == "centerface@onnxruntime"
    assert not note.exists()


@double_only
def test_a_build_that_fails_is_said_and_nothing_else_happens(
    machine: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_TEST_GPU", "none")
    called = threading.Event()
    with FirstBuild(build_of(machine), build_note(config(machine)), lambda _stop: called.set()) as first:
        first._thread.join()
    assert not called.is_set()
    assert "detection goes on without: no NVIDIA GPU can be used here" in caplog.text
    told = msgspec.json.decode(build_note(config(machine)).path.read_bytes(), type=Note)
    assert (told.state, told.model) == ("failed", "centerface")
    assert told.error.startswith("no NVIDIA GPU can be used here")


def test_a_build_that_cannot_even_be_started_is_said_too(tmp_path: Path) -> None:
    note = build_note(config(tmp_path))
    with FirstBuild([str(tmp_path / "nothing")], note, lambda _stop: None) as first:
        first._thread.join()
    told = msgspec.json.decode(note.path.read_bytes(), type=Note)
    assert told.error.startswith("the build cannot be started, ")


def test_a_build_for_which_there_is_no_thread_is_said_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    note = build_note(config(tmp_path))
    monkeypatch.setattr(threading.Thread, "start", refused)
    with FirstBuild(["true"], note, lambda _stop: None):
        pass
    told = msgspec.json.decode(note.path.read_bytes(), type=Note)
    assert "the build cannot be started" in told.error


def test_the_end_of_the_appliance_ends_a_build(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with FirstBuild(sleeper, build_note(config(tmp_path)), lambda _stop: None) as first:
        until(lambda: first._process is not None, "it runs")
        process = first._process
    assert process is not None
    assert process.returncode == -15


def test_a_worker_that_must_use_the_gpu_tells_of_its_build_before_it_serves(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_TEST_BUILD_GATE", str(machine / "gate"))
    note = build_note(config(machine)).path
    with (
        hellos(machine / "frames.sock") as daemon,
        Supervisor(worker_command(config(machine, "tensorrt")), 1),
    ):
        until(note.exists, "the build is told")
        assert daemon.models == []
        (machine / "gate").touch()
        until(lambda: daemon.models, "the worker serves")
        assert daemon.models == ["centerface@tensorrt"]
        assert not note.exists()
        [losses] = note.parent.glob("*.gpu.json")
        assert msgspec.json.decode(losses.read_bytes(), type=Record).ready_s, "a good run of it would not be known"


def test_an_engine_that_cannot_be_kept_serves_all_the_same(machine: Path, capfd: pytest.CaptureFixture[str]) -> None:
    full = ["prlimit", "--fsize=100000", *worker_command(config(machine, "tensorrt"))]
    with hellos(machine / "frames.sock") as daemon, Supervisor(full, 1):
        until(lambda: daemon.models, "the worker serves")
        assert daemon.models == ["centerface@tensorrt"]
    assert f"cannot keep engine {machine}" in capfd.readouterr().err


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt", "fake"])
def test_only_auto_builds_beside_the_workers(
    machine: Path, backend: Literal["tensorrt", "onnxruntime", "fake"]
) -> None:
    assert build_command(config(machine, backend)) is None


def test_a_machine_without_tensorrt_builds_nothing(tmp_path: Path) -> None:
    assert build_command(config(tmp_path)) is None


@double_only
def test_a_worker_whose_gpu_keeps_failing_goes_on_without(
    machine: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(build_of(machine), check=True, capture_output=True)
    monkeypatch.setenv("VISAVIS_TEST_GPU", "dies")
    caplog.set_level(logging.INFO)
    with hellos(machine / "frames.sock") as daemon, Supervisor(worker_command(config(machine)), 1):
        until(lambda: daemon.models, "a worker serves")
        assert daemon.models == ["centerface@onnxruntime"]
    assert caplog.text.count("worker-1 ended with 3") == MOST_LOST
    assert "worker-1 failed on the GPU 3 times in a row: it goes on with onnxruntime" in capfd.readouterr().err


@double_only
def test_it_does_so_whoever_starts_it(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a service manager does that knows nothing of GPUs: the same command again and again."""
    subprocess.run(build_of(machine), check=True, capture_output=True)
    monkeypatch.setenv("VISAVIS_TEST_GPU", "dies")
    command = [*worker_command(config(machine, "tensorrt")), "--name", "gpu@1"]
    with hellos(machine / "frames.sock") as daemon:
        codes = [subprocess.run(command, check=False, capture_output=True).returncode for _ in range(MOST_LOST)]
        assert (codes, daemon.models) == ([DetectorLost.exit_code] * MOST_LOST, [])
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as serving:
            until(lambda: daemon.models, "the fourth serves")
            serving.terminate()
            said = serving.communicate()[1]
    assert daemon.models == ["centerface@onnxruntime"]
    assert daemon.flags[0] & wire.HelloFlag.FALLBACK
    assert "gpu@1 failed on the GPU 3 times in a row" in said
    # It ended as it was told to: the next start tries the GPU again.
    assert subprocess.run(command, check=False, capture_output=True).returncode == DetectorLost.exit_code


def lend_a_frame(daemon: DaemonDouble) -> None:
    """One of the size that the engine takes."""
    width, height = SIZE
    said = ring_add()
    said.width, said.height = SIZE
    memory = Memory(said)
    daemon.add(said, memory)
    plane, none = wire.Plane(0, width * height * 3, width * 3, height), wire.Plane(0, 0, 0, 0)
    planes = (plane, none, none, none)
    daemon.send(frame(1, width=width, height=height, payload_bytes=width * height * 3, planes=planes).pack())
    memory.close()


@double_only
def test_a_worker_whose_gpu_keeps_hanging_goes_on_without(
    machine: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subprocess.run(build_of(machine), check=True, capture_output=True)
    monkeypatch.setenv("VISAVIS_TEST_GPU", "hangs")
    path = machine / "frames.sock"
    with Supervisor(worker_command(config(machine)), 1, machine, limits=Limits(serving_s=5)):
        for _ in range(MOST_LOST):
            with DaemonDouble(path) as daemon:
                lend_a_frame(daemon)
                assert daemon.peer.recv(1) == b"", "it answered"
        with hellos(path) as last:
            until(lambda: last.models, "the fourth serves")
        assert last.models == ["centerface@onnxruntime"]
        assert last.flags[0] & wire.HelloFlag.FALLBACK
    assert caplog.text.count("worker-1 ended with -6") == MOST_LOST


class Dying:
    """A detector whose GPU fails on the second frame."""

    name, model_id, precision, input_size = "tensorrt", "centerface", "fp16", (WIDTH, HEIGHT)

    def __init__(self) -> None:
        self._seen = 0

    def warm_up(self) -> None:
        """Nothing to warm."""

    def detect(self, frame: Frame) -> Detections:
        self._seen += 1
        if self._seen == 2:
            raise DetectorLost("the GPU failed")
        return no_detections()


def test_the_frame_that_a_failing_gpu_had_is_given_back_before_the_worker_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "load_detector", lambda _settings, _missed: Dying())
    memory, ended, stop = Memory(ring_add()), [], threading.Event()

    def run() -> None:
        try:
            worker.run(WorkerSettings(socket=tmp_path / "frames.sock"), stop)
        except DetectorLost as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    with DaemonDouble(tmp_path / "frames.sock") as daemon:
        thread.start()
        daemon.add(ring_add(), memory)
        for lease_id, status in ((1, wire.Status.OK), (2, wire.Status.FAILED)):
            daemon.send(frame(lease_id).pack())
            assert daemon.result().status == status
        thread.join(HANG_S)
        stop.set()
    thread.join(HANG_S)
    memory.close()
    assert ended, "the worker went on"
    assert "centerface on tensorrt is lost, DetectorLost: the GPU failed" in str(ended[0])
    assert ended[0].exit_code == 3
