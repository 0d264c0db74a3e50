# SPDX-License-Identifier: Apache-2.0
"""The last word on what preparation made of a graph: the prepared model beside its original, on one picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from visavis.errors import ModelError
from visavis.families.family import Family
from visavis.models.graph import without_dead
from visavis.models.inspection import check_weight, picture_input, shape_of
from visavis.models.normalisation import Affine

Pixels = npt.NDArray[np.uint8]
# Of each number, and of each number's size.
MOST_APART = 1e-3
# Where the original takes any size: a multiple of every family's.
WIDTH, HEIGHT = 128, 96
# What the original may ask for at a size of its own: CenterFace asks for 2.3 GiB at 1920x1080.
MOST_ASKED_BYTES = 4 * 2**30
SEED = 1
ERRORS_ONLY = 3


def check_agreement(name: str, original: bytes, prepared: bytes, family: Family, taken: Affine) -> None:
    """Compare all outputs on a picture of chance.

    Args:
        name: of the model, for errors.
        original: the file, inspected.
        prepared: for any size.
        family: of both.
        taken: what the original takes for a byte.

    Raises:
        ModelError: they answer differently, or the original does not run.
    """
    model = _alive(onnx.load_model_from_string(original))
    sides = zip(shape_of(picture_input(model)), (1, 3, HEIGHT, WIDTH), strict=True)
    batch, _, height, width = (side or usual for side, usual in sides)
    asked_bytes = check_weight(name, model, (batch, 3, height, width))
    if asked_bytes > MOST_ASKED_BYTES:
        reason = f"at its own size, {batch} x {width}x{height}, its values take {asked_bytes // 2**20} MiB together"
        raise ModelError(f"model {name} is refused, {reason}", "export it for a smaller picture")
    picture = np.random.default_rng(SEED).integers(0, 255, (1, height, width, 3), np.uint8)
    names = [item.name for item in onnx.load_model_from_string(prepared).graph.output]
    theirs = answers(name, model.SerializeToString(), names, np.repeat(_planes(picture, family, taken), batch, axis=0))
    ours = answers(name, prepared, names, picture)
    wanted = [other if batch == 1 else other[:1] for other in theirs]
    readings = [ours] if family.published is None else [family.published(ours, (width, height)), ours]
    # A file may also have been exported without its priors, as we run it.
    apart = min(max(map(_apart, reading, wanted)) for reading in readings)
    if not apart <= 1:
        raise ModelError(
            f"cannot prepare {name}, prepared it answers {apart:.1f} times as far from its original as is allowed",
            "export it with other operators, without a normalisation in front"
            + (" and with the published priors, or none" if family.published else ""),
        )


def _apart(ours: Any, theirs: Any) -> float:
    """The largest difference over the allowed one; infinite where one is no number."""
    if ours.size != theirs.size:
        return float("inf")
    theirs = theirs.reshape(ours.shape)
    most = float((np.abs(ours - theirs) / (MOST_APART + MOST_APART * np.abs(theirs))).max(initial=0))
    return float("inf") if np.isnan(most) else most


def _planes(picture: Pixels, family: Family, taken: Affine) -> npt.NDArray[np.float32]:
    """The picture as the original takes it, (1, 3, height, width)."""
    coloured = picture[..., ::-1] if family.order == "rgb" else picture
    return np.ascontiguousarray((coloured * taken.gain + taken.offset).transpose(0, 3, 1, 2), np.float32)


def _alive(model: Any) -> Any:
    """Without what no output needs: preparation leaves that out too, and it may ask for any memory."""
    kept = without_dead(list(model.graph.node), {item.name for item in model.graph.output})
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model


def answers(name: str, model: bytes, outputs: list[str], picture: npt.NDArray[Any]) -> list[Any]:
    """What a file answers for a picture, on the CPU and on one thread.

    Raises:
        ModelError: it does not run.
    """
    from visavis.backends.onnxruntime import RUNTIME_ERRORS  # noqa: PLC0415 (it loads prepared models, so imports us)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        found: list[Any] = session.run(outputs, {session.get_inputs()[0].name: picture})
    except RUNTIME_ERRORS as error:
        raise ModelError(f"cannot compare {name} with its original, {error}", "export it again") from error
    return found
