# SPDX-License-Identifier: Apache-2.0
"""MLServer for a model repository as `visavis model export-triton` writes it: PyPI has no runtime for ONNX.

`model_server.py REPOSITORY HOST HTTP_PORT GRPC_PORT` serves every REPOSITORY/NAME/1/model.onnx under its NAME, over the
Open Inference Protocol. It needs a folder for temporary files, and nothing else that can be written.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import onnxruntime
from mlserver import MLModel
from mlserver.cli import main as mlserver
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor

DATATYPES = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32"}


class Prepared(MLModel):  # type: ignore[misc]  # no types
    """One ONNX file, named by the model's uri."""

    async def load(self) -> bool:
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, providers=["CPUExecutionProvider"])
        self.inputs = [described(one) for one in self._session.get_inputs()]
        self.outputs = [described(one) for one in self._session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        names = [one.name for one in self._session.get_outputs()]
        given = {one.name: NumpyCodec.decode_input(one) for one in payload.inputs}
        found = self._session.run(names, given)
        outputs = [NumpyCodec.encode_output(name, value) for name, value in zip(names, found, strict=True)]
        return InferenceResponse(model_name=self.name, outputs=outputs)


def described(tensor: onnxruntime.NodeArg) -> MetadataTensor:
    """A tensor as the protocol tells it; sides that vary are -1."""
    sides = [side if isinstance(side, int) else -1 for side in tensor.shape]
    return MetadataTensor(name=tensor.name, datatype=DATATYPES[tensor.type], shape=sides)


def write_settings(folder: Path, repository: Path, host: str, http_port: int, grpc_port: int) -> None:
    """What MLServer reads: one process, no metrics, and each model with where it lies."""
    settings = {"host": host, "http_port": http_port, "grpc_port": grpc_port, "debug": False}
    quiet = {"parallel_workers": 0, "metrics_endpoint": None}
    (folder / "settings.json").write_text(json.dumps(settings | quiet))
    for file in repository.glob("*/1/model.onnx"):
        name = file.parts[-3]
        model = {"name": name, "implementation": "model_server.Prepared", "parameters": {"uri": str(file)}}
        (folder / name).mkdir()
        (folder / name / "model-settings.json").write_text(json.dumps(model))


def main() -> None:
    """Serve until somebody ends it."""
    repository, host, http_port, grpc_port = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        write_settings(Path(folder), Path(repository).resolve(), host, int(http_port), int(grpc_port))
        sys.argv[1:] = ["start", folder]
        mlserver()


if __name__ == "__main__":
    main()
