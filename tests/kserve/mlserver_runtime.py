# SPDX-License-Identifier: Apache-2.0
"""A runtime of MLServer for prepared models: PyPI has none for ONNX. MLServer loads it from the folder it serves."""

from __future__ import annotations

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Prepared(MLModel):  # type: ignore[misc]  # no types
    """One ONNX file, named by the model's uri."""

    async def load(self) -> bool:
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        names = [one.name for one in self._session.get_outputs()]
        found = self._session.run(names, {"image": NumpyCodec.decode_input(payload.inputs[0])})
        outputs = [NumpyCodec.encode_output(name, value) for name, value in zip(names, found, strict=True)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
