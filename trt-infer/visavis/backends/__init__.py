# SPDX-License-Identifier: Apache-2.0
"""Where a model runs: one table of backends. Adding one is a file beside this one and a line in `BACKENDS`.

A backend's module is imported only when it is asked for, so that a missing library hurts only who needs it.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from visavis.detections import Detections, Frame
from visavis.errors import EngineRefused, ModelError
from visavis.settings import DetectorSettings

# What "auto" tries, best first.
AUTOMATIC = ("tensorrt", "onnxruntime")
# A limit for pictures that nobody waits for.
NEVER_NS = 2**63 - 1

log = logging.getLogger(__name__)


class Detector(Protocol):
    """Finds faces in one picture at a time.

    Attributes:
        name: the backend.
        model_id: the model, as a person would name it.
        precision: the number format it computes in: "fp32", "fp16" or "int8"; "" where somebody else decides.
        input_size: width and height of the pictures that `detect` takes, pixels.
    """

    name: str
    model_id: str
    precision: str
    input_size: tuple[int, int]

    def warm_up(self) -> None:
        """Do everything that is slow only once; the first `detect` afterwards is as fast as the others.

        Raises:
            ModelError: the model cannot run here.
        """

    def detect(self, frame: Frame) -> Detections:
        """Find faces.

        Args:
            frame: (height, width, 3) uint8, BGR, read-only, valid only during the call: no view of it may be kept.

        Returns:
            (n,) of DETECTION_DTYPE, best score first, coordinates in pixels of `frame`; its own memory.

        Raises:
            DetectorError: this picture could not be inferred.
        """


class Waiting:
    """A detector that waits for others, and therefore is told how long an answer is of use.

    A plain class to inherit from: the worker asks for it at each frame, which takes many times as long with an abstract
    one or a protocol.

    Attributes:
        losses: how often the server that it waits for was lost.
        local_frames: how many pictures were inferred here instead.
    """

    losses: int
    local_frames: int

    def detect_until(self, frame: Frame, limit_ns: int) -> Detections:
        """Find faces as `Detector.detect` does; after `limit_ns` (CLOCK_MONOTONIC) nobody wants them any more."""
        raise NotImplementedError


class Batching:
    """A detector that takes several pictures in hardly more time than one.

    Attributes:
        batch: how many at most; with 1 it is asked for one picture after the other.
    """

    batch: int

    def detect_many(self, frames: Sequence[Frame], limit_ns: int = NEVER_NS) -> list[Detections]:
        """Find faces in 1 to `batch` pictures; otherwise as `Detector.detect`, and `Waiting.detect_until`."""
        raise NotImplementedError


Loader = Callable[[DetectorSettings], Detector]
Missed = Callable[[EngineRefused], None]


def _lazy(module: str, name: str) -> Loader:
    def load(settings: DetectorSettings) -> Detector:
        return cast(Loader, getattr(importlib.import_module(module), name))(settings)

    return load


BACKENDS: dict[str, Loader] = {
    "onnxruntime": _lazy("visavis.backends.onnxruntime", "OnnxRuntime"),
    "tensorrt": _lazy("visavis.backends.tensorrt", "TensorRt"),
    "kserve": _lazy("visavis.backends.kserve", "KServe"),
    "fake": _lazy("visavis.backends.fake", "Fake"),
}


def load_detector(settings: DetectorSettings, missed: Missed | None = None) -> Detector:
    """Load the detector that `settings.backend` names; "auto" takes the first of `AUTOMATIC` that loads.

    Args:
        missed: is told when "auto" goes on without an engine that is there.

    Raises:
        ModelError: no such backend, its library is missing, or the model cannot be used.
    """
    if settings.backend == "auto":
        return _first_that_loads(settings, missed)
    if settings.backend not in BACKENDS:
        raise ModelError(f"no backend is called {settings.backend!r}", f"choose from auto, {', '.join(BACKENDS)}")
    return load(settings.backend, settings)


def load(name: str, settings: DetectorSettings) -> Detector:
    """Load the backend of this name, whatever `settings.backend` says.

    Raises:
        ModelError: its library is missing, or the model cannot be used.
    """
    try:
        return BACKENDS[name](settings)
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # as libraries in C++ tell of one that came while they load
            raise error.__cause__ from None
        raise ModelError(
            f"cannot load backend {name}, {error}", f"install what {name} needs, or choose another"
        ) from error


def _first_that_loads(settings: DetectorSettings, missed: Missed | None) -> Detector:
    reasons: list[ModelError] = []
    for name in AUTOMATIC:
        try:
            return load(name, settings)
        except ModelError as error:
            log.log(_level(error), "%s is not used: %s", name, error)
            reasons.append(error)
            if isinstance(error, EngineRefused) and missed is not None:
                missed(error)
    news = [error for error in reasons if not _not_installed(error)]
    size = f"{settings.input_width}x{settings.input_height}"
    sentence = f"no backend can run {settings.model} at {size} (detector.model, detector.input)"
    raise ModelError(sentence, "; ".join(map(str, news or reasons)))


def _level(error: ModelError) -> int:
    if isinstance(error, EngineRefused):
        return logging.WARNING
    return logging.DEBUG if _not_installed(error) else logging.INFO


def _not_installed(error: ModelError) -> bool:
    """What is not installed is no news on most machines."""
    return isinstance(error.__cause__, ImportError)
