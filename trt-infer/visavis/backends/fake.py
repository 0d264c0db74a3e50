# SPDX-License-Identifier: Apache-2.0
"""A detector without a model: same picture, same answer, in a time that one chooses. For tests, demos and measurements.

`model` is "fake", or "fake:" and faults for tests, separated by commas:
`crash@N` ends the process without a word on frame N, `hang@N` never answers, `leak@N` keeps a view of the picture,
`nan@N` answers a number that is not finite, `raise@N` fails; `N+` means from frame N on. Frames count from 1.
A batch takes the time of one frame, as on a GPU that is far from busy.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

from visavis.backends import NEVER_NS, Batching
from visavis.detections import Detections, Frame, no_detections
from visavis.errors import DetectorError, ModelError
from visavis.settings import DetectorSettings


class Fake(Batching):
    """Answers one face whose place and score follow from a few bytes of the picture."""

    name = "fake"
    precision = ""

    def __init__(self, settings: DetectorSettings) -> None:
        self.model_id = settings.model
        self.input_size = (settings.input_width, settings.input_height)
        self.batch = settings.batch
        self._service_s = settings.fake_service_ms / 1_000
        self._faults = _faults(settings.model)
        self._seen = 0
        self.kept: list[Frame] = []

    def warm_up(self) -> None:
        """There is nothing to warm."""

    def detect(self, frame: Frame) -> Detections:
        """Answer one face after the service time; see `Detector.detect`.

        Raises:
            DetectorError: a fault asked for it.
        """
        return self.detect_many([frame])[0]

    def detect_many(self, frames: Sequence[Frame], limit_ns: int = NEVER_NS) -> list[Detections]:
        """Answer one face for each after one service time; see `Batching.detect_many`.

        Raises:
            DetectorError: a fault asked for it.
        """
        if self._service_s > 0:
            time.sleep(self._service_s)
        return [self._found(frame) for frame in frames]

    def _found(self, frame: Frame) -> Detections:
        self._seen += 1
        found = face_of(frame)
        for first, for_ever, fault in self._faults:
            if self._seen == first or (for_ever and self._seen > first):
                fault(self, frame, found)
        return found


def face_of(frame: Frame) -> Detections:
    """The one face that `Fake` finds: (1,) detections inside `frame`."""
    height, width = frame.shape[:2]
    found = no_detections(1)
    x, y = float(frame[0, 0, 0]) / 256 * width / 2, float(frame[-1, -1, -1]) / 256 * height / 2
    found["x1"], found["y1"], found["x2"], found["y2"] = x, y, x + width / 4, y + height / 4
    found["score"] = 0.5 + float(frame[height // 2, width // 2, 1]) / 512
    return found


Fault = Callable[[Fake, Frame, Detections], None]


def _crash(_fake: Fake, _frame: Frame, _found: Detections) -> None:
    os._exit(86)


def _hang(_fake: Fake, _frame: Frame, _found: Detections) -> None:
    threading.Event().wait()


def _leak(fake: Fake, frame: Frame, _found: Detections) -> None:
    fake.kept.append(frame[:1])


def _nan(_fake: Fake, _frame: Frame, found: Detections) -> None:
    found["score"] = float("nan")


def _raise(_fake: Fake, _frame: Frame, _found: Detections) -> None:
    raise DetectorError("the fake detector was asked to fail")


FAULTS: dict[str, Fault] = {"crash": _crash, "hang": _hang, "leak": _leak, "nan": _nan, "raise": _raise}


def _faults(model: str) -> list[tuple[int, bool, Fault]]:
    faults = []
    for word in model.partition(":")[2].split(",") if ":" in model else []:
        name, _, first = word.partition("@")
        number = first.removesuffix("+")
        if name not in FAULTS or not number.isdecimal():
            raise ModelError(f"the fake detector does not know the fault {word!r}", f"use one of {', '.join(FAULTS)}@N")
        faults.append((int(number), first.endswith("+"), FAULTS[name]))
    return faults
