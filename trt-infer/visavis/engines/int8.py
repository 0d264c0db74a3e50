# SPDX-License-Identifier: Apache-2.0
"""INT8 as explicit Q/DQ nodes: one calibration on pictures, then one export for TensorRT and one for CPUs.

TensorRT wants symmetric int8 and no quantised biases; CPUs with VNNI or dot-product instructions are fastest with
uint8 activations. What is left in float for TensorRT, and why, is told in docs/design/tensorrt.md.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from visavis.detections import Frame
from visavis.errors import ModelError
from visavis.own_folder import own_folder, written_to
from visavis.pictures import files_of, letterboxed, pictures_of

# A convolution with fewer weights (in channels times out channels) stays in float: it gains little, and each quantised
# one costs a kernel.
LEAST_WEIGHTS = 8192
# Convolutions at the input that stay in float on a CPU: half of all error comes from them, and little time.
FIRST_IN_FLOAT = 2
INPUT = "image"
FOLDER_PREFIX = "visavis-calibrated-"
# Calibration takes seconds for each picture: more would cost minutes and gain nothing.
MOST_FRAMES = 64


class Calibrated(msgspec.Struct, frozen=True):
    """A model whose nodes have names, and the range of every tensor in it over the pictures."""

    model: bytes
    ranges: Any


def frames_of(pictures: Iterable[Path], size_px: tuple[int, int]) -> Iterator[Frame]:
    """Yield (1, H, W, 3) uint8 BGR for each picture, video frame, or file of a folder.

    Raises:
        PictureError: one cannot be read.
    """
    for name in files_of([str(path) for path in pictures]):
        for _, picture in pictures_of(name):
            yield letterboxed(picture, size_px)[0][None]


def spread(frames: Iterable[Frame], most: int = MOST_FRAMES) -> list[Frame]:
    """At most `most` of the frames, evenly over all of them, without holding more than that."""
    kept: list[Frame] = []
    step = 1
    for number, frame in enumerate(frames):
        if number % step:
            continue
        if len(kept) == most:
            kept, step = kept[::2], step * 2
            if number % step:
                continue
        kept.append(frame)
    return kept


def calibrate(model: bytes, frames: Iterable[Frame]) -> Calibrated:
    """Run every frame through the model and note the least and the greatest value of each tensor.

    Args:
        model: a prepared ONNX file of fixed size.
        frames: (1, H, W, 3) uint8 BGR each, as `frames_of` yields them.

    Raises:
        ModelError: there was no frame.
        NoPlace: there is no room among the temporary files.
    """
    named = _named(onnx.load_model_from_string(model)).SerializeToString()
    with own_folder(FOLDER_PREFIX) as folder:
        file, augmented = folder / "model.onnx", folder / "augmented.onnx"
        with written_to(folder):
            file.write_bytes(named)
            calibrator = create_calibrator(file, augmented_model_path=str(augmented))
        count = 0
        for frame in frames:
            # One at a time: a calibrator keeps all tensors of what it is given at once.
            calibrator.collect_data(_One(frame))
            count += 1
        if not count:
            raise ModelError("cannot calibrate without pictures", "name pictures like those of your camera")
        return Calibrated(named, calibrator.compute_data())


def for_tensorrt(
    calibrated: Calibrated, least_weights: int = LEAST_WEIGHTS, *, weights_in_float: bool = False
) -> bytes:
    """Quantise the inputs and weights of large dense convolutions, symmetric int8, biases in float.

    Only inputs: a pair after a convolution, before its activation, costs accuracy and a kernel of its own. No depthwise
    convolutions: TensorRT for RTX turns them into dense ones in int8, n times as many weights for n channels.

    Args:
        weights_in_float: keep them so, with Q and DQ, for parsers of TensorRT 8 that take no weights in int8.
    """
    model = onnx.load_model_from_string(calibrated.model)
    sizes = {item.name: item.dims for item in model.graph.initializer}
    chosen = [node.name for node in model.graph.node if _dense_weights(node, sizes) >= least_weights]
    options = {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        "AddQDQPairToWeight": weights_in_float,
        "OpTypesToExcludeOutputQuantization": sorted({node.op_type for node in model.graph.node}),
    }
    return _quantised(model, calibrated.ranges, QuantType.QInt8, chosen, options)


def for_cpu(calibrated: Calibrated) -> bytes:
    """Quantise convolutions with their activations, but the first: uint8 activations, int8 weights per channel."""
    model = onnx.load_model_from_string(calibrated.model)
    nodes = list(model.graph.node)
    convolutions = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    rest = nodes[convolutions[FIRST_IN_FLOAT] :] if len(convolutions) > FIRST_IN_FLOAT else []
    chosen = [node.name for node in rest if node.op_type in ("Conv", "Relu")]
    return _quantised(model, calibrated.ranges, QuantType.QUInt8, chosen, {})


def _quantised(model: Any, ranges: Any, activations: QuantType, nodes: list[str], options: dict[str, Any]) -> bytes:
    if not nodes:
        raise ModelError("nothing in this model is worth quantising", "choose fp16 or fp32")
    kinds = sorted({node.op_type for node in model.graph.node if node.name in nodes})
    ranges = copy.deepcopy(ranges)  # the quantiser changes them: the next export would depend on this one
    # model, per channel, reduced range, weights, activations, ranges, nodes, none excluded, kinds, options
    quantizer = QDQQuantizer(model, True, False, QuantType.QInt8, activations, ranges, nodes, [], kinds, options)
    with _quiet():
        quantizer.quantize_model()
    quantizer.model.topological_sort()  # ONNX wants it so; onnxruntime alone takes any order
    return bytes(quantizer.model.model.SerializeToString())


def _dense_weights(node: Any, sizes: dict[str, Any]) -> int:
    """Input channels times output channels of a convolution that is not depthwise; 0 for everything else."""
    groups = next((item.i for item in node.attribute if item.name == "group"), 1)
    if node.op_type != "Conv" or groups > 1 or node.input[1] not in sizes:
        return 0
    outputs, inputs = sizes[node.input[1]][:2]
    return int(outputs) * int(inputs)


def _named(model: Any) -> Any:
    # The quantiser chooses nodes by name, and prepared models have none.
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{number}"
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser prints and warns through the root logger about what it leaves out on request."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(before)


class _One(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
    """Hands out one frame."""

    def __init__(self, frame: Frame) -> None:
        self._left: list[dict[str, Frame]] = [{INPUT: np.ascontiguousarray(frame)}]

    def get_next(self) -> dict[str, Frame] | None:
        return self._left.pop() if self._left else None
