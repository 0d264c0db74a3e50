# SPDX-License-Identifier: Apache-2.0
"""How a model's outputs become faces: one table of families. Adding one is a file here and a line in `FAMILIES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from visavis.detections import Detections
from visavis.families import centerface

# decode(outputs, (width, height), score, iou) -> detections
Decode = Callable[[Sequence[Any], tuple[int, int], float, float], Detections]

FAMILIES: dict[str, Decode] = {"centerface": centerface.decode}
