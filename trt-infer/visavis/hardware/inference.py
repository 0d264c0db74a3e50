# SPDX-License-Identifier: Apache-2.0
"""How long the model takes, in each backend and precision that this machine has."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from visavis.backends import load
from visavis.bench.models import noise
from visavis.errors import VisavisError
from visavis.parent import die_with_parent
from visavis.programs import asked
from visavis.settings import DetectorSettings, default_cache_dir
from visavis.worker_command import usual_threads

MODEL, SIZE = "centerface", (640, 480)
WAYS = (
    *(("onnxruntime", precision) for precision in ("fp32", "int8")),
    *(("tensorrt", precision) for precision in ("fp32", "fp16", "int8")),
)
ENGINE_LIMIT_S = 1800
# The first one also prepares the model.
LIMIT_S = 600

Say = Callable[[str], None]


def inference(rounds: int, say: Say) -> list[dict[str, Any]]:
    """One entry for each backend and precision: the median time in milliseconds, or why there is none."""
    found = []
    for backend, precision in WAYS:
        say(f"{MODEL} with {backend} in {precision}")
        about: dict[str, Any] = {"backend": backend, "precision": precision, "input": list(SIZE)}
        found.append(about | _apart(backend, precision, rounds))
    return found


def _apart(backend: str, precision: str, rounds: int) -> dict[str, Any]:
    """What `_timed` says in a process of its own: a library that crashes, or hangs, must not take the others along."""
    answer = asked([sys.executable, "-m", __name__, str(os.getpid()), backend, precision, str(rounds)], LIMIT_S)
    try:
        found: dict[str, Any] = json.loads(answer.text)
    except ValueError:
        return {"error": f"its process: {answer.why or 'ended without an answer'}"}
    return found


def _timed(backend: str, precision: str, rounds: int) -> dict[str, Any]:
    try:
        detector = load(backend, _settings(backend, precision))
        detector.warm_up()
        picture, spent = noise(SIZE), []
        for _ in range(rounds):
            began = time.perf_counter()
            detector.detect(picture)
            spent.append((time.perf_counter() - began) * 1e3)
    except VisavisError as error:
        return {"error": str(error)}
    ordered = sorted(spent)
    return {"ms_p50": round(statistics.median(ordered), 2), "ms_p95": round(ordered[len(ordered) * 95 // 100], 2)}


def _settings(backend: str, precision: str) -> DetectorSettings:
    return DetectorSettings(
        model=MODEL,
        # Where it is one of several, TensorRT loads only what is built; alone it would build for minutes.
        backend="auto" if backend == "tensorrt" else backend,
        precision=precision,
        input_width=SIZE[0],
        input_height=SIZE[1],
        threads=usual_threads(workers=1),
        cache_dir=default_cache_dir(),
    )


def engine(say: Say) -> dict[str, Any]:
    """Build a TensorRT engine as the worker would; minutes on a Jetson, nothing where there is no TensorRT."""
    say("looking for TensorRT; the build of an engine takes minutes")
    command = [sys.executable, "-m", "visavis.cli", "engine", "build", MODEL, "--input", f"{SIZE[0]}x{SIZE[1]}"]
    command += ["--die-with-parent", str(os.getpid())]
    began = time.monotonic()
    answer = asked(command, ENGINE_LIMIT_S)
    words = [*answer.text.splitlines(), *answer.complaints.splitlines()][-5:] or [answer.why]
    return {"built": answer.code == 0, "seconds": round(time.monotonic() - began, 1), "words": words}


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    print(json.dumps(_timed(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
