# SPDX-License-Identifier: Apache-2.0
"""CenterFace in INT8 beside its usual form, turn by turn in one process, and what decoding costs beside inference.

    .venv/bin/python -m tests.bench.quantized      one JSON object

Calibrated on some of the pictures with faces that this machine has, compared on the others.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import onnxruntime
from visavis.bench.models import turn_by_turn
from visavis.detections import Frame
from visavis.engines.int8 import calibrate, for_cpu
from visavis.families import FAMILIES
from visavis.models.cache import Prepared, prepared_model
from visavis.models.processor import has_dot_products
from visavis.models.quantize import FASTER, LITTLE_FASTER, compared, detector_of, parted
from visavis.pictures import letterboxed
from visavis.scores import SURE
from visavis.settings import DetectorSettings

from tests.bench.page import Bar, Section
from tests.unit.face_pictures import all_pictures

ROOT = Path(__file__).resolve().parents[2]
SIZE = (640, 480)
ROUNDS = 30
LOSS, SHARE = 0.01, 0.05


def measure() -> Section:
    """The bars, from a process of its own."""
    command = [sys.executable, "-m", "tests.bench.quantized"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return section(json.loads(answer.stdout))


def section(found: dict[str, Any]) -> Section:
    """The bars of what was measured."""
    fast = found["dot_products"]
    kind = "dot products" if fast else "no dot products"
    lines = [
        f"The processor has {kind}. INT8 was calibrated on {found['calibrated']} pictures; on the {found['compared']}",
        f"others {found['different']} of {found['faces']} faces differ.",
    ]
    bars = [
        Bar(
            "CenterFace 640x480, 1 thread, fp32's time / int8's",
            found["speed"],
            FASTER if fast else LITTLE_FASTER,
            most=False,
        ),
        Bar("CenterFace, faces that differ between int8 and fp32", found["different"] / found["faces"], LOSS),
        Bar("CenterFace, decode and NMS / inference in fp32", found["decoding"], SHARE),
    ]
    return Section("INT8", lines, bars)


def found_here() -> dict[str, Any]:
    """Quantise, compare and time."""
    frames = [letterboxed(picture, SIZE)[0][None] for picture in all_pictures().values()]
    held_out, others = parted(frames)
    plain = prepared_model("centerface", *SIZE)
    fast = msgspec.structs.replace(plain, content=for_cpu(calibrate(plain.content, others)), path=None)
    exact, quick = detector_of(plain, SIZE), detector_of(fast, SIZE)
    faces, different = compared(exact, quick, held_out)
    times = turn_by_turn({"fp32": exact, "int8": quick}, held_out[0][0], ROUNDS)
    return {
        "dot_products": has_dot_products(),
        "calibrated": len(others),
        "compared": len(held_out),
        "faces": faces,
        "different": different,
        "speed": times["fp32"] / times["int8"],
        "decoding": decoding(plain, held_out[0]),
    }


def decoding(plain: Prepared, frame: Frame) -> float:
    """The time from the network's outputs to faces, over the time of the network itself."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(plain.content, options, providers=["CPUExecutionProvider"])
    family, iou = FAMILIES[plain.family], DetectorSettings().iou
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        outputs = session.run(None, {"image": frame})
        between = time.perf_counter()
        family.decode(outputs, SIZE, SURE, iou)
        spent[0].append(between - begin)
        spent[1].append(time.perf_counter() - between)
    return statistics.median(spent[1]) / statistics.median(spent[0])


if __name__ == "__main__":
    print(json.dumps(found_here()))
