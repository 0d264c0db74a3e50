# SPDX-License-Identifier: Apache-2.0
"""How long models take beside each other, and how much memory each needs.

Times are taken turn by turn in one process, so that a noisy machine is noisy for all alike; compare within a run only.
Memory is that of a process of its own: `python -m visavis.bench.models MODEL WIDTH HEIGHT THREADS PRECISION` prints it.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from visavis.backends import Detector, load_detector
from visavis.detections import Frame
from visavis.errors import ModelError
from visavis.models.accuracy import accuracy
from visavis.models.labels import Labelled
from visavis.models.manifest import original
from visavis.models.quantized import quantized_path
from visavis.pictures import letterboxed
from visavis.programs import ran
from visavis.settings import DetectorSettings, default_cache_dir

Name = TypeVar("Name")

# In what a CPU computes; what comes first is never missing.
PRECISIONS = ("fp32", "int8")
# What a model is timed on: noise has no faces, so that only the network and an empty decoding count.
SEED = 1
MEMORY_FRAMES = 5


class Form(NamedTuple):
    """A model as a worker would run it."""

    model: str
    precision: str


def detector(
    model: str,
    size: tuple[int, int],
    threads: int = 1,
    score: float = 0.5,
    cache_dir: Path | None = None,
    precision: str = PRECISIONS[0],
) -> Detector:
    """Load a model with onnxruntime for one size of input (0 x 0 = any), warmed up.

    Raises:
        ModelError: it cannot be used.
    """
    loaded = load_detector(
        DetectorSettings(
            model=model,
            backend="onnxruntime",
            precision=precision,
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


def turn_by_turn(detectors: Mapping[Name, Detector], picture: Frame, rounds: int) -> dict[Name, float]:
    """The median time of each detector on `picture`, from the picture to its faces, milliseconds."""
    spent: dict[Name, list[float]] = {name: [] for name in detectors}
    for _ in range(rounds):
        for name, one in detectors.items():
            begin = time.perf_counter()
            one.detect(picture)
            spent[name].append((time.perf_counter() - begin) * 1e3)
    return {name: statistics.median(times) for name, times in spent.items()}


def memory_mib(form: Form, size: tuple[int, int], threads: int) -> float:
    """The most memory that a process held which loaded a model and inferred a few frames, MiB.

    Raises:
        ModelError: the process failed.
    """
    words = [form.model, *map(str, size), str(threads), form.precision]
    command = [sys.executable, "-m", "visavis.bench.models", *words]
    answer = ran(command)
    if answer.returncode:
        raise ModelError(f"cannot measure the memory of {form.model}, {answer.stderr.strip().splitlines()[-1:]}")
    return float(answer.stdout)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure; `labelled` are files of pictures with their marked faces, none for no recall.

    Without `precisions` every model is measured in fp32, and in int8 for the sizes for which it was quantised here.
    """

    models: list[str]
    precisions: list[str]
    sizes: list[tuple[int, int]]
    threads: list[int]
    rounds: int
    labelled: list[Labelled]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one size of input (width, height) with so many threads; `recall` is None without labels."""

    model: str
    precision: str
    size: tuple[int, int]
    threads: int
    ms: float
    memory_mib: float
    recall: float | None

    def fields(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "model": self.model,
            "precision": self.precision,
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
        ModelError: a model cannot be used, or was asked for in int8 and is not quantised for a size.
    """
    for size in plan.sizes:
        forms = forms_of(plan, size)
        recalls: dict[Form, float | None] = {}
        for threads in plan.threads:
            detectors = {form: detector(form.model, size, threads, precision=form.precision) for form in forms}
            times = turn_by_turn(detectors, noise(size), plan.rounds)
            recalls = recalls or {form: recall(one, plan.labelled, size) for form, one in detectors.items()}
            for form in forms:
                yield Row(
                    model=form.model,
                    precision=form.precision,
                    size=size,
                    threads=threads,
                    ms=times[form],
                    memory_mib=memory_mib(form, size, threads),
                    recall=recalls[form],
                )


def forms_of(plan: Plan, size: tuple[int, int]) -> list[Form]:
    """What to measure at one size: what was asked for, else every form that is here."""
    wanted = plan.precisions or PRECISIONS
    forms = [Form(model, precision) for model in plan.models for precision in wanted]
    return forms if plan.precisions else [form for form in forms if form.precision != "int8" or quantised(form, size)]


def quantised(form: Form, size: tuple[int, int]) -> bool:
    """Whether the model has an int8 form for this size and processor."""
    return quantized_path(original(form.model), *size, default_cache_dir()).exists()


def recall(one: Detector, labelled: Sequence[Labelled], size: tuple[int, int]) -> float | None:
    """The share of marked faces that a detector finds when pictures are fitted into `size`; None without any."""
    pairs = []
    for item in labelled:  # one picture in memory at a time
        boxed, scales = letterboxed(item.picture(), size)
        pairs.append((one.detect(boxed), item.boxes * np.array(scales * 2, np.float32)))
    return accuracy(pairs).recall if pairs else None


def recommended(rows: Sequence[Row], fps: float) -> Row | None:
    """The row to take: of those that reach `fps`, what finds most, on the fewest threads; None when none does.

    Without recall the models' own order decides, and then the larger input, which sees smaller faces. Of what is equal
    in all of that the first is taken, which is fp32: int8 is for who needs its speed.
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
    width, height, threads = map(int, words[1:4])
    one = detector(words[0], (width, height), threads, precision=words[4])
    for _ in range(MEMORY_FRAMES):
        one.detect(noise((width, height)))
    # ru_maxrss would begin with the parent's: a child starts as its copy.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
