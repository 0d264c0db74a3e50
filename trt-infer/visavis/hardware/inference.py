# SPDX-License-Identifier: Apache-2.0
"""How long the model takes, in each backend and precision that this machine has."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from visavis.backends import load_detector
from visavis.bench.models import noise
from visavis.errors import VisavisError
from visavis.settings import DetectorSettings, default_cache_dir

MODEL, SIZE = "centerface", (640, 480)
WAYS = (
    *(("onnxruntime", precision) for precision in ("fp32", "int8")),
    *(("tensorrt", precision) for precision in ("fp32", "fp16", "int8")),
)
ENGINE_LIMIT_S = 1800

Say = Callable[[str], None]


def inference(rounds: int, say: Say) -> list[dict[str, Any]]:
    """One entry for each backend and precision: the median time in milliseconds, or why there is none."""
    return [_timed(backend, precision, rounds, say) for backend, precision in WAYS]


def _timed(backend: str, precision: str, rounds: int, say: Say) -> dict[str, Any]:
    say(f"{MODEL} with {backend} in {precision}")
    about: dict[str, Any] = {"backend": backend, "precision": precision, "input": list(SIZE)}
    settings = DetectorSettings(
        model=MODEL,
        backend=backend,
        precision=precision,
        input_width=SIZE[0],
        input_height=SIZE[1],
        threads=os.cpu_count() or 1,
        cache_dir=default_cache_dir(),
    )
    try:
        detector = load_detector(settings)
        detector.warm_up()
        picture, spent = noise(SIZE), []
        for _ in range(rounds):
            began = time.perf_counter()
            detector.detect(picture)
            spent.append((time.perf_counter() - began) * 1e3)
    except VisavisError as error:
        return {**about, "error": str(error)}
    ordered = sorted(spent)
    return {
        **about,
        "ms_p50": round(statistics.median(ordered), 2),
        "ms_p95": round(ordered[len(ordered) * 95 // 100], 2),
    }


def engine(say: Say) -> dict[str, Any]:
    """Build a TensorRT engine as the worker would; minutes on a Jetson, nothing where there is no TensorRT."""
    say("looking for TensorRT; the build of an engine takes minutes")
    command = [sys.executable, "-m", "visavis.cli", "engine", "build", MODEL, "--input", f"{SIZE[0]}x{SIZE[1]}"]
    began = time.monotonic()
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ENGINE_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"built": False, "seconds": ENGINE_LIMIT_S, "words": ["it took too long"]}
    words = (answer.stdout + answer.stderr).strip().splitlines()[-5:]
    return {"built": answer.returncode == 0, "seconds": round(time.monotonic() - began, 1), "words": words}
