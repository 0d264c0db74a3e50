# SPDX-License-Identifier: Apache-2.0
"""What a model becomes before TensorRT builds it in another precision, and whether it still finds the same faces.

The forms are files that a CPU runs too. So each is compared with fp32 there, before minutes go into an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from visavis.detections import Frame
from visavis.engines.int8 import calibrate, for_tensorrt
from visavis.engines.rewrite import in_half_precision, input_size, output_names
from visavis.errors import ModelError
from visavis.models.agreement import SEED, answers
from visavis.models.cache import Prepared
from visavis.models.quantize import compared, detector_of, parted

# Hands frames on and says what is done with them; ends the work when it is told to.
Watch = Callable[[Iterable[Frame], str], Iterator[Frame]]
Numbers = npt.NDArray[np.float32]
# How far one kind of numbers may be in half precision, of its own size: where no face is, scores are as small as 0.03.
HALF_APART = 0.03
NOTHING = 1e-6
# The share of faces that int8 may lose or invent.
LOSS = 0.01


def half(model: Prepared) -> bytes:
    """The model in float16.

    Raises:
        ModelError: it does not answer as in fp32.
    """
    made, names = in_half_precision(model.content), output_names(model.content)
    width, height = input_size(model.content)
    picture = np.random.default_rng(SEED).integers(0, 255, (1, height, width, 3), np.uint8)
    pairs = zip(*(answers(model.name, one, names, picture) for one in (model.content, made)), strict=True)
    apart = max(how_far(exact, other) for exact, other in pairs)
    if not apart <= HALF_APART:
        raise ModelError(
            f"{model.name} in fp16 answers {apart:.1%} from what it answers in fp32, {HALF_APART:.0%} is allowed",
            "choose --precision fp32, or precision in [detector]",
        )
    return made


def how_far(exact: Numbers, other: Numbers) -> float:
    """The largest distance of one kind of numbers from its exact ones, as a share of their Euclidean norm.

    Infinite where something is no number.
    A kind is what lies along an output's shortest side, whichever way a family writes it: the score of a face beside
    that of none, (1, N, 2), or moves of a corner, (1, 4, H, W).
    """
    kinds = 1 + int(np.argmin(exact.shape[1:]))
    others = tuple(axis for axis in range(exact.ndim) if axis != kinds)
    far, size = (np.sqrt(np.square(of, dtype=np.float64).sum(others)) for of in (exact - other, exact))
    most = float((far / np.maximum(size, NOTHING)).max(initial=0))
    return most if np.isfinite(most) else float("inf")


def int8(model: Prepared, frames: Sequence[Frame], watch: Watch, *, rest_in_half: bool) -> bytes:
    """The model in int8, calibrated on three in four frames, each (1, H, W, 3) uint8 BGR; the others compare it.

    Raises:
        ModelError: too few frames, no face on those that compare, or more faces differ than may.
    """
    held_out, others = parted(frames)
    calibrated = calibrate(model.content, watch(others, "Calibrating on picture"))
    made = for_tensorrt(calibrated, weights_in_float=not rest_in_half)
    made = in_half_precision(made) if rest_in_half else made
    size = input_size(model.content)
    exact, quick = (detector_of(one, size) for one in (model, msgspec.structs.replace(model, content=made, path=None)))
    faces, different = compared(exact, quick, list(watch(held_out, "Comparing picture")))
    if not faces:
        raise ModelError(
            f"no face is on the {len(held_out)} pictures held out to compare {model.name} in int8 with fp32",
            "name pictures with people on them",
        )
    if different > LOSS * faces:
        raise ModelError(
            f"{model.name} in int8 differs on {different} of {faces} faces, {LOSS:.0%} is allowed",
            "name more pictures like those of your camera, or choose --precision fp16",
        )
    return made
