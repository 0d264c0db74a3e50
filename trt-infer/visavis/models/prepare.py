# SPDX-License-Identifier: Apache-2.0
"""Rewrites a model so that it runs fast and takes the frame as it lies in the ring.

What is done, in the order of `prepare`: places become lists for any batch and size, what no output needs goes, the
graph's own normalisation of the picture is taken out, batch normalisation and pairs of linear 1x1 convolutions become
one convolution, channel swap and scale move into the first weights, the input becomes (batch, H, W, 3) uint8 BGR, and
weights are plain initializers (some originals list them as inputs, so a runtime may fold nothing).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from visavis.errors import ModelError
from visavis.families import FAMILIES
from visavis.families.family import Family, Shape
from visavis.models import graph as rewrite
from visavis.models.graph import Weights
from visavis.models.inspection import (
    OWN_DOMAINS,
    check_weight,
    described,
    inspected,
    outputs_of,
    picture_input,
    shape_of,
)
from visavis.models.manifest import Original
from visavis.models.normalisation import Affine, is_nothing, taken, taken_out

# What a model for pictures of any size is weighed at, pixels.
USUAL_SIDE = 1024
# From this version on these operators mean the same up to OPSET; a model that has others keeps its own version.
SINCE = {
    **dict.fromkeys(
        ["Cast", "Conv", "ConvTranspose", "Relu", "Sigmoid", "Add", "Sub", "Concat", "Transpose", "Reshape", "Softmax"],
        9,
    ),
    **dict.fromkeys(("MaxPool", "Resize"), 11),
}
OPSET = 13
# The original's input, float32 (batch, 3, H, W): its own name may be the one that we give ours.
PLANES = "visavis.planes"


def prepare(original: Original, width: int, height: int, batch: int = 1) -> bytes:
    """Rewrite `original` for pictures of width x height pixels; 0 x 0 for any size, batch 0 for any number.

    Returns:
        An ONNX file: input `image` (batch, H, W, 3) uint8 BGR, outputs as the family says.

    Raises:
        ModelError: a size that the model cannot take, or a file that is refused or not such a model.
    """
    family = FAMILIES[original.entry.family]
    family.check_size(original.name, width, height)
    model = inspected(original.content, original.name)
    if not family.fits(outputs_of(model)):
        raise ModelError(
            f"{original.name} is not a {family.name}, it has outputs {described(outputs_of(model))}",
            f"wanted is {family.form}",
        )
    try:
        prepared, own = _prepared(model, family, (batch, height, width))
        _weigh(original.name, prepared)
        _compare(original, family, own)
    except (KeyError, IndexError, StopIteration, TypeError, ValueError) as error:
        raise ModelError(f"cannot prepare {original.name}, its graph is not a {family.name} ({error!r})") from error
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"cannot prepare {original.name}, {reason}", "export it with other operators") from error
    return bytes(prepared.SerializeToString())


def own_normalisation(original: Original) -> Affine:
    """What a graph does to each value of its picture by itself, before its first convolution.

    Raises:
        ModelError: the file is refused.
    """
    model = inspected(original.content, original.name)
    weights: Weights = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    nodes = rewrite.lift_constants(list(model.graph.node), weights)
    return taken_out(rewrite.without_dead(nodes, set(outputs_of(model))), weights, picture_input(model).name)[1]


def _compare(original: Original, family: Family, own: Affine) -> None:
    """Let the original judge what became of it."""
    # onnxruntime takes 100 ms to import: only who prepares pays.
    from visavis.models.agreement import check_agreement  # noqa: PLC0415

    any_size, _ = _prepared(inspected(original.content, original.name), family, (1, 0, 0))
    takes = usual(family) if is_nothing(own) else taken(own)
    check_agreement(original.name, original.content, any_size.SerializeToString(), family, takes)


def _prepared(model: Any, family: Family, size: tuple[int, int, int]) -> tuple[Any, Affine]:
    """The prepared model, and what the original did to its picture by itself."""
    weights: Weights = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    image, outputs = picture_input(model).name, _ordered(model, family)
    nodes = rewrite.flatten_heads(rewrite.lift_constants(list(model.graph.node), weights), weights)
    if family.published is not None:
        nodes = _cut_priors(nodes)
    nodes, own = taken_out(rewrite.without_dead(nodes, set(outputs)), weights, image)
    nodes = rewrite.merge_linear_pairs(rewrite.fold_batch_norms(nodes, weights), weights, set(outputs))
    rewrite.rename(nodes, image, PLANES)
    seen = usual(family) if is_nothing(own) else taken(own).then(own)
    swap = family.order == "rgb"
    rewrite.take_bytes(nodes, weights, PLANES, swap=swap, scale=1 / seen.gain)
    nodes = _front(-seen.offset / seen.gain, weights, swap=swap) + nodes
    return _assembled(nodes, weights, _declared(outputs, family, size), size, _opset(model, nodes)), own


def _ordered(model: Any, family: Family) -> list[str]:
    names = list(outputs_of(model))
    return [name for name in family.outputs if name in names] or names


def _cut_priors(nodes: list[Any]) -> list[Any]:
    """Answer the raw moves as `boxes`; the priors behind them are those of one input size."""
    made = rewrite.producers(nodes)
    lists = [node for node in nodes if node.op_type == "Concat" and _of_places(node, made)]
    moves = next(node for node in lists if node.output[0] != made["scores"].input[0])
    kept = [node for node in nodes if node is moves or "boxes" not in node.output]
    moves.output[0] = "boxes"
    return kept


def _of_places(concat: Any, made: dict[str, Any]) -> bool:
    return all(name in made and made[name].op_type == "Reshape" for name in concat.input)


def usual(family: Family) -> Affine:
    """What is done to bytes before an original of the family."""
    gain = np.full(3, 1 / family.scale)
    return Affine(gain, -family.mean * gain)


def _front(mean: npt.NDArray[Any], weights: Weights, *, swap: bool) -> list[Any]:
    """The operators from rows of bytes to planes without their mean, (3,) in the order of the original's channels."""
    laid = "image_laid" if mean.any() else PLANES
    nodes = [
        helper.make_node("Cast", ["image"], ["image_float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["image_float"], [laid], perm=[0, 3, 1, 2]),
    ]
    if laid != PLANES:
        # Not into the weights: the border of the picture is padded with zeros after the mean has gone.
        planes = mean[:: -1 if swap else 1].reshape(3, 1, 1)
        weights["image_mean"] = np.array(mean[0] if (mean == mean[0]).all() else planes, np.float32)
        nodes.append(helper.make_node("Sub", [laid, "image_mean"], [PLANES]))
    return nodes


def _declared(names: list[str], family: Family, size: tuple[int, int, int]) -> list[Any]:
    batch, height, width = size
    # Which sides follow from the picture's: those that differ between two sizes.
    one, other = family.shapes(width or 64, height or 64), family.shapes(128, 128)
    return [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [batch or "batch", *_sides(name, a, b, any_size=not width)]
        )
        for name, a, b in zip(names, one, other, strict=False)
    ]


def _sides(name: str, one: Shape, other: Shape, *, any_size: bool) -> list[int | str]:
    return [
        f"{name}_{axis}" if any_size and a != b else a
        for axis, (a, b) in enumerate(zip(one[1:], other[1:], strict=True), 1)
    ]


def _assembled(nodes: list[Any], weights: Weights, outputs: list[Any], size: tuple[int, int, int], opset: int) -> Any:
    batch, height, width = size
    used = {name for node in nodes for name in node.input}
    shape = [batch or "batch", height or "height", width or "width", 3]
    graph = helper.make_graph(
        nodes,
        "visavis",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in weights.items() if name in used],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="visavis"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _opset(model: Any, nodes: list[Any]) -> int:
    own = int(next(item.version for item in model.opset_import if item.domain in OWN_DOMAINS))
    return OPSET if own < OPSET and all(SINCE.get(node.op_type, OPSET) <= own for node in nodes) else own


def _weigh(name: str, prepared: Any) -> None:
    """Refuse what asks for absurd memory; a model for any size is weighed at USUAL_SIDE."""
    weighed = onnx.ModelProto()
    weighed.CopyFrom(prepared)
    batch, height, width, channels = shape_of(picture_input(weighed))
    check_weight(name, weighed, (batch or 1, height or USUAL_SIDE, width or USUAL_SIDE, channels))
