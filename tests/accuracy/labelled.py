# SPDX-License-Identifier: Apache-2.0
"""Every model at hand on the labelled pictures."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from visavis.backends import Detector
from visavis.backends.onnxruntime import OnnxRuntime
from visavis.bench.models import detector
from visavis.engines.int8 import Calibrated, calibrate, for_cpu, for_tensorrt
from visavis.engines.rewrite import in_half_precision
from visavis.models.accuracy import Accuracy, accuracy
from visavis.models.cache import Prepared, prepared_model
from visavis.models.manifest import entries
from visavis.pictures import letterboxed
from visavis.settings import DetectorSettings

from tests.unit.face_pictures import gocv_pictures, labelled_pictures
from tests.unit.model_files import provided

# Faces below the usual score still count for average precision.
LEAST_SCORE = 0.05
# How pictures reach the network: at their own size, and as a camera's frame in the smallest usual input.
SIZES: dict[str, tuple[int, int] | None] = {"own size": None, "320x256": (320, 256)}


def models() -> list[str]:
    """The models that are scored."""
    return list(entries())


def scored(model: str, size: str, folder: Path) -> Accuracy:
    """Find faces on every labelled picture and match them with the labels."""
    return matched_with_labels(detector(provided(model, folder), (0, 0), score=LEAST_SCORE, cache_dir=folder), size)


def scored_in_int8(model: str, size: str, folder: Path) -> Accuracy:
    """The same with the form for CPUs."""
    plain = prepared(model, size, folder)
    return scored_as(plain, for_cpu(calibrated(plain, size)), size)


def scored_in_half(model: str, size: str, folder: Path) -> Accuracy:
    """The same in float16, which TensorRT gets; a CPU computes it too."""
    plain = prepared(model, size, folder)
    return scored_as(plain, in_half_precision(plain.content), size)


def scored_in_int8_for_tensorrt(model: str, size: str, folder: Path) -> Accuracy:
    """The same in the int8 that TensorRT gets, with the rest in float16.

    Raises:
        ModelError: nothing in the model is worth quantising.
    """
    plain = prepared(model, size, folder)
    return scored_as(plain, in_half_precision(for_tensorrt(calibrated(plain, size))), size)


def prepared(model: str, size: str, folder: Path) -> Prepared:
    """The model for a size."""
    return prepared_model(provided(model, folder), *(SIZES[size] or (0, 0)), folder)


def calibrated(plain: Prepared, size: str) -> Calibrated:
    """On gocv's two pictures: none that is scored has been seen before."""
    return calibrate(plain.content, [letterboxed(one, SIZES[size])[0][None] for one in gocv_pictures().values()])


def scored_as(plain: Prepared, content: bytes, size: str) -> Accuracy:
    """A form of the model on the labelled pictures."""
    width, height = SIZES[size] or (0, 0)
    settings = DetectorSettings(input_width=width, input_height=height, score=LEAST_SCORE)
    return matched_with_labels(OnnxRuntime(settings, msgspec.structs.replace(plain, content=content, path=None)), size)


def matched_with_labels(finder: Detector, size: str) -> Accuracy:
    """Score a detector on the labelled pictures, fitted into a size."""
    pairs = []
    for picture, labels in labelled_pictures().values():
        boxed, scales = letterboxed(picture, SIZES[size])
        corners = np.array([[x, y, x + w, y + h] for x, y, w, h in labels], np.float32) * np.array(
            scales * 2, np.float32
        )
        pairs.append((finder.detect(boxed), corners))
    return accuracy(pairs)
