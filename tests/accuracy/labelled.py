# SPDX-License-Identifier: Apache-2.0
"""Every model at hand on the labelled pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from visavis.bench.models import detector
from visavis.models.accuracy import Accuracy, accuracy
from visavis.models.manifest import entries
from visavis.pictures import letterboxed

from tests.unit.face_pictures import labelled_pictures
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
    finder = detector(provided(model, folder), (0, 0), score=LEAST_SCORE, cache_dir=folder)
    pairs = []
    for picture, labels in labelled_pictures().values():
        boxed, scale = letterboxed(picture, SIZES[size])
        corners = np.array([[x, y, x + w, y + h] for x, y, w, h in labels], np.float32) * np.float32(scale)
        pairs.append((finder.detect(boxed), corners))
    return accuracy(pairs)
