# SPDX-License-Identifier: Apache-2.0
"""Which family a model file of one's own belongs to: told by its inputs and outputs, before anything runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from visavis.errors import ModelError
from visavis.families import centerface

# A side of a tensor; None where any will do. A model that leaves a side open fits too.
Sides = tuple[int | None, ...]


class Form(msgspec.Struct, frozen=True):
    """The one input and the outputs, in order, that make a model one of a family; all float32."""

    picture: Sides
    outputs: tuple[Sides, ...]

    def __str__(self) -> str:
        outputs = ", ".join(_written(sides) for sides in self.outputs)
        return f"input float {_written(self.picture)}, outputs {outputs}"


# One line for each family in visavis.families.
FORMS: dict[str, Form] = {
    "centerface": Form((None, 3, None, None), tuple((None, count, None, None) for count in centerface.CHANNELS)),
}


def family_of(path: Path, content: bytes, family: str) -> str:
    """Return the family that the file belongs to; `family` if it fits that one.

    Args:
        family: the only one that will do; empty for any.

    Raises:
        ModelError: no ONNX model, or its inputs and outputs fit no wanted family; says what was found and wanted.
    """
    graph = parsed(str(path), content).graph
    wanted = {family: FORMS[family]} if family else FORMS
    for name, form in wanted.items():
        if _fits(graph, form):
            return name
    kind = family or "model of a known family"
    forms = "; ".join(f"{name}, {form}" for name, form in wanted.items())
    raise ModelError(f"{path} is no {kind}, it has {_described(graph)}", f"wanted is {forms}")


def parsed(name: str, content: bytes) -> Any:
    """Return the onnx.ModelProto, checked.

    Raises:
        ModelError: no valid ONNX model, or one whose weights are in other files.
    """
    try:
        model = onnx.load_model_from_string(content)
        # Refused before any runtime sees it: weights in other files would escape the sum and the size limit.
        if any(item.data_location == TensorProto.EXTERNAL for item in model.graph.initializer):
            raise ModelError(f"{name} keeps weights in other files", "save it as one file")
        onnx.checker.check_model(model)
    except (ValueError, DecodeError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{name} is not a valid ONNX model, {reason}", "export or download it again") from error
    return model


def _fits(graph: Any, form: Form) -> bool:
    inputs = _inputs(graph)
    return (
        len(inputs) == 1
        and len(graph.output) == len(form.outputs)
        and _is(inputs[0], form.picture)
        and all(_is(value, sides) for value, sides in zip(graph.output, form.outputs, strict=True))
    )


def _is(value: Any, sides: Sides) -> bool:
    tensor = value.type.tensor_type
    found = [side.dim_value for side in tensor.shape.dim]
    if tensor.elem_type != TensorProto.FLOAT or len(found) != len(sides):
        return False
    return all(want is None or have in (0, want) for have, want in zip(found, sides, strict=True))


def _inputs(graph: Any) -> list[Any]:
    """Without the weights, which old exporters list as inputs too."""
    weights = {item.name for item in graph.initializer}
    return [item for item in graph.input if item.name not in weights]


def _described(graph: Any) -> str:
    inputs, outputs = (", ".join(map(_value, values)) for values in (_inputs(graph), graph.output))
    return f"inputs {inputs}, outputs {outputs}"


def _value(value: Any) -> str:
    tensor = value.type.tensor_type
    sides = [side.dim_param or side.dim_value or None for side in tensor.shape.dim]
    return f"{value.name} {TensorProto.DataType.Name(tensor.elem_type).lower()} {_written(sides)}"


def _written(sides: Any) -> str:
    return "[" + ", ".join("?" if side is None else str(side) for side in sides) + "]"
