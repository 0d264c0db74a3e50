# SPDX-License-Identifier: Apache-2.0
"""InsightFace's own SCRFD class, unchanged: the public reference of that family."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from typing import Any

from tests.arrays import Array
from tests.kserve.servers import site


def insightface_scrfd() -> Any:
    """The class. What its packages import on the way, from scikit-image to their programs, stays out."""
    folder = site("insightface")
    for name in ("insightface", "insightface.model_zoo"):
        folder /= name.rpartition(".")[2]
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = module_from_spec(spec)
    return importlib.import_module("insightface.model_zoo.scrfd").SCRFD


def best_first(boxes: Array, marks: Array | None) -> tuple[Array, Array, Array | None]:
    """What the class answers: (n, 4) corners, (n,) scores, (n, 5, 2) landmarks or None, best first."""
    order = boxes[:, 4].argsort(kind="stable")[::-1]
    return boxes[order, :4], boxes[order, 4], None if marks is None else marks[order]
