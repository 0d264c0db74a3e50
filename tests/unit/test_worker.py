# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace
from visavis import ring_gen as wire
from visavis import systemd
from visavis import worker as worker_module
from visavis.backends import BACKENDS, NEVER_NS, Waiting
from visavis.backends.fake import Fake, face_of
from visavis.detections import Detections, Frame
from visavis.errors import DetectorBroken, ModelError, Refused, VisavisError
from visavis.models.imported import checked_name
from visavis.ring import model_at
from visavis.settings import DetectorSettings, WorkerSettings
from visavis.worker import run

from tests.unit.daemon_double import DaemonDouble, Memory, frame, ring_add
from tests.unit.detector_conformance import four_faces
from tests.unit.small_models import write_model
from tests.waiting import HANG_S, until


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = Memory(ring_add())
    yield made
    made.close()


def settings(folder: Path, model: str = "fake", credit: int = 1) -> WorkerSettings:
    detector = DetectorSettings(
        model=model, backend="fake", fake_service_ms=0, input_width=64, input_height=48, batch=credit
    )
    # A window in which every frame that a test sends comes; a full batch does not wait for its end.
    window_ms = 60_000 if credit > 1 else 0
    return WorkerSettings(
        socket=folder / "frames.sock", name="tester", credit=credit, batch_window_ms=window_ms, detector=detector
    )


class Running:
    """A worker in a thread of this process."""

    def __init__(self, told: WorkerSettings) -> None:
        self.stop = threading.Event()
        self.error: Exception | None = None
        self._told = told
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def ended(self) -> Exception | None:
        self._thread.join(HANG_S)
        assert not self._thread.is_alive(), "the worker did not end"
        return self.error

    def _run(self) -> None:
        try:
            run(self._told, self.stop)
        except VisavisError as error:
            self.error = error


@contextmanager
def worker(told: WorkerSettings) -> Iterator[Running]:
    running = Running(told)
    try:
        yield running
    finally:
        running.stop.set()
        running.ended()


def test_a_worker_answers_frames_until_it_is_told_to_stop(tmp_path: Path, memory: Memory) -> None:
    memory.fill(0, 100)
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path)) as running:
        daemon.add(ring_add(), memory)
        for lease_id in range(1, 50):
            daemon.send(frame(lease_id).pack())
            message, packet = daemon.next()
            assert isinstance(message, wire.Result)
            assert (message.lease_id, message.status) == (lease_id, wire.Status.OK)
            assert message.flags == 0
            assert wire.detections_of(packet)["score"][0] == pytest.approx(0.5 + 100 / 512)
        running.stop.set()
        assert daemon.next()[0] == wire.Credit(credit=0)
        assert running.ended() is None


@pytest.mark.parametrize("stream", ["door", "@clients-full"])
def test_a_camera_for_which_the_daemon_has_another_input_is_answered_and_told_once(
    stream: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told, said = settings(tmp_path), ring_add()
    told = replace(told, detector=replace(told.detector, input_width=32, input_height=32))
    said.stream_name = stream
    with closing(Memory(said)) as memory, DaemonDouble(tmp_path / "frames.sock") as daemon, worker(told):
        daemon.add(said, memory)
        for lease_id in (1, 2, 3):
            daemon.send(frame(lease_id).pack())
            message, _ = daemon.next()
            assert isinstance(message, wire.Result)
            assert message.status == wire.Status.OK
    words = "pictures of door are 64x48 for the daemon and 32x32 for this worker (detector.input)"
    assert caplog.text.count(words) == (stream == "door")


def test_a_worker_says_hello_with_model_and_backend(tmp_path: Path) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path)):
        assert daemon.peer
        assert daemon.hello is not None
        assert (daemon.hello.name, daemon.hello.model) == ("tester", "fake@fake")


def test_a_worker_with_a_long_model_says_its_backend_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = write_model(tmp_path / f"{'retrained-' * 4}.onnx")
    told = settings(tmp_path, str(long))
    detector = replace(told.detector, backend="onnxruntime", input_height=64, cache_dir=tmp_path)
    told = replace(told, detector=detector)
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(told):
        assert daemon.peer
        assert daemon.hello is not None
        assert daemon.hello.model == "retrained-retrained-@onnxruntime"
    assert "call model retrained-retrained-retrained-retrained- retrained-retrained-" in caplog.text


def test_hello_has_room_for_every_name_that_import_takes() -> None:
    for backend in BACKENDS:
        name = checked_name("m" * 20)
        hello = wire.Hello(1, 0, 0, 1, 0, "tester", model_at(name, backend))
        assert wire.Hello.unpack(hello.pack()).model == f"{name}@{backend}"
    assert model_at("é" * 16, "onnxruntime") == f"{'é' * 10}@onnxruntime"
    assert model_at("x" * 10 + "é" * 16, "kserve") == f"{'x' * 10}{'é' * 7}@kserve"


@pytest.mark.parametrize(
    ("precision", "fallback", "flags"),
    [("", False, 0), ("fp32", False, 1), ("fp16", False, 2), ("int8", False, 4), ("fp32", True, 9)],
)
def test_a_worker_says_in_which_number_format_it_runs_and_whether_the_gpu_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, fallback: bool, flags: int
) -> None:
    monkeypatch.setattr(Fake, "precision", precision)
    told = replace(settings(tmp_path), fallback=fallback)
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(told):
        assert daemon.peer
        assert daemon.hello is not None
        assert daemon.hello.flags == flags


@pytest.mark.parametrize("fault", ["raise", "nan"])
def test_a_frame_that_fails_is_said_to_have_failed_and_the_next_one_is_answered(
    tmp_path: Path, memory: Memory, fault: str
) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path, f"fake:{fault}@2")):
        daemon.add(ring_add(), memory)
        seen = []
        for lease_id in (1, 2, 3):
            daemon.send(frame(lease_id).pack())
            result = daemon.result()
            seen.append((result.status, result.flags))
        assert seen == [(wire.Status.OK, 0), (wire.Status.FAILED, 0), (wire.Status.OK, 0)]


class Served(Fake, Waiting):
    """A detector whose server is lost at the second frame."""

    losses = local_frames = 0

    def detect_until(self, frame: Frame, limit_ns: int) -> Detections:
        assert limit_ns < NEVER_NS
        self.losses, self.local_frames = min(self._seen, 1), self._seen
        return self.detect(frame)


def test_the_daemon_is_told_how_the_server_did_and_the_next_daemon_at_once(
    tmp_path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "fake", Served)
    with worker(settings(tmp_path)):
        with DaemonDouble(tmp_path / "frames.sock") as daemon:
            assert daemon.next()[0] == wire.ServerState(losses=0, local_frames=0)
            daemon.add(ring_add(), memory)
            daemon.send(frame(1).pack())
            assert daemon.result().status == wire.Status.OK
            for lease_id, here in ((2, 1), (3, 2)):
                daemon.send(frame(lease_id).pack())
                assert daemon.result().status == wire.Status.OK
                assert daemon.next()[0] == wire.ServerState(losses=1, local_frames=here)
        with DaemonDouble(tmp_path / "frames.sock") as daemon:
            assert daemon.next()[0] == wire.ServerState(losses=1, local_frames=2)


def test_a_worker_without_a_server_tells_of_none(tmp_path: Path, memory: Memory) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path)):
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        assert isinstance(daemon.next()[0], wire.Result)


def test_a_worker_whose_sessions_are_short_lives_for_the_watchdog(
    tmp_path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.setblocking(False)
        said: list[str] = []

        def told_again() -> bool:
            serve_briefly(tmp_path, memory)
            said.extend(heard(ear))
            return len(said) > 2

        with worker(settings(tmp_path)):
            until(told_again, lambda: f"no sign of life: {said}")
    assert said[0].startswith(systemd.READY)
    assert set(said[1:]) == {systemd.ALIVE}


def serve_briefly(folder: Path, memory: Memory) -> None:
    """One frame, as a daemon that then goes away."""
    with DaemonDouble(folder / "frames.sock") as daemon:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        assert daemon.result().status == wire.Status.OK
        time.sleep(0.1)


def heard(ear: socket.socket) -> Iterator[str]:
    with suppress(BlockingIOError):
        while True:
            yield ear.recv(4096).decode()


class Reading(Fake):
    """A detector whose device reads rings where they lie."""

    shared: list[Frame]
    ended: list[int]

    def share_ring(self, memory: Frame) -> bool:
        self.shared.append(memory)
        return True

    def unshare_ring(self, memory: Frame) -> None:
        self.shared[:] = [kept for kept in self.shared if kept is not memory]
        self.ended.append(int(memory[wire.DATA_OFFSET]))  # still mapped


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> type[Reading]:
    Reading.shared, Reading.ended = [], []
    monkeypatch.setitem(BACKENDS, "fake", Reading)
    return Reading


def test_a_device_reads_a_ring_from_its_coming_to_its_going(
    tmp_path: Path, memory: Memory, reading: type[Reading]
) -> None:
    memory.fill(0, 7)
    told = replace(settings(tmp_path), register_ring=True)
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(told):
        daemon.add(ring_add(), memory)
        daemon.add(ring_add(2), memory2 := Memory(ring_add(2)))
        memory2.fill(0, 9)
        daemon.send(frame(1).pack())
        assert daemon.result().status == wire.Status.OK
        assert [int(ring[wire.DATA_OFFSET]) for ring in reading.shared] == [7, 9]
        assert not any(ring.flags.writeable for ring in reading.shared)
        daemon.send(wire.RingRetire(ring_id=1, reason=0).pack())
        daemon.send(frame(2, ring_id=2).pack())
        assert daemon.result().status == wire.Status.OK
        assert reading.ended == [7]
    memory2.close()
    assert (reading.ended, reading.shared) == ([7, 9], [])


def test_unless_told_a_device_reads_none(tmp_path: Path, memory: Memory, reading: type[Reading]) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path)):
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        assert daemon.result().status == wire.Status.OK
    assert (reading.shared, reading.ended) == ([], [])


def test_what_comes_in_the_last_moment_is_answered_before_a_worker_goes(
    tmp_path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path)) as running:
        daemon.add(ring_add(), memory)
        daemon.send(frame(1).pack())
        assert daemon.result().lease_id == 1  # or it may be told to stop before it has begun

        def silence_ends_too_late(*_: object) -> bool:
            daemon.send(frame(2).pack())
            return False

        monkeypatch.setattr("visavis.ring._readable", silence_ends_too_late)
        running.stop.set()
        assert isinstance(daemon.next()[0], wire.Credit)
        assert daemon.result().lease_id == 2
        assert running.ended() is None


def results(daemon: DaemonDouble, memory: Memory, count: int) -> list[tuple[int, int, int]]:
    """Lease, status and batch of each answer when `count` frames come together."""
    daemon.add(ring_add(), memory)
    for lease_id in range(1, count + 1):
        daemon.send(frame(lease_id).pack())
    answers = [daemon.result() for _ in range(count)]
    assert [answer.flags for answer in answers] == [0] * count
    return [(answer.lease_id, answer.status, answer.batch) for answer in answers]


def test_frames_that_come_together_are_inferred_together(tmp_path: Path, memory: Memory) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path, credit=3)):
        assert results(daemon, memory, 3) == [(n, wire.Status.OK, 3) for n in (1, 2, 3)]
        assert daemon.hello is not None
        assert daemon.hello.credit == 3


def test_a_batch_that_fails_is_done_again_one_by_one(tmp_path: Path, memory: Memory) -> None:
    with (
        DaemonDouble(tmp_path / "frames.sock") as daemon,
        worker(settings(tmp_path, "fake:raise@2,raise@4", credit=3)),
    ):
        # The second picture fails in the batch; alone the first is the detector's third picture, the second its fourth.
        assert results(daemon, memory, 3) == [
            (1, wire.Status.OK, 1),
            (2, wire.Status.FAILED, 1),
            (3, wire.Status.OK, 1),
        ]


def test_one_answer_of_a_batch_that_may_not_be_sent_leaves_the_others(tmp_path: Path, memory: Memory) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path, "fake:nan@2", credit=3)):
        assert results(daemon, memory, 3) == [
            (1, wire.Status.OK, 3),
            (2, wire.Status.FAILED, 3),
            (3, wire.Status.OK, 3),
        ]


def test_three_failures_in_a_row_end_the_worker(tmp_path: Path, memory: Memory) -> None:
    with (
        DaemonDouble(tmp_path / "frames.sock") as daemon,
        worker(settings(tmp_path, "fake:raise@1,raise@3+")) as running,
    ):
        daemon.add(ring_add(), memory)
        for lease_id in range(1, 6):
            daemon.send(frame(lease_id).pack())
            daemon.result()
        assert isinstance(running.ended(), DetectorBroken)


def smaller(lease_id: int) -> wire.Frame:
    """A lease of a picture that is not of the network's size."""
    planes = (wire.Plane(0, 32 * 24 * 3, 32 * 3, 24),) + (wire.Plane(0, 0, 0, 0),) * 3
    return frame(lease_id, width=32, height=24, planes=planes)


def test_a_picture_of_another_size_is_inferred_in_its_own(tmp_path: Path, memory: Memory) -> None:
    memory.fill(0, 128)
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path)):
        daemon.add(ring_add(), memory)
        for lease, width in ((frame(1), 64), (smaller(2), 32), (frame(3), 64)):
            daemon.send(lease.pack())
            message, packet = daemon.next()
            assert isinstance(message, wire.Result)
            assert (message.status, message.flags) == (wire.Status.OK, 0)
            assert wire.detections_of(packet)["x2"][0] == width / 2


def test_pictures_of_other_sizes_in_a_batch_are_inferred_alone(tmp_path: Path, memory: Memory) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path, credit=3)):
        daemon.add(ring_add(), memory)
        for lease in (frame(1), smaller(2), frame(3)):
            daemon.send(lease.pack())
        answers = [daemon.result() for _ in range(3)]
        assert [(one.lease_id, one.status, one.batch) for one in answers] == [(n, wire.Status.OK, 1) for n in (1, 2, 3)]


def test_failures_on_other_sizes_do_not_end_the_worker(
    tmp_path: Path, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path, "fake:raise@2+")):
        daemon.add(ring_add(), memory)
        seen = []
        for lease in (*map(smaller, range(1, 8)), frame(8)):
            daemon.send(lease.pack())
            seen.append(daemon.result().status)
        assert seen == [wire.Status.OK, *[wire.Status.FAILED] * 6, wire.Status.OK]
    assert caplog.text.count("was not inferred") == 1, "a client may go on for a day"


def test_a_view_that_the_detector_keeps_is_reported_with_the_result(tmp_path: Path, memory: Memory) -> None:
    with DaemonDouble(tmp_path / "frames.sock") as daemon, worker(settings(tmp_path, "fake:leak@2")):
        daemon.add(ring_add(), memory)
        flags = []
        for slot, lease_id in ((0, 1), (1, 2), (2, 3), (1, 4)):
            daemon.send(frame(lease_id, slot=slot).pack())
            flags.append(daemon.result().flags)
        leaked = wire.ResultFlag.VIEW_LEAKED
        assert flags == [0, leaked, 0, leaked]


@pytest.mark.parametrize("answers", [False, True], ids=["too slow for its lease", "now and then in time"])
def test_a_worker_that_is_cut_off_time_and_again_says_little(
    answers: bool, tmp_path: Path, memory: Memory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RETRY_MOST_MS", 30)
    monkeypatch.setattr(worker_module, "AWAY_S", 60.0)
    caplog.set_level(logging.INFO)
    with worker(settings(tmp_path)):
        for _ in range(8):
            with DaemonDouble(tmp_path / "frames.sock") as daemon:
                assert daemon.peer
                if answers:
                    daemon.add(ring_add(), memory)
                    daemon.send(frame(1).pack())
                    assert daemon.result().status == wire.Status.OK
                daemon.hang_up()
    assert caplog.text.count("connected as worker 7") == 1
    assert "WARNING" not in caplog.text


def test_a_daemon_that_goes_for_good_is_told_though_it_had_come_back_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RETRY_MOST_MS", 30)
    caplog.set_level(logging.INFO)
    with worker(settings(tmp_path)):
        for _ in range(3):
            with DaemonDouble(tmp_path / "frames.sock") as daemon:
                assert daemon.peer
                daemon.hang_up()
        until(lambda: "trying again" in caplog.text, "nobody hears that the daemon is away")


def test_a_daemon_that_stays_away_is_a_warning_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "AWAY_S", 0.05)
    with worker(settings(tmp_path)):
        until(lambda: "nobody listens" in caplog.text, "the daemon's absence is told")
        threading.Event().wait(0.3)  # several more attempts
    assert caplog.text.count("nobody listens") == 1


@pytest.mark.parametrize("code", [wire.Refusal.VERSION, wire.Refusal.PEER_NOT_ALLOWED, wire.Refusal.MALFORMED])
def test_a_refusal_that_waiting_cannot_mend_ends_the_worker(tmp_path: Path, code: wire.Refusal) -> None:
    refusal = wire.Refuse(code=code, text="no").pack()
    with DaemonDouble(tmp_path / "frames.sock", answer=refusal), worker(settings(tmp_path)) as running:
        assert isinstance(running.ended(), Refused)


def test_a_worker_that_is_one_too_many_waits_for_a_place(tmp_path: Path) -> None:
    refusal = wire.Refuse(code=wire.Refusal.TOO_MANY_WORKERS, text="1 worker is connected").pack()
    with worker(settings(tmp_path)):
        with DaemonDouble(tmp_path / "frames.sock", answer=refusal) as full:
            assert full.peer
        with DaemonDouble(tmp_path / "frames.sock") as daemon:
            assert daemon.peer


@pytest.mark.parametrize("model", ["fake:explode@1", "fake:crash", "fake:crash@x"])
def test_a_fault_that_the_fake_does_not_know_is_refused(tmp_path: Path, model: str) -> None:
    with worker(settings(tmp_path, model)) as running:
        assert isinstance(running.ended(), ModelError)


def test_the_fake_finds_the_same_face_in_the_same_picture() -> None:
    assert face_of(four_faces()) == face_of(four_faces())
