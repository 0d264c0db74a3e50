# SPDX-License-Identifier: Apache-2.0
"""What a detector is given and what it answers: plain NumPy arrays with a fixed layout."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import BadDetections
from visavis.ring_gen import DETECTION_DTYPE, DetectionFlag

# (height, width, 3) uint8, BGR.
Frame = npt.NDArray[np.uint8]
# (n,) of DETECTION_DTYPE.
Detections = npt.NDArray[np.void]
_KINDS = [DETECTION_DTYPE[name] for name in DETECTION_DTYPE.names or ()]
# The fields of one detection, each landmark's x and y by itself.
_FIELDS = struct.Struct("<" + "".join(kind.base.char * math.prod(kind.shape) for kind in _KINDS))


def no_detections(count: int = 0) -> Detections:
    """Make (count,) detections with every field 0."""
    return np.zeros(count, DETECTION_DTYPE)


def packed(rows: Iterable[tuple[float, ...]]) -> Detections:
    """Make detections of plain numbers, in the order of DETECTION_DTYPE's fields, each landmark's x and y by itself."""
    # Not one after another into an array: that takes longer for a few.
    return np.frombuffer(bytearray().join([_FIELDS.pack(*row) for row in rows]), DETECTION_DTYPE)


def boxes_of(detections: Detections) -> npt.NDArray[np.float32]:
    """The x1, y1, x2, y2 of (n,) detections: (n, 4), pixels."""
    return np.stack([detections[side] for side in ("x1", "y1", "x2", "y2")], axis=1)


def landmarks_of(face: Any) -> list[tuple[float, float]]:
    """The x, y of one detection's landmarks, pixels; none when its model finds none."""
    return [(float(x), float(y)) for x, y in face["landmarks"]] if face["flags"] & DetectionFlag.LANDMARKS else []


def sendable(detections: Any, most: int) -> bytes:
    """Return the bytes of what may be sent: of `detections`, or of its `most` best when there are more.

    Args:
        detections: what a detector answered; should be (n,) of DETECTION_DTYPE.
        most: how many the daemon takes.

    Raises:
        BadDetections: another type or shape, or a number that is not finite.
    """
    if not isinstance(detections, np.ndarray) or detections.dtype != DETECTION_DTYPE or detections.ndim != 1:
        raise BadDetections(f"a detector answered {_shape(detections)}", "it must be (n,) of DETECTION_DTYPE")
    if not detections.size:
        return b""
    raw = _best(detections, most).tobytes()
    # One look at all the bytes as numbers is nearly always enough: a sum is finite only if each number is. In Python's
    # numbers it cannot overflow; class and flags may look like no number.
    if not math.isfinite(sum(memoryview(raw).cast("f").tolist())):
        _refuse_what_is_not_finite(detections)
    return raw


def _refuse_what_is_not_finite(detections: Detections) -> None:
    for field in ("x1", "y1", "x2", "y2", "score", "landmarks"):
        if not np.isfinite(detections[field]).all():
            raise BadDetections(f"a detector answered a {field} that is not finite", "look at the model's outputs")


def _best(detections: Detections, most: int) -> Detections:
    if detections.size > most:
        return detections[np.argsort(-detections["score"], kind="stable")[:most]]
    return detections


def _shape(answer: Any) -> str:
    return f"{answer.shape} of {answer.dtype}" if isinstance(answer, np.ndarray) else type(answer).__name__
