# SPDX-License-Identifier: Apache-2.0
"""What a prepared model becomes before TensorRT reads it: for several pictures at once, in half precision.

Precision is a property of the ONNX file, not of builder flags: one way for TensorRT 8.6 to 11, and for onnxruntime too.
"""

from __future__ import annotations

import warnings

import onnx
from onnx import version_converter

BATCH = "pictures"
# The first opset whose Q/DQ nodes work on float16, and its version of the file format.
HALF_QUANTISED_OPSET, HALF_QUANTISED_FORMAT = 19, 9


def for_many_pictures(model: bytes) -> bytes:
    """Free the first dimension of input and outputs, so that a profile may set it.

    Args:
        model: an ONNX file whose input and outputs have 1 there.
    """
    loaded = onnx.load_model_from_string(model)
    for value in (*loaded.graph.input, *loaded.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del loaded.graph.value_info[:]
    return bytes(loaded.SerializeToString())


def in_half_precision(model: bytes) -> bytes:
    """Turn weights and arithmetic into float16; input, outputs and what is quantised stay as they are.

    A model with Q/DQ nodes becomes one of opset 19, which TensorRT reads from version 10 on.
    """
    # Comes with onnxruntime; imported here because it takes 300 ms.
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415

    loaded = onnx.load_model_from_string(model)
    if any(node.op_type == "QuantizeLinear" for node in loaded.graph.node):
        loaded = version_converter.convert_version(loaded, HALF_QUANTISED_OPSET)
        loaded.ir_version = HALF_QUANTISED_FORMAT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one line for each weight that is too small for float16 and becomes 0
        half = convert_float_to_float16(loaded, keep_io_types=True)
    return bytes(half.SerializeToString())


def output_names(model: bytes) -> list[str]:
    """The outputs in the model's order, which is the order that its family decodes."""
    return [output.name for output in onnx.load_model_from_string(model).graph.output]


def input_size(model: bytes) -> tuple[int, int]:
    """Width and height of the input (1, height, width, 3), pixels; 0 where it is free."""
    shape = onnx.load_model_from_string(model).graph.input[0].type.tensor_type.shape.dim
    return int(shape[2].dim_value), int(shape[1].dim_value)
