# SPDX-License-Identifier: Apache-2.0
"""Runs a model on an NVIDIA GPU: TensorRT infers, pycuda holds memory and stream. The only door to both.

The way of a frame, in the order of this file: `TensorRt.detect_many` hands pictures to a `Session`, which copies them
into page-locked memory, sends them up, infers, fetches the outputs and waits; then the model's family decodes.

One worker has one stream in the device's primary context. A `TensorRt` is used on the thread that made it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.backends import NEVER_NS, Batching, cuda_driver
from visavis.detections import Detections, Frame
from visavis.engines.api import ICudaEngine, IExecutionContext, Runtime, TensorRT
from visavis.engines.by_hand import by_hand
from visavis.engines.cache import Engine, Here, Wanted, engine_for, find
from visavis.engines.complaints import Complaints
from visavis.engines.key import Gpu, Precision, Profile
from visavis.engines.note import EngineNote, Progress
from visavis.errors import DetectorError, DetectorLost, EngineRefused, ModelError
from visavis.families import FAMILIES
from visavis.models.cache import prepared_model
from visavis.settings import DetectorSettings
from visavis.systemd import LongStart

INSTALL = (
    "on a Jetson `sudo apt install python3-libnvinfer` and `pip install pycuda`,"
    " on another machine with an NVIDIA GPU `pip install tensorrt-cu13 pycuda`"
)
# The fastest that needs no calibration.
AUTOMATIC_PRECISION: Precision = "fp16"
PRECISIONS: dict[str, Precision] = {"auto": AUTOMATIC_PRECISION, "fp32": "fp32", "fp16": "fp16", "int8": "int8"}
LOG_EVERY = 0.1

Floats = npt.NDArray[np.float32]
Cuda = Any  # the module pycuda.driver

log = logging.getLogger(__name__)


class TensorRt(Batching):
    """A detector on the GPU.

    With backend "auto" it loads only an engine that is there: a build takes minutes, and onnxruntime serves meanwhile.
    With backend "tensorrt" it builds one first that is missing, or that another driver has made.

    Attributes:
        batch: how many pictures `detect_many` takes at most: those of the engine's profile.

    Raises:
        EngineRefused: there is an engine, but the GPU or TensorRT does not take it.
        ModelError: no TensorRT, no GPU, or no engine.
    """

    name = "tensorrt"

    def __init__(self, settings: DetectorSettings) -> None:
        trt, cuda = modules()
        gpu = gpu_here(cuda)
        wanted = wanted_engine(settings)
        here = Here(trt=trt, gpu=gpu, cache_dir=settings.cache_dir)
        engine, self._session = _serving(wanted, here, cuda, settings)
        self.model_id = wanted.prepared.name
        self.input_size = (settings.input_width, settings.input_height)
        self.precision = engine.record.key.precision
        self._least, self.batch = engine.record.key.profile.least, engine.record.key.profile.most
        self._score, self._iou = settings.score, settings.iou
        self._family = FAMILIES[wanted.prepared.family]
        self._cuda = cuda
        if settings.engine_note:
            _note(wanted, settings.engine_note).clear()  # whatever failed before does not any more

    def warm_up(self) -> None:
        """Run every number of pictures once, so that memory, kernels and graphs are there.

        Raises:
            DetectorLost: the GPU failed.
        """
        width, height = self.input_size
        grey = np.full((height, width, 3), 128, np.uint8)
        for count in range(self._least, self.batch + 1):
            self.detect_many([grey] * count)

    def detect(self, frame: Frame) -> Detections:
        """Find faces; see `Detector.detect`. When this returns, the GPU has read all of `frame`.

        Raises:
            DetectorError: another size than `input_size`.
            DetectorLost: the GPU failed; only a fresh process can use it again.
        """
        return self.detect_many([frame])[0]

    def detect_many(self, frames: Sequence[Frame], limit_ns: int = NEVER_NS) -> list[Detections]:
        """Find faces in pictures of `input_size`, however long it takes; otherwise as `detect`."""
        self._check(frames)
        try:
            outputs = self._session.infer(frames)
        except self._cuda.Error as error:
            raise DetectorLost(
                f"the GPU failed while {self.model_id} ran, {error}", "see `dmesg` and `visavis doctor`"
            ) from error
        return self._family.decode_batch(outputs, self.input_size, self._score, self._iou)

    def _check(self, frames: Sequence[Frame]) -> None:
        width, height = self.input_size
        shapes = {frame.shape for frame in frames}
        if shapes != {(height, width, 3)} or not self._least <= len(frames) <= self.batch:
            raise DetectorError(
                f"cannot infer {len(frames)} pictures of shapes {sorted(shapes)}",
                f"this engine takes {self._least} to {self.batch} of {width}x{height}",
            )

    def share_ring(self, memory: Frame) -> bool:
        """See `visavis.ring_memory.Device`; the log says which of the two it is."""
        shared = self._session.share(memory)
        how = "reads a ring where it lies" if shared else "cannot read a ring where it lies: its frames are copied"
        log.info("the GPU %s, %d MiB", how, memory.nbytes >> 20)
        return shared

    def unshare_ring(self, memory: Frame) -> None:
        """See `visavis.ring_memory.Device`."""
        self._session.unshare(memory)


class Session:
    """One engine, its buffers for the most pictures it takes, one stream.

    Args:
        trt, cuda: the modules.
        engine: sound, and for this TensorRT and GPU.

    Raises:
        ModelError: TensorRT cannot load it, or its input and outputs are not those of a prepared model.
        pycuda.driver.Error: the GPU failed.
    """

    def __init__(self, trt: TensorRT, cuda: Cuda, engine: Engine) -> None:
        self._cuda = cuda
        self._stream = cuda.Stream()
        self._driver = cuda_driver.load_driver()
        self._load = Load(trt, engine)
        self._engine: ICudaEngine = _taken(self._load, engine)
        self._context: IExecutionContext = self._engine.create_execution_context()
        if self._context is None:
            raise ModelError(f"the GPU has no memory for {engine.record.key.model}", "use fewer workers, or fp16")
        self._input = _checked_names(trt, self._engine, engine)
        self._outputs = engine.record.outputs
        self._shape = tuple(self._engine.get_tensor_shape(self._input))[1:]
        self._profile = engine.record.key.profile
        self._shared: list[Frame] = []
        self._allocate(self._profile.most)
        self._graph = self._recorded() if self._profile.least == self._profile.most else None

    def infer(self, frames: Sequence[Frame]) -> list[Floats]:
        """Run the pictures and wait.

        Returns:
            The outputs in the model's order, each (len(frames), channels, rows, columns); valid until the next call.

        Raises:
            pycuda.driver.Error: the GPU failed.
        """
        self._choose(len(frames))
        self._upload(frames)
        self._start(len(frames))
        self._stream.synchronize()
        return [self._host[name][: len(frames)] for name in self._outputs]

    def share(self, memory: Frame) -> bool:
        """Register `memory`; False when the GPU cannot read it directly."""
        if not cuda_driver.can_register(self._driver, 0) or not cuda_driver.register(self._driver, memory):
            return False
        self._shared.append(memory)
        return True

    def unshare(self, memory: Frame) -> None:
        """Forget `memory`."""
        kept = [ring for ring in self._shared if ring is not memory]
        if len(kept) < len(self._shared):
            self._shared = kept
            cuda_driver.unregister(self._driver, memory)

    def _allocate(self, most: int) -> None:
        self._chosen = 1
        self._choose(most)
        self._pictures = self._cuda.pagelocked_empty((most, *self._shape), np.uint8)
        self._device = {self._input: self._cuda.mem_alloc(self._pictures.nbytes)}
        self._host: dict[str, Floats] = {}
        for name in self._outputs:
            self._host[name] = self._cuda.pagelocked_empty(tuple(self._context.get_tensor_shape(name)), np.float32)
            self._device[name] = self._cuda.mem_alloc(self._host[name].nbytes)
        for name, memory in self._device.items():
            self._context.set_tensor_address(name, int(memory))

    def _choose(self, count: int) -> None:
        # An engine for one picture has a fixed shape and is never told.
        if count != self._chosen:
            self._context.set_input_shape(self._input, (count, *self._shape))
            self._chosen = count

    def _upload(self, frames: Sequence[Frame]) -> None:
        """Send each picture up: straight from a shared ring, else through page-locked memory.

        While one goes up, the next is copied.
        """
        address = int(self._device[self._input])
        for place, frame in zip(self._pictures, frames, strict=False):
            source = frame
            if not self._is_shared(frame):
                np.copyto(place, frame)
                source = place
            self._cuda.memcpy_htod_async(address, source, self._stream)
            address += place.nbytes

    def _is_shared(self, frame: Frame) -> bool:
        start = frame.ctypes.data
        return frame.flags.c_contiguous and any(
            ring.ctypes.data <= start and start + frame.nbytes <= ring.ctypes.data + ring.nbytes
            for ring in self._shared
        )

    def _recorded(self) -> cuda_driver.Graph | None:
        """Run once, since TensorRT sets itself up on its first run; then record what a run is."""
        most = self._profile.most
        self._start_plainly(most)
        self._stream.synchronize()
        try:
            return cuda_driver.record(self._driver, self._stream.handle, lambda: self._enqueue(most))
        except self._cuda.Error as error:
            log.info("this network cannot be a CUDA graph, %s", error)
            return None

    def _start(self, count: int) -> None:
        if self._graph is None or not self._graph.launch(self._stream.handle):
            self._graph = None
            self._start_plainly(count)

    def _start_plainly(self, count: int) -> None:
        if not self._enqueue(count):
            raise self._cuda.Error("TensorRT could not start the network")

    def _enqueue(self, count: int) -> bool:
        """Infer, and fetch the outputs; nothing has happened yet when this returns."""
        if not self._context.execute_async_v3(self._stream.handle):
            return False
        for name in self._outputs:
            self._cuda.memcpy_dtoh_async(self._host[name][:count], self._device[name], self._stream)
        return True


class Load:
    """TensorRT's answer to an engine, and what must live as long as that.

    Attributes:
        loaded: the engine as TensorRT has it; None where it does not take it.
        refusal: why it does not; "" where it does.

    Raises:
        ModelError: TensorRT cannot be used here.
    """

    def __init__(self, trt: TensorRT, engine: Engine) -> None:
        self._complaints = Complaints(trt)
        self._runtime: Runtime = self._complaints.start(trt.Runtime)
        self.loaded: ICudaEngine | None = self._runtime.deserialize_cuda_engine(engine.plan)
        self.refusal = self._complaints.sentence() if self.loaded is None else ""


class LoggedProgress:
    """Writes a line to the log at each tenth of a build, and lets systemd wait while it goes on."""

    def __init__(self) -> None:
        self._next = 0.0
        self._start = LongStart()

    def __call__(self, fraction: float, phase: str) -> bool:
        """See `Report`; never stops the build."""
        self._start.goes_on()
        if fraction >= self._next:
            log.info("building the engine: %d %%, %s", fraction * 100, phase)
            self._next = fraction + LOG_EVERY
        return True


def modules() -> tuple[TensorRT, Cuda]:
    """Import TensorRT and pycuda.

    Raises:
        ModelError: one is not installed, or cannot load its libraries.
    """
    try:
        import pycuda.driver as cuda  # noqa: PLC0415 (heavy, and missing on most machines)
        import tensorrt  # noqa: PLC0415
    except (ImportError, OSError) as error:
        raise ModelError(f"TensorRT cannot be used here, {error}", INSTALL) from error
    return tensorrt, cuda


def look() -> str:
    """Which TensorRT can be used on which GPU, said after both were tried.

    Raises:
        ModelError: one of them cannot be used.
    """
    trt, cuda = modules()
    gpu = gpu_here(cuda)
    complaints = Complaints(trt)
    complaints.start(trt.Runtime)
    return f"TensorRT {trt.__version__} on {gpu}"


def gpu_here(cuda: Cuda) -> Gpu:
    """Take the first GPU's primary context for this process, once, and say which GPU it is.

    Raises:
        ModelError: no driver, no GPU, or it is in use by somebody alone.
    """
    try:
        cuda.init()
        device = cuda.Device(0)
        if cuda.Context.get_current() is None:
            context = device.retain_primary_context()
            context.push()
            # pycuda ends the process with abort() when a context is left at its end.
            atexit.register(context.pop)
        return Gpu(device.name(), tuple(device.compute_capability()))
    except cuda.Error as error:
        raise ModelError(
            f"no NVIDIA GPU can be used here, {error}", "look at `nvidia-smi`, on a Jetson at `tegrastats`"
        ) from error


def wanted_engine(settings: DetectorSettings) -> Wanted:
    """The engine that these settings need.

    Raises:
        ModelError: the model cannot be prepared, or the settings name no such engine.
    """
    if settings.precision not in PRECISIONS:
        raise ModelError(f"no precision is called {settings.precision!r}", f"choose from {', '.join(PRECISIONS)}")
    width, height = settings.input_width, settings.input_height
    if not (width and height):
        raise ModelError("an engine is for one size of picture", "choose backend onnxruntime, or name a size")
    prepared = prepared_model(settings.model, width, height, settings.cache_dir, settings.family)
    profile = Profile(1, settings.batch, settings.batch)
    precision = PRECISIONS[settings.precision]
    return Wanted(prepared=prepared, precision=precision, profile=profile, by_hand=by_hand(settings))


def _ready(wanted: Wanted, here: Here) -> Engine:
    engine = find(wanted, here)
    if engine is None:
        raise ModelError(
            f"no {wanted.precision} engine of {wanted.prepared.name} for {here.gpu} is built yet",
            "`visavis engine build` does it; another backend serves meanwhile",
        )
    return engine


def _serving(wanted: Wanted, here: Here, cuda: Cuda, settings: DetectorSettings) -> tuple[Engine, Session]:
    """The engine, and what runs it."""
    kept = _ready(wanted, here) if settings.backend == "auto" else find(wanted, here)
    if kept is not None:
        try:
            return kept, _session(here, cuda, kept)
        except EngineRefused as error:
            if settings.backend == "auto" or not _of_another_driver(kept, here):
                raise
            log.warning("%s: it is built again", error.sentence)
    engine = _built(wanted, here, settings.engine_note, instead_of=kept)
    return engine, _session(here, cuda, engine)


def _session(here: Here, cuda: Cuda, engine: Engine) -> Session:
    with _as_refused(cuda, engine.record.key.model):
        return Session(here.trt, cuda, engine)


def _of_another_driver(engine: Engine, here: Here) -> bool:
    """Whether TensorRT refuses an engine from before this start of the machine, and another can be built.

    One that was built since then is of this driver: building it again at each start of each worker would not mend it.
    One from the future was built while the clock was wrong, nobody knows when. int8 cannot be built without pictures.
    """
    now_s = time.time()
    started_s = now_s - time.clock_gettime(time.CLOCK_BOOTTIME)
    since = started_s <= engine.path.stat().st_mtime <= now_s
    return not since and engine.record.key.precision != "int8" and bool(refusal(here.trt, engine))


def _built(wanted: Wanted, here: Here, note: Path | None, instead_of: Engine | None) -> Engine:
    refused = instead_of.plan if instead_of else None
    with Progress(_note(wanted, note) if note else None, LoggedProgress()) as report:
        # Detection comes first: an engine that cannot be kept serves until the worker ends. Another worker may have
        # built one meanwhile.
        return engine_for(wanted, here, report, must_keep=False, usable=lambda kept: kept.plan != refused)


def _note(wanted: Wanted, path: Path) -> EngineNote:
    return EngineNote(path, wanted.prepared.name, wanted.precision)


@contextlib.contextmanager
def _as_refused(cuda: Cuda, model: str) -> Iterator[None]:
    try:
        yield
    except cuda.Error as error:
        raise EngineRefused(f"the GPU cannot take {model}, {error}", "use fewer workers, or a smaller input") from error
    except ModelError as error:
        raise EngineRefused(error.sentence, error.remedy) from error


def refusal(trt: TensorRT, engine: Engine) -> str:
    """Why TensorRT does not take an engine, as after an update of the driver; "" when it does, or has no memory now.

    Raises:
        ModelError: TensorRT cannot be used here.
    """
    said = Load(trt, engine).refusal
    return "" if "memory" in said.lower() else said


def _taken(load: Load, engine: Engine) -> ICudaEngine:
    if load.loaded is None:
        raise ModelError(
            f"TensorRT cannot load {engine.path}, {load.refusal}",
            "if the GPU works, `visavis engine build` builds it again",
        )
    return load.loaded


def _checked_names(trt: TensorRT, loaded: ICudaEngine, engine: Engine) -> str:
    """The input's name, after a look at all inputs and outputs."""
    names = [loaded.get_tensor_name(index) for index in range(loaded.num_io_tensors)]
    inputs = [name for name in names if loaded.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    kinds = [loaded.get_tensor_dtype(name) for name in (*inputs, *engine.record.outputs)]
    expected = [trt.DataType.UINT8, *[trt.DataType.FLOAT] * len(engine.record.outputs)]
    if sorted(names) != sorted([*inputs, *engine.record.outputs]) or kinds != expected:
        raise ModelError(f"{engine.path} has tensors {names} of {kinds}", "it is not of a prepared model, delete it")
    return str(inputs[0])
