# SPDX-License-Identifier: Apache-2.0
"""How long models take beside each other, and how much memory each needs.

Times are taken turn by turn in one process, so that a noisy machine is noisy for all alike; compare within a run only.
Memory is that of a process of its own: `python -m visavis.bench.models MODEL WIDTH HEIGHT THREADS` prints it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from visavis.backends import Detector, load_detector
from visavis.detections import Frame
from visavis.errors import ModelError
from visavis.models.accuracy import accuracy
from visavis.pictures import letterboxed
from visavis.settings import DetectorSettings, default_cache_dir

Floats = npt.NDArray[np.float32]

# What a model is timed on: noise has no faces, so that only the network and an empty decoding count.
SEED = 1
MEMORY_FRAMES = 5


def detector(
    model: str, size: tuple[int, int], threads: int = 1, score: float = 0.5, cache_dir: Path | None = None
) -> Detector:
    """Load a model with onnxruntime for one size of input (0 x 0 = any), warmed up.

    Raises:
        ModelError: it cannot be used.
    """
    loaded = load_detector(
        DetectorSettings(
            model=model,
            backend="onnxruntime",
            input_width=size[0],
            input_height=size[1],
            threads=threads,
            score=score,
            cache_dir=cache_dir or default_cache_dir(),
        )
    )
    loaded.warm_up()
    return loaded


def noise(size: tuple[int, int]) -> Frame:
    """A picture without faces, (height, width, 3), the same each time."""
    return np.random.default_rng(SEED).integers(0, 255, (size[1], size[0], 3), np.uint8)


def turn_by_turn(detectors: Mapping[str, Detector], picture: Frame, rounds: int) -> dict[str, float]:
    """The median time of each detector on `picture`, from the picture to its faces, milliseconds."""
    spent: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(rounds):
        for name, one in detectors.items():
            begin = time.perf_counter()
            one.detect(picture)
            spent[name].append((time.perf_counter() - begin) * 1e3)
    return {name: statistics.median(times) for name, times in spent.items()}


def memory_mib(model: str, size: tuple[int, int], threads: int) -> float:
    """The most memory that a process held which loaded `model` and inferred a few frames, MiB.

    Raises:
        ModelError: the process failed.
    """
    command = [sys.executable, "-m", "visavis.bench.models", model, *map(str, size), str(threads)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ModelError(f"cannot measure the memory of {model}, {answer.stderr.strip().splitlines()[-1:]}")
    return float(answer.stdout)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure; `labelled` are pictures with their marked faces, none for no recall."""

    models: list[str]
    sizes: list[tuple[int, int]]
    threads: list[int]
    rounds: int
    labelled: list[tuple[Frame, Floats]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one size of input (width, height) with so many threads; `recall` is None without labels."""

    model: str
    size: tuple[int, int]
    threads: int
    ms: float
    memory_mib: float
    recall: float | None

    def fields(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "model": self.model,
            "input": list(self.size),
            "threads": self.threads,
            "ms": round(self.ms, 2),
            "fps": round(1000 / self.ms, 1),
            "memory_mib": round(self.memory_mib, 1),
            "recall": None if self.recall is None else round(self.recall, 4),
        }


def measured(plan: Plan) -> Iterator[Row]:
    """Measure the models turn by turn, one size and number of threads after another.

    Raises:
        ModelError: a model cannot be used.
    """
    for size in plan.sizes:
        recalls: dict[str, float | None] = {}
        for threads in plan.threads:
            detectors = {model: detector(model, size, threads) for model in plan.models}
            times = turn_by_turn(detectors, noise(size), plan.rounds)
            recalls = recalls or {model: recall(one, plan.labelled, size) for model, one in detectors.items()}
            for model in plan.models:
                memory = memory_mib(model, size, threads)
                yield Row(
                    model=model, size=size, threads=threads, ms=times[model], memory_mib=memory, recall=recalls[model]
                )


def recall(one: Detector, labelled: Sequence[tuple[Frame, Floats]], size: tuple[int, int]) -> float | None:
    """The share of marked faces that a detector finds when pictures are fitted into `size`; None without any."""
    pairs = []
    for picture, marked in labelled:
        boxed, scale = letterboxed(picture, size)
        pairs.append((one.detect(boxed), marked * np.float32(scale)))
    return accuracy(pairs).recall if pairs else None


def recommended(rows: Sequence[Row], fps: float) -> Row | None:
    """The row to take: of those that reach `fps`, what finds most, on the fewest threads; None when none does.

    Without recall the models' own order decides, and then the larger input, which sees smaller faces.
    """
    order = list(dict.fromkeys(row.model for row in rows))
    good = [row for row in rows if 1000 / row.ms >= fps]

    def worth(row: Row) -> tuple[float, int, float, int]:
        first = row.recall if row.recall is not None else -float(order.index(row.model))
        second = 1000 / row.ms if row.recall is not None else float(row.size[0] * row.size[1])
        return first, -row.threads, second, -order.index(row.model)

    return max(good, key=worth, default=None)


def main(words: list[str]) -> int:
    """Print the peak resident memory of this process after a few frames, MiB."""
    model, width, height, threads = words[0], *map(int, words[1:])
    one = detector(model, (width, height), threads)
    for _ in range(MEMORY_FRAMES):
        one.detect(noise((width, height)))
    # ru_maxrss would begin with the parent's: a child starts as its copy.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
