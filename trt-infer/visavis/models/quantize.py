# SPDX-License-Identifier: Apache-2.0
"""Makes the int8 form of a model for this machine's CPU, and says what it gains and loses before it is believed.

`quantize` in order: some pictures are held out, the others calibrate, the faces of both forms on the held-out pictures
are compared, both are timed turn by turn. What differs too much or gains too little is not kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import onnxruntime

from visavis.backends import Detector
from visavis.backends.onnxruntime import OnnxRuntime
from visavis.bench.models import turn_by_turn
from visavis.detections import Detections, Frame, boxes_of
from visavis.engines.int8 import calibrate, for_cpu
from visavis.errors import ModelError
from visavis.models.accuracy import matched
from visavis.models.cache import PREPARATION, Prepared, prepared
from visavis.models.manifest import Original, original
from visavis.models.processor import has_dot_products, processor_name
from visavis.models.quantized import RECIPE, Measured, Record, keep, quantized_path
from visavis.scores import SURE
from visavis.settings import DetectorSettings

# One in so many pictures is held out.
HELD_OUT = 4
# A face that one form finds from SURE on is the same when the other finds it too, be it with a score a little below.
NEARLY = 0.45
ROUNDS = 20
# How many times faster int8 must be: with instructions for it, and without.
FASTER, LITTLE_FASTER = 1.8, 1.2

# Called with what is done now, how much of it, of how much.
Report = Callable[[str, int, int], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to make: `size` is that of the network's input (width, height), `loss` the allowed share of faces."""

    model: str
    size: tuple[int, int]
    loss: float
    cache_dir: Path


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept, and where."""

    path: Path
    record: Record


def quantize(plan: Plan, frames: Sequence[Frame], report: Report) -> Made:
    """Make, measure and keep the int8 form of a model.

    Args:
        plan: what to make.
        frames: (1, H, W, 3) uint8 BGR each, of the plan's size, at least two.
        report: told about the progress.

    Raises:
        ModelError: too few pictures or faces on them, more loss than allowed, less speed than wanted.
    """
    source = original(plan.model, "", plan.cache_dir)  # once: the file may be another before this is done
    plain = prepared(source, *plan.size, plan.cache_dir)
    held_out, others = parted(frames)
    content = for_cpu(calibrate(plain.content, counted(others, "calibrating", report)))
    fast = msgspec.structs.replace(plain, content=content, path=None)
    exact, quick = (detector_of(one, plan.size) for one in (plain, fast))
    faces, different = compared(exact, quick, list(counted(held_out, "comparing", report)))
    report("timing", 0, 1)
    times = turn_by_turn({"fp32": exact, "int8": quick}, held_out[0][0], ROUNDS)
    report("timing", 1, 1)
    measured = Measured(
        calibrated=len(others),
        compared=len(held_out),
        faces=faces,
        different=different,
        allowed_loss=plan.loss,
        speed=times["fp32"] / times["int8"],
    )
    judge(plain.name, measured, dot_products=has_dot_products())
    return _kept(plan, source, plain, content, measured)


def _kept(plan: Plan, source: Original, plain: Prepared, content: bytes, measured: Measured) -> Made:
    record = Record(
        name=plain.name,
        original_sha256=source.sha256,
        prepared_sha256=hashlib.sha256(plain.content).hexdigest(),
        quantized_sha256=hashlib.sha256(content).hexdigest(),
        width=plan.size[0],
        height=plan.size[1],
        preparation=PREPARATION,
        recipe=RECIPE,
        processor=processor_name(),
        onnxruntime=onnxruntime.__version__,
        measured=measured,
    )
    path = quantized_path(source, *plan.size, plan.cache_dir)
    keep(path, content, record)
    return Made(path=path, record=record)


def parted(frames: Sequence[Frame]) -> tuple[list[Frame], list[Frame]]:
    """Those that are held out, and the others.

    Raises:
        ModelError: there are less than two.
    """
    if len(frames) < 2:
        raise ModelError(
            f"cannot quantise with {len(frames)} pictures, some calibrate and others compare",
            "name pictures like those of your camera, better fifty than five",
        )
    held_out = list(frames[1::HELD_OUT])
    return held_out, [frame for number, frame in enumerate(frames) if number % HELD_OUT != 1]


def detector_of(model: Prepared, size: tuple[int, int], score: float = NEARLY) -> Detector:
    """A detector of just this file, on one thread, that also tells faces which are nearly sure."""
    settings = DetectorSettings(input_width=size[0], input_height=size[1], score=score)
    loaded = OnnxRuntime(settings, model)
    loaded.warm_up()
    return loaded


def compared(exact: Detector, quick: Detector, frames: Sequence[Frame]) -> tuple[int, int]:
    """How many faces `exact` finds on the pictures, and how many only one of the two finds."""
    faces = different = 0
    for frame in frames:
        theirs, ours = exact.detect(frame[0]), quick.detect(frame[0])
        faces += int(sure(theirs).size)
        different += missing(sure(theirs), ours) + missing(sure(ours), theirs)
    return faces, different


def sure(found: Detections) -> Detections:
    """Those that a detector with the usual score would tell."""
    chosen: Detections = found[found["score"] >= SURE]
    return chosen


def missing(wanted: Detections, found: Detections) -> int:
    """How many of `wanted` have no box of their own in `found`."""
    return int((~matched(wanted, boxes_of(found))).sum())


def judge(name: str, measured: Measured, *, dot_products: bool) -> None:
    """Refuse what may not be offered.

    Raises:
        ModelError: with the measured figure and the wanted one.
    """
    if not measured.faces:
        raise ModelError(
            f"no face is on the {measured.compared} pictures held out to compare {name} in int8 with fp32",
            "name pictures with people on them",
        )
    if measured.loss > measured.allowed_loss:
        raise ModelError(
            f"{name} in int8 differs on {measured.different} of {measured.faces} faces ({measured.loss:.1%}), "
            f"{measured.allowed_loss:.1%} is allowed, fp32 stays",
            "name more pictures like those of your camera, or allow more with --loss",
        )
    wanted = FASTER if dot_products else LITTLE_FASTER
    if measured.speed < wanted:
        kind = "with" if dot_products else "without"
        raise ModelError(
            f"{name} in int8 is {measured.speed:.2f} times as fast as fp32 here, "
            f"{wanted} is wanted of a processor {kind} dot products, fp32 stays"
        )


def counted(frames: Sequence[Frame], what: str, report: Report) -> Iterator[Any]:
    """The same frames, each reported when it is done."""
    report(what, 0, len(frames))
    for number, frame in enumerate(frames, 1):
        yield frame
        report(what, number, len(frames))
