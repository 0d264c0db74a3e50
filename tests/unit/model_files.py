# SPDX-License-Identifier: Apache-2.0
"""Real model files, where this machine has them, and a graph with SCRFD's inputs and outputs."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from visavis.backends import Detector, load_detector
from visavis.families.scrfd import CANDIDATES, SIDES, STRIDES
from visavis.models.manifest import entries, pulled_path
from visavis.settings import DetectorSettings

from tests.arrays import Array
from tests.unit.face_pictures import ROOT

SHARED = ROOT.parent / "shared" / "data" / "models"
SCRFD = "scrfd-like"
MODELS = (*entries(), SCRFD)


def original_file(model: str) -> Path:
    """The file of a model of the manifest, as its authors published it."""
    entry = entries()[model]
    if entry.package:
        spec = importlib.util.find_spec(entry.package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        return Path(spec.submodule_search_locations[0]).parent / entry.file
    path = SHARED / entry.url.rsplit("/", 1)[1]
    if not path.is_file():
        pytest.skip(f"../shared/data/models/{path.name} with the model {model} is not here")
    return path


def provided(model: str, folder: Path) -> str:
    """Put a model where visavis looks for it; return how it is named there."""
    if model == SCRFD:
        path = folder / f"{SCRFD}.onnx"
        path.write_bytes(scrfd_like())
        return str(path)
    entry = entries()[model]
    if not entry.package:
        path = pulled_path(model, entry, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original_file(model), path)
    return model


def detector_for(model: str, folder: Path, score: float = 0.5) -> Detector:
    """A detector that takes pictures of any size."""
    return load_detector(
        DetectorSettings(
            model=provided(model, folder),
            backend="onnxruntime",
            input_width=0,
            input_height=0,
            score=score,
            cache_dir=folder,
        )
    )


def scrfd_like(*, landmarks: bool = True, batched: bool = False, picture: str = "input.1") -> bytes:
    """A graph with SCRFD's inputs and outputs.

    White places are faces, of 32 pixels at 0.88, of 8 and 16 at 0.38; boxes and landmarks come from chance.
    """
    chance = np.random.default_rng(7)
    nodes, weights, outputs = [], [], []
    for part, sides in zip(("score", "bbox", "kps"), SIDES[: 3 if landmarks else 2], strict=False):
        for stride in STRIDES:
            channels = sides * CANDIDATES
            kernel, bias = _head(part, (channels, 3, stride, stride), chance)
            name = f"{part}_{stride}"
            weights += [
                numpy_helper.from_array(value, f"{name}.{kind}")
                for kind, value in {"kernel": kernel, "bias": bias}.items()
            ]
            nodes.append(
                helper.make_node(
                    "Conv", [picture, f"{name}.kernel", f"{name}.bias"], [f"{name}.map"], strides=[stride, stride]
                )
            )
            last, shape, output = laid_out(f"{name}.map", name, sides, batched=batched)
            if part == "score":
                last[-1].output[0] = f"{name}.flat"
                last.append(helper.make_node("Sigmoid", [f"{name}.flat"], [name]))
            nodes += last
            weights += shape
            outputs.append(output)
    taken = helper.make_tensor_value_info(picture, TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "scrfd", [taken], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def laid_out(
    source: str, name: str, sides: int, *, batched: bool
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], onnx.ValueInfoProto]:
    """Operators, weights and the output that a map becomes, as InsightFace exports it: one row for each candidate."""
    shape = numpy_helper.from_array(np.array([1, -1, sides] if batched else [-1, sides], np.int64), f"{name}.shape")
    nodes = [
        helper.make_node("Transpose", [source], [f"{name}.laid"], perm=[0, 2, 3, 1] if batched else [2, 3, 0, 1]),
        helper.make_node("Reshape", [f"{name}.laid", f"{name}.shape"], [name]),
    ]
    dims: list[int | str | None] = [1, "n", sides] if batched else ["n", sides]
    return nodes, [shape], helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


def _head(part: str, shape: tuple[int, ...], chance: np.random.Generator) -> tuple[Array, Array]:
    places = float(np.prod(shape[1:]))
    if part == "score":  # -1 black .. 1 white, the second candidate a little weaker
        least = -6 if shape[-1] == STRIDES[-1] else -8.5
        return np.full(shape, 8 / places, np.float32), np.array([least, least - 0.5], np.float32)
    bias = chance.uniform(0.4, 0.6, shape[0]) if part == "bbox" else chance.uniform(-0.3, 0.3, shape[0])
    return (chance.normal(0, 0.1, shape) / places).astype(np.float32), bias.astype(np.float32)
