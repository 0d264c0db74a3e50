# SPDX-License-Identifier: Apache-2.0
"""What Triton's Python backend runs instead of its onnxruntime backend: the same file, by Python's onnxruntime.

$TEST_MOOD is a file: while it says "wait", no request is answered, and a file `held` lies beside it, as does `ran` with
a line for each run of the network: how many pictures it got.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton

MOOD = Path(os.environ["TEST_MOOD"])
HELD, RAN = MOOD.with_name("held"), MOOD.with_name("ran")


class TritonPythonModel:
    """One ONNX file. Triton wants this name, and those of the methods.

    This Triton is from before NumPy 2, with whose arrays it cannot deal. DLPack works, though the log tells of a fault
    that has no consequence for each output: "PyCapsule_GetPointer called with incorrect name".
    """

    def initialize(self, args: dict[str, str]) -> None:
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._names = [one.name for one in self._session.get_outputs()]
        HELD.unlink(missing_ok=True)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Infer all pictures that Triton has put together at once, and give each request its own."""
        wait()
        pictures = [np.from_dlpack(triton.get_input_tensor_by_name(one, "image")) for one in requests]
        together = np.concatenate(pictures)
        found = self._session.run(self._names, {"image": together})
        with RAN.open("a") as ran:
            ran.write(f"{len(together)}\n")
        ends = np.cumsum([len(one) for one in pictures])[:-1]
        return [self._answer(parts) for parts in zip(*(np.split(one, ends) for one in found), strict=True)]

    def _answer(self, outputs: Sequence[Any]) -> Any:
        tensors = [triton.Tensor.from_dlpack(name, one) for name, one in zip(self._names, outputs, strict=True)]
        return triton.InferenceResponse(tensors)


def wait() -> None:
    """Hold a request for as long as the mood says so."""
    while MOOD.read_text() == "wait":
        HELD.touch()
        time.sleep(0.005)
    HELD.unlink(missing_ok=True)
