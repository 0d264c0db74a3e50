# SPDX-License-Identifier: Apache-2.0
"""The part that all share: the product's prepared CenterFace, from the bytes of a JPEG to faces."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from visavis.backends import Detector, load_detector
from visavis.detections import Frame
from visavis.pictures import letterboxed
from visavis.settings import DetectorSettings

SIZE = (640, 480)
MODEL = "centerface"


def load(threads: int = 1) -> Detector:
    """The detector, warm."""
    width, height = SIZE
    settings = DetectorSettings(
        model=MODEL, backend="onnxruntime", input_width=width, input_height=height, threads=threads
    )
    detector = load_detector(settings)
    detector.warm_up()
    return detector


def decode(jpeg: bytes) -> Frame:
    """(H, W, 3) uint8 BGR."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def faces(detector: Detector, jpeg: bytes) -> list[dict[str, Any]]:
    """Boxes x, y, w, h in pixels of the picture, with scores."""
    boxed, scales = letterboxed(decode(jpeg), SIZE)
    return [face_of(one, scales) for one in detector.detect(boxed)]


def face_of(found: Any, scales: tuple[float, float]) -> dict[str, Any]:
    """One face as JSON holds it."""
    left, right = (float(found[side]) / scales[0] for side in ("x1", "x2"))
    top, bottom = (float(found[side]) / scales[1] for side in ("y1", "y2"))
    return {"box": [left, top, right - left, bottom - top], "score": float(found["score"])}


def drawn(picture: Any, detector: Detector) -> bytes:
    """A JPEG of the picture with the boxes of its faces; it has the network's size."""
    frame = np.asarray(picture, np.uint8)
    found = detector.detect(frame)
    for face in found:
        corners = [int(face[side]) for side in ("x1", "y1", "x2", "y2")]
        cv2.rectangle(frame, (corners[0], corners[1]), (corners[2], corners[3]), (80, 200, 60), 2)
    return bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])
