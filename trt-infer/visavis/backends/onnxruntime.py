# SPDX-License-Identifier: Apache-2.0
"""Runs a prepared model with onnxruntime on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state

from visavis.detections import Detections, Frame
from visavis.errors import DetectorError, ModelError, PictureError
from visavis.families import FAMILIES
from visavis.free_memory import BYTES_PER_PIXEL, check_room
from visavis.models.auto import AUTO, recommended_precision
from visavis.models.cache import Prepared, prepared_model
from visavis.models.quantized import quantized_model
from visavis.settings import DetectorSettings

# onnxruntime's own errors have no common base but Exception: collect those that this version has.
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        kind
        for kind in vars(onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)
ERRORS_ONLY = 3
# How an arena grows: kSameAsRequested of OrtArenaCfg.
AS_ASKED = 1
# A node of a quantised model, as ONNX stores its kind: field 4, 14 bytes.
QUANTISES = b"\x22\x0eQuantizeLinear"

log = logging.getLogger(__name__)


class OnnxRuntime:
    """A detector on the CPU; an input size of 0 x 0 takes pictures of any size that is a multiple of 32.

    Attributes:
        family: of the model.
        outputs: their names, in the order that the family wants.
    """

    name = "onnxruntime"

    def __init__(self, settings: DetectorSettings, model: Prepared | None = None) -> None:
        """Load what `settings` name; `model` in its place for a file that is not in the cache."""
        prepared = model or _wanted(settings)
        self.model_id = prepared.name
        self.precision = _precision(prepared.content)
        self.input_size = (settings.input_width, settings.input_height)
        self._score, self._iou = settings.score, settings.iou
        self.family = FAMILIES[prepared.family]
        self._session = _session(prepared, settings.threads)
        self.outputs = [output.name for output in self._session.get_outputs()]
        self._options = onnxruntime.RunOptions()
        self._bytes_per_pixel = max(prepared.bytes_per_pixel, BYTES_PER_PIXEL)
        if 0 in self.input_size:
            # A picture of 1920 pixels takes many times the memory that the next one may need.
            self._options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def warm_up(self) -> None:
        """Run one grey picture, so that memory is allocated and weights are packed.

        Raises:
            ModelError: the model cannot run here.
        """
        width, height = self.input_size
        try:
            self.detect(np.full((height or 32, width or 32, 3), 128, np.uint8))
        except (DetectorError, PictureError) as error:
            raise ModelError(f"model {self.model_id} does not run, {error}") from error

    def detect(self, frame: Frame) -> Detections:
        """Find faces; see `Detector.detect`. `frame` goes in without a copy, and nothing keeps it afterwards.

        Raises:
            DetectorError: another size than `input_size`, or the model failed.
            PictureError: there is no memory for one of this size, where it takes any.
        """
        height, width, _ = frame.shape  # before the network runs: right after it all takes several times as long
        if 0 in self.input_size:
            check_room(f"a picture of {width}x{height}", width, height, self._bytes_per_pixel)
        try:
            outputs = self._session.run(self.outputs, {"image": frame[None]}, self._options)
        except RUNTIME_ERRORS as error:
            raise DetectorError(f"cannot infer a picture of shape {frame.shape}, {error}") from error
        return self.family.decode(outputs, (width, height), self._score, self._iou)


def _wanted(settings: DetectorSettings) -> Prepared:
    where = (settings.input_width, settings.input_height, settings.cache_dir, settings.family)
    precision = settings.precision
    if (settings.model, precision) == (AUTO, AUTO) and settings.input_width:  # int8 is of one size
        precision = recommended_precision(settings.cache_dir)
    if precision != "int8":
        return prepared_model(settings.model, *where)
    try:
        return quantized_model(settings.model, *where)
    except ModelError as error:
        if settings.precision == "int8" and settings.backend != "auto":
            raise
        # int8 may be meant for an engine that is still being built, or recommended for another size than is
        # configured: detection does not wait for it.
        log.warning("%s; detection goes on in fp32", error)
        return prepared_model(settings.model, *where)


def _precision(model: bytes) -> str:
    """What the CPU computes in: half-precision models too run in fp32 here."""
    return "int8" if QUANTISES in model else "fp32"


def _session(prepared: Prepared, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # Some 40 MB less at 640x480, at the same speed.
    options.enable_mem_pattern = False
    # Threads that spin between frames burn a core at camera rates.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        with _arena_as_large_as_needed(options):
            session = onnxruntime.InferenceSession(prepared.content, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise ModelError(f"onnxruntime cannot load {prepared.name}, {error}") from error
    # It keeps the file's bytes, 7 MB, to begin again on another device after a failure; there is no other one here.
    session.disable_fallback()
    session._model_bytes = None
    return session


@contextmanager
def _arena_as_large_as_needed(options: Any) -> Iterator[None]:
    """Give the session that is made meanwhile memory that grows by what is asked for, instead of by powers of two.

    Such memory is registered for the whole process and taken by each session that wants it; so another one, which is
    empty, is registered after it: only the session is left to hold its own, which goes when the session goes.
    """
    options.add_session_config_entry("session.use_env_allocators", "1")
    _register_arena()
    try:
        yield
    finally:
        _register_arena()


def _register_arena() -> None:
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg({"arena_extend_strategy": AS_ASKED}))
