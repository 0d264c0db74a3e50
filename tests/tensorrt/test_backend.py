# SPDX-License-Identifier: Apache-2.0
"""The backend with everything real but the GPU: order of calls, buffers, faults. See on_gpu.py for the rest."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from visavis import worker
from visavis.backends import cuda_driver, load_detector, tensorrt
from visavis.backends.tensorrt import TensorRt
from visavis.detections import Frame, sendable
from visavis.engines.cache import Here, engine_for, find
from visavis.engines.key import Gpu
from visavis.engines.note import note_path
from visavis.engines.note_gen import Note
from visavis.engines.rewrite import for_many_pictures
from visavis.engines.vault import Vault
from visavis.errors import DetectorError, DetectorLost, EngineRefused, GpuUnusable, ModelError
from visavis.models.cache import prepared_model
from visavis.pictures import letterboxed
from visavis.ring_memory import Device
from visavis.settings import DetectorSettings, WorkerSettings

from tests.tensorrt import core
from tests.tensorrt.double.pycuda import driver as cuda
from tests.tensorrt.gpu_double import OLD, DriverDouble, TensorRtDouble
from tests.tensorrt.test_changeover import hellos
from tests.unit.face_pictures import gocv_pictures
from tests.waiting import HANG_S, until

WIDTH, HEIGHT = 320, 256
# One frame: up, one graph, wait. Nothing after the wait.
ONE_FRAME = ["memcpy_htod_async", "cuGraphLaunch", "synchronize"]
OUTPUTS = 4


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> DriverDouble:
    made = DriverDouble()
    monkeypatch.setattr(cuda_driver, "load_driver", lambda: made)
    return made


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DetectorSettings:
    folder = tmp_path_factory.mktemp("cache")
    return DetectorSettings(backend="tensorrt", input_width=WIDTH, input_height=HEIGHT, cache_dir=folder)


@pytest.fixture
def auto(settings: DetectorSettings, tmp_path: Path) -> DetectorSettings:
    """On a machine where no engine was built yet."""
    return replace(settings, backend="auto", cache_dir=tmp_path)


@pytest.fixture
def module(trt: Any, settings: DetectorSettings) -> TensorRtDouble:
    return TensorRtDouble(trt, prepared_model(settings.model, WIDTH, HEIGHT, settings.cache_dir).content)


@pytest.fixture
def gpu(module: TensorRtDouble, driver: DriverDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with TensorRT, pycuda and a GPU."""
    cuda.reset()
    monkeypatch.setattr(tensorrt, "modules", lambda: (module, cuda))


@pytest.fixture
def detector(gpu: None, settings: DetectorSettings) -> TensorRt:
    made = TensorRt(settings)
    made.warm_up()
    cuda.calls.clear()
    return made


def face(mirrored: bool = False) -> Frame:
    """A picture with one face."""
    picture = letterboxed(gocv_pictures()["face.jpg"], (WIDTH, HEIGHT))[0]
    return np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture


def test_it_finds_the_faces_that_onnxruntime_finds(detector: TensorRt, settings: DetectorSettings) -> None:
    expected = load_detector(replace(settings, backend="onnxruntime", threads=1)).detect(face())
    found = detector.detect(face())
    assert expected.size > 0
    assert sendable(found, 100) == found.tobytes()
    np.testing.assert_allclose(found["score"], expected["score"], atol=1e-5)
    np.testing.assert_allclose(found["x1"], expected["x1"], atol=1e-3)


def test_one_frame_is_one_copy_one_launch_and_one_wait(detector: TensorRt) -> None:
    detector.detect(face())
    detector.detect(face())
    assert cuda.calls == ONE_FRAME * 2


def test_a_worker_has_one_stream(gpu: None, settings: DetectorSettings) -> None:
    before = set(cuda.Stream.all)
    detector = TensorRt(settings)
    detector.warm_up()
    detector.detect(face())
    assert len(set(cuda.Stream.all) - before) == 1


def test_the_slot_may_be_written_as_soon_as_the_answer_is_there(detector: TensorRt) -> None:
    frame = face()
    expected = detector.detect(frame.copy())
    found = detector.detect(frame)
    assert all(not stream.waiting for stream in cuda.Stream.all.values()), "work is left that reads the slot"
    frame.fill(0)
    np.testing.assert_array_equal(found, expected)


def test_an_answer_is_not_changed_by_the_next_one(detector: TensorRt) -> None:
    first = detector.detect(face())
    kept = first.copy()
    detector.detect(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    np.testing.assert_array_equal(first, kept)


def test_no_view_of_a_frame_is_kept(detector: TensorRt) -> None:
    frame = face()
    holders = sys.getrefcount(frame)
    detector.detect(frame)
    assert sys.getrefcount(frame) == holders


@pytest.mark.parametrize(
    "refused", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch"]
)
def test_a_driver_that_makes_no_graph_is_asked_step_by_step(
    gpu: None, driver: DriverDouble, settings: DetectorSettings, refused: str
) -> None:
    driver.refuse.add(refused)
    detector = TensorRt(settings)
    detector.warm_up()
    expected = detector.detect(face())
    cuda.calls.clear()
    found = detector.detect(face())
    assert cuda.calls == ["memcpy_htod_async", "execute_async_v3", *["memcpy_dtoh_async"] * OUTPUTS, "synchronize"]
    assert found.size > 0
    np.testing.assert_array_equal(found, expected)


def test_a_recording_that_fails_is_ended_all_the_same(driver: DriverDouble) -> None:
    cuda.reset()
    assert cuda_driver.record(driver, cuda.Stream().handle, lambda: False) is None
    assert cuda.calls == ["cuStreamBeginCapture_v2", "cuStreamEndCapture"]


def test_a_network_that_cannot_be_recorded_runs_without(gpu: None, settings: DetectorSettings) -> None:
    cuda.faults["memcpy_dtoh_async while recording"] = "operation not permitted when stream is capturing"
    detector = TensorRt(settings)
    assert cuda.calls.count("cuStreamEndCapture") == 1
    assert detector.detect(face()).size > 0
    assert "cuGraphLaunch" not in cuda.calls


@pytest.fixture
def many(gpu: None, module: TensorRtDouble, settings: DetectorSettings) -> TensorRt:
    module.model = for_many_pictures(module.model)
    made = TensorRt(replace(settings, batch=4))
    made.warm_up()
    cuda.calls.clear()
    return made


def test_several_pictures_are_one_run_and_each_gets_its_own_faces(many: TensorRt) -> None:
    frames = [face(), np.zeros((HEIGHT, WIDTH, 3), np.uint8), face(mirrored=True)]
    together = many.detect_many(frames)
    assert cuda.calls.count("execute_async_v3") == 1
    assert [found.size > 0 for found in together] == [True, False, True]
    for found, frame in zip(together, frames, strict=True):
        np.testing.assert_allclose(found["x1"], many.detect(frame)["x1"], atol=1e-3)


def test_the_shape_is_told_only_when_it_changes(many: TensorRt) -> None:
    many.detect_many([face()] * 3)
    many.detect_many([face()] * 3)
    many.detect(face())
    assert [call for call in cuda.calls if call.startswith("set_input_shape")] == [
        "set_input_shape 3",
        "set_input_shape 1",
    ]


@pytest.mark.parametrize("frames", [[], [face()] * 5, [np.zeros((32, 32, 3), np.uint8)]], ids=["none", "five", "small"])
def test_what_the_engine_does_not_take_is_refused_before_the_gpu_sees_it(many: TensorRt, frames: list[Frame]) -> None:
    with pytest.raises(DetectorError, match=f"takes 1 to 4 of {WIDTH}x{HEIGHT}"):
        many.detect_many(frames)
    assert cuda.calls == []


@pytest.mark.parametrize("call", ["memcpy_htod_async", "synchronize"])
def test_a_failure_of_the_gpu_is_the_end_of_the_detector(detector: TensorRt, call: str) -> None:
    cuda.faults[call] = "an illegal memory access was encountered"
    with pytest.raises(DetectorLost, match=r"the GPU failed while centerface ran, .*illegal memory access.*dmesg"):
        detector.detect(face())


def test_a_network_that_does_not_start_is_the_end_too(
    gpu: None, driver: DriverDouble, settings: DetectorSettings
) -> None:
    driver.refuse.add("cuGraphLaunch")
    detector = TensorRt(settings)
    cuda.faults["execute"] = "refused"
    with pytest.raises(DetectorLost, match="could not start the network"):
        detector.detect(face())


def test_systemd_waits_for_a_worker_that_builds(
    gpu: None, settings: DetectorSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        TensorRt(replace(settings, cache_dir=tmp_path))
        assert ear.recv(100).startswith(b"EXTEND_TIMEOUT_USEC=")


@pytest.mark.parametrize(
    "built_s", [0, 4e9, None], ids=["before the machine started", "while the clock was ahead", "since then"]
)
def test_a_worker_builds_again_what_a_new_driver_refuses_and_nothing_else(
    built_s: float | None, gpu: None, module: TensorRtDouble, settings: DetectorSettings, tmp_path: Path
) -> None:
    own, here = replace(settings, cache_dir=tmp_path), Here(trt=module, gpu=Gpu("Double", (8, 7)), cache_dir=tmp_path)
    wanted = tensorrt.wanted_engine(own)
    built = engine_for(wanted, here, tensorrt.LoggedProgress())
    Vault(built.path.parent).seal(built.path.name, msgspec.json.encode(built.record), built.plan + OLD)
    if built_s is None:  # by this driver: it would be no other one
        with pytest.raises(EngineRefused, match="TensorRT cannot load"):
            TensorRt(own)
        return
    os.utime(built.path, (built_s, built_s))
    assert TensorRt(own).detect(face()).size == 1
    kept = find(wanted, here)
    assert kept is not None
    assert not kept.plan.endswith(OLD)


@pytest.mark.parametrize("call", ["mem_alloc", "pagelocked_empty", "create_execution_context"])
def test_a_gpu_that_is_full_is_a_reason_to_use_something_else(gpu: None, settings: DetectorSettings, call: str) -> None:
    cuda.faults[call] = "out of memory"
    with pytest.raises(ModelError, match="use fewer workers"):
        TensorRt(settings)


def test_auto_never_waits_for_a_build(gpu: None, auto: DetectorSettings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        detector = load_detector(auto)
    assert detector.name == "onnxruntime"
    assert "no fp16 engine of centerface for Double (sm_87) is built yet" in caplog.text


def test_auto_takes_tensorrt_once_there_is_an_engine(gpu: None, module: TensorRtDouble, auto: DetectorSettings) -> None:
    here = Here(trt=module, gpu=Gpu("Double", (8, 7)), cache_dir=auto.cache_dir)
    engine_for(tensorrt.wanted_engine(auto), here, tensorrt.LoggedProgress())
    detector = load_detector(auto)
    assert detector.name == "tensorrt"
    assert detector.model_id == "centerface"


def test_auto_tells_why_it_does_not_use_its_engine_and_tries_again(
    gpu: None, module: TensorRtDouble, auto: DetectorSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(trt=module, gpu=Gpu("Double", (8, 7)), cache_dir=auto.cache_dir)
    engine_for(tensorrt.wanted_engine(auto), here, tensorrt.LoggedProgress())
    path, stop = tmp_path / "frames.sock", threading.Event()
    note = note_path(path)
    settings = WorkerSettings(socket=path, detector=replace(auto, engine_note=note))
    monkeypatch.setattr(worker, "TRY_AGAIN_S", 3)
    cuda.faults["create_execution_context"] = "out of memory"
    with hellos(path) as daemon:
        with pytest.raises(GpuUnusable, match="the GPU has no memory for centerface"):
            worker.run(settings, threading.Event())
        assert daemon.models == ["centerface@onnxruntime"]
        told = msgspec.json.decode(note.read_bytes(), type=Note)
        assert (told.state, told.error) == (
            "failed",
            "the GPU has no memory for centerface: use fewer workers, or fp16",
        )
        cuda.faults.clear()
        next_one = threading.Thread(target=worker.run, args=(settings, stop))
        next_one.start()
        try:
            until(lambda: daemon.models[1:], "it serves again")
        finally:
            stop.set()
            next_one.join(HANG_S)
    assert daemon.models[1] == "centerface@tensorrt"
    assert not note.exists()


def test_a_machine_without_a_gpu_says_so_and_auto_goes_on(
    gpu: None, settings: DetectorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_TEST_GPU", "none")
    with pytest.raises(ModelError, match=r"no NVIDIA GPU can be used here, cuInit failed.*nvidia-smi"):
        TensorRt(settings)
    assert load_detector(replace(settings, backend="auto")).name == "onnxruntime"


def test_a_real_runtime_without_a_driver_says_why(
    trt: Any, gpu: None, settings: DetectorSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt, "modules", lambda: (trt, cuda))
    with pytest.raises(ModelError, match=r"TensorRT cannot load .*\.engine, .*(CUDA|Cuda)"):
        TensorRt(settings)


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"precision": "fp8"}, "choose from auto, fp32, fp16, int8"), ({"input_width": 0}, "one size of picture")],
)
def test_settings_that_no_engine_can_have_are_refused(
    gpu: None, settings: DetectorSettings, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        TensorRt(replace(settings, **changed))


def test_auto_makes_no_noise_where_nothing_is_installed(
    settings: DetectorSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert load_detector(replace(settings, backend="auto")).name == "onnxruntime"
    assert caplog.text == ""


def test_without_tensorrt_it_says_what_to_install(settings: DetectorSettings) -> None:
    with pytest.raises(ModelError, match=r"cannot be used here, No module named .*python3-libnvinfer.*tensorrt-cu13"):
        TensorRt(settings)


@pytest.mark.parametrize("attributes", [{}, {99: 1}, {113: 1}])
def test_a_ring_is_read_directly_only_where_the_gpu_can(
    detector: TensorRt, driver: DriverDouble, attributes: dict[int, int]
) -> None:
    driver.attributes = attributes
    assert not detector.share_ring(np.zeros(1 << 20, np.uint8))
    assert driver.registered == []


def test_frames_in_a_shared_ring_are_not_copied_first(detector: TensorRt, driver: DriverDouble) -> None:
    driver.attributes = {99: 1, 113: 1}
    ring = np.zeros(2 << 20, np.uint8)
    assert isinstance(detector, Device), "a worker would not ask it"
    assert detector.share_ring(ring)
    assert driver.registered == [(ring.ctypes.data, ring.nbytes, 8)]
    slot = ring[4096 : 4096 + WIDTH * HEIGHT * 3].reshape(HEIGHT, WIDTH, 3)
    slot[:] = face()
    expected = detector.detect(face())
    detector._session._pictures.fill(0)
    np.testing.assert_array_equal(detector.detect(slot), expected)
    assert not detector._session._pictures.any(), "it went through the page-locked buffer"
    detector.unshare_ring(ring)
    assert driver.registered == []
    np.testing.assert_array_equal(detector.detect(slot), expected)
    assert detector._session._pictures.any()


def test_of_several_pictures_those_in_a_shared_ring_go_straight_up(many: TensorRt, driver: DriverDouble) -> None:
    expected = many.detect_many([face(), face(mirrored=True), face()])
    driver.attributes = {99: 1, 113: 1}
    ring = np.zeros(2 << 20, np.uint8)
    assert many.share_ring(ring)
    slot = ring[4096 : 4096 + WIDTH * HEIGHT * 3].reshape(HEIGHT, WIDTH, 3)
    slot[:] = face(mirrored=True)
    many._session._pictures.fill(0)
    for found, wanted in zip(many.detect_many([face(), slot, face()]), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert [bool(picture.any()) for picture in many._session._pictures] == [True, False, True, False]


@pytest.mark.usefixtures("real_core")
def test_the_context_is_taken_once_and_given_back_at_the_end_of_the_process() -> None:
    program = (
        "import atexit; from pycuda import driver as cuda\n"
        "atexit.register(lambda: print(cuda.calls))\n"
        "from visavis.backends.tensorrt import gpu_here\n"
        "gpu_here(cuda); print(gpu_here(cuda))"
    )
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, env=core.environment(), capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [
        "Double (sm_87)",
        str(["init", "retain_primary_context", "push", "init", "pop"]),
    ]
