# SPDX-License-Identifier: Apache-2.0
"""Writes docs/reference/models.md: every model's licence, size, time beside CenterFace, recall and precision.

    .venv/bin/python -m tests.accuracy.page

Needs ../shared/data. Times are ratios within the run; everything else is the same on every machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from visavis.bench.models import detector, noise, turn_by_turn
from visavis.families import FAMILIES
from visavis.models.accuracy import Accuracy
from visavis.models.manifest import entries

from tests.accuracy.labelled import SIZES, models, scored
from tests.unit.face_pictures import ROOT
from tests.unit.model_files import provided

PAGE = ROOT / "docs" / "reference" / "models.md"
TIMED_AT, ROUNDS = (640, 480), 30
BESIDE = "centerface"

HEAD = """# Models

Written by `.venv/bin/python -m tests.accuracy.page`, from the manifest (`models/onnx/manifest.toml`) and from one run.
`visavis model list` says which are on a machine, `visavis model pull NAME` fetches one. How files are checked, prepared
and decoded: [design/models.md](../design/models.md).

Time: median from a 640x480 picture to its faces, onnxruntime, one thread, all models turn by turn, CenterFace = 1.
Accuracy: the 18 labelled faces on four of dlib's example pictures, score 0.5, IoU 0.5; some real faces in the
background have no label, so a precision below 1 need not be a mistake. Few faces: read it as "it works", not as a
ranking.
"""

TAIL = """
SCRFD (`scrfd`): the published weights are for research only, so none are listed; a file of one's own works
(`visavis model import my.onnx --family scrfd`, or `visavis detect --model my.onnx`), and its faces are those that
InsightFace's own class finds. Any FILE.onnx with the outputs of a family is recognised by them. How fast models are
on a machine: `visavis model bench`.
"""


def main() -> int:
    """Measure and write the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = relative_times(folder)
        rows = [row(model, times[model], [scored(model, size, folder) for size in SIZES]) for model in models()]
    sizes = " | ".join(f"recall, precision, AP at {size}" for size in SIZES)
    table = [
        f"| model | finds | licence | size | time | {sizes} |",
        "|---|---|---|---|---|" + "---|" * len(SIZES),
        *rows,
    ]
    PAGE.write_text("\n".join([HEAD, *table, TAIL]), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
    return 0


def relative_times(folder: Path) -> dict[str, float]:
    """The time of each model as a multiple of CenterFace's."""
    detectors = {model: detector(provided(model, folder), TIMED_AT, cache_dir=folder) for model in models()}
    times = turn_by_turn(detectors, noise(TIMED_AT), ROUNDS)
    return {model: spent / times[BESIDE] for model, spent in times.items()}


def row(model: str, time: float, reached: list[Accuracy]) -> str:
    """One line of the table."""
    entry = entries()[model]
    finds = "boxes, 5 landmarks" if FAMILIES[entry.family].landmarks else "boxes"
    figures = " | ".join(f"{one.recall:.2f}, {one.precision:.2f}, {one.average_precision:.2f}" for one in reached)
    return f"| {model} | {finds} | {entry.licence} | {entry.bytes / 1e6:.1f} MB | {time:.2f} | {figures} |"


if __name__ == "__main__":
    sys.exit(main())
