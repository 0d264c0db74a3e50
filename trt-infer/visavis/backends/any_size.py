# SPDX-License-Identifier: Apache-2.0
"""Infers pictures of other sizes than the network's input: on this machine's processor, whatever the backend is."""

from __future__ import annotations

from time import monotonic

import msgspec

from visavis.backends import Detector, load_detector
from visavis.detections import Detections, Frame
from visavis.errors import ModelError
from visavis.settings import DetectorSettings

# How long a model that cannot be loaded is not tried again: a try takes a second, and whoever waits is a camera.
REST_S = 60.0


class AnySize:
    """A detector for pictures with sides of multiples of 32, loaded when the first one comes.

    It takes the model in fp32: an INT8 model, and an engine, are of one size.
    """

    name = "any size"
    precision = "fp32"
    input_size = (0, 0)

    def __init__(self, settings: DetectorSettings) -> None:
        self.model_id = settings.model
        # The fake detector has no model, and takes every size.
        backend = "fake" if settings.backend == "fake" else "onnxruntime"
        self._settings = msgspec.structs.replace(
            settings, backend=backend, precision="fp32", batch=1, input_width=0, input_height=0
        )
        self._loaded: Detector | None = None
        self._refusal = ("", "")
        self._again_s = 0.0

    def warm_up(self) -> None:
        """Nothing: most workers never need it, and it takes memory."""

    def detect(self, frame: Frame) -> Detections:
        """Find faces; see `Detector.detect`.

        Raises:
            ModelError: the model cannot be loaded for pictures of any size.
            DetectorError: it failed on this one.
        """
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded.detect(frame)

    def _load(self) -> Detector:
        if monotonic() < self._again_s:
            raise ModelError(*self._refusal)
        try:
            return load_detector(self._settings)
        except ModelError as error:
            # Not the error itself: it holds its traceback, and with it the picture.
            self._refusal, self._again_s = (error.sentence, error.remedy), monotonic() + REST_S
            raise
