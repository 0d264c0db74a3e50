# SPDX-License-Identifier: Apache-2.0
"""What a detector is given and what it answers: plain NumPy arrays with a fixed layout."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.errors import BadDetections
from visavis.ring_gen import DETECTION_DTYPE, DetectionFlag

# (height, width, 3) uint8, BGR.
Frame = npt.NDArray[np.uint8]
# (n,) of DETECTION_DTYPE.
Detections = npt.NDArray[np.void]
# Detections looked at as this have one field `sides`, (4,) x1, y1, x2, y2: to set all four of all faces at once.
SIDES = np.dtype({"names": ["sides"], "formats": [("<f4", (4,))], "offsets": [0], "itemsize": DETECTION_DTYPE.itemsize})


def no_detections(count: int = 0) -> Detections:
    """Make (count,) detections with every field 0."""
    return np.zeros(count, DETECTION_DTYPE)


def landmarks_of(face: Any) -> list[tuple[float, float]]:
    """The x, y of one detection's landmarks, pixels; none when its model finds none."""
    return [(float(x), float(y)) for x, y in face["landmarks"]] if face["flags"] & DetectionFlag.LANDMARKS else []


def checked(detections: Any, most: int) -> Detections:
    """Return what may be sent: `detections` itself, or its `most` best when there are more.

    Args:
        detections: what a detector answered; should be (n,) of DETECTION_DTYPE.
        most: how many the daemon takes.

    Raises:
        BadDetections: another type or shape, or a number that is not finite.
    """
    if not isinstance(detections, np.ndarray) or detections.dtype != DETECTION_DTYPE or detections.ndim != 1:
        raise BadDetections(f"a detector answered {_shape(detections)}", "it must be (n,) of DETECTION_DTYPE")
    if detections.size == 0:
        return detections
    # One look at all the bytes as numbers is nearly always enough: a sum of squares is finite only if each number is.
    # It may also overflow, and class and flags may look like no number.
    numbers = np.ascontiguousarray(detections).view(np.float32)
    if math.isfinite(numbers.dot(numbers)):
        return _best(detections, most)
    for field in ("x1", "y1", "x2", "y2", "score", "landmarks"):
        if not np.isfinite(detections[field]).all():
            raise BadDetections(f"a detector answered a {field} that is not finite", "look at the model's outputs")
    return _best(detections, most)


def _best(detections: Detections, most: int) -> Detections:
    if detections.size > most:
        return detections[np.argsort(-detections["score"], kind="stable")[:most]]
    return detections


def _shape(answer: Any) -> str:
    return f"{answer.shape} of {answer.dtype}" if isinstance(answer, np.ndarray) else type(answer).__name__
