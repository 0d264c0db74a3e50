# SPDX-License-Identifier: Apache-2.0
"""The half of TensorRT and of the CUDA driver that needs a GPU, doubled: onnxruntime does the network's arithmetic.

Builders, parsers and engines stay the real ones; only running is doubled. What a double cannot show, speed and the
driver's own behaviour, is for tests/tensorrt/on_gpu.py on a machine with a GPU.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np
import onnxruntime

from tests.tensorrt.double.pycuda import driver as cuda

# The end of a plan that the driver of today refuses.
OLD = b"of another driver"


class RuntimeDouble:
    """Loads any engine as the network that `model` is, but none of another driver, or with a GPU that "refuses" all."""

    def __init__(self, trt: Any, model: bytes) -> None:
        self._trt, self._model = trt, model

    def deserialize_cuda_engine(self, plan: bytes) -> EngineDouble | None:
        assert len(plan) > 1_000, "this is no engine"
        if plan.endswith(OLD) or os.environ.get("VISAVIS_TEST_GPU") == "refuses":
            return None
        return EngineDouble(self._trt, self._model)


class EngineDouble:
    """Names, kinds and shapes as the real engine has them."""

    def __init__(self, trt: Any, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._trt = trt
        self._inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        self._all = [*self._inputs, *reversed(outputs)]  # another order than the model's
        self.num_io_tensors = len(self._all)

    def get_tensor_name(self, index: int) -> str:
        return str(self._all[index].name)

    def get_tensor_mode(self, name: str) -> Any:
        modes = self._trt.TensorIOMode
        return modes.INPUT if name in {value.name for value in self._inputs} else modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        kinds = {"tensor(uint8)": self._trt.DataType.UINT8, "tensor(float)": self._trt.DataType.FLOAT}
        return kinds[self._value(name).type]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(side if isinstance(side, int) else -1 for side in self._value(name).shape)

    def create_execution_context(self) -> ContextDouble | None:
        return None if "create_execution_context" in cuda.faults else ContextDouble(self)

    def _value(self, name: str) -> Any:
        return next(value for value in self._all if value.name == name)


class ContextDouble:
    """Runs the network on the double's memory, when the stream comes to it."""

    def __init__(self, engine: EngineDouble) -> None:
        self._engine = engine
        self._image = engine.session.get_inputs()[0].name
        self._shape = (1, *engine.get_tensor_shape(self._image)[1:])  # of an engine for one picture it cannot be set
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        cuda.note(f"set_input_shape {shape[0]}")
        assert name == self._image
        self._shape = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self._shape[0], *self._engine.get_tensor_shape(name)[1:])

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert address in cuda.memories
        self._addresses[name] = address
        return True

    def execute_async_v3(self, handle: int) -> bool:
        cuda.note("execute_async_v3")
        if "execute" in cuda.faults:
            return False
        shape = self._shape
        cuda.Stream.all[handle].waiting.append(lambda: self._run(shape))
        return True

    def _run(self, shape: tuple[int, ...]) -> None:
        size = int(np.prod(shape))
        picture = cuda.memories[self._addresses[self._image]][:size].reshape(shape)
        names = [output.name for output in self._engine.session.get_outputs()]
        for name, output in zip(names, self._engine.session.run(names, {self._image: picture}), strict=True):
            target = cuda.memories[self._addresses[name]]
            target[: output.nbytes] = output.reshape(-1).view(np.uint8)


class TensorRtDouble:
    """The real module, but for running: every engine behaves as the network `model`."""

    def __init__(self, trt: Any, model: bytes) -> None:
        self._trt, self.model = trt, model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trt, name)

    def Runtime(self, _logger: Any) -> RuntimeDouble:
        return RuntimeDouble(self._trt, self.model)


class DriverDouble:
    """libcuda's graphs and registration, on the double's streams. `attributes` by cuDeviceGetAttribute's numbers."""

    def __init__(self) -> None:
        self.attributes: dict[int, int] = {}
        self.registered: list[tuple[int, int, int]] = []
        self.refuse: set[str] = set()
        self._graphs: dict[int, list[cuda.Work]] = {}
        self._aside: list[cuda.Work] = []

    def cuStreamBeginCapture_v2(self, stream: ctypes.c_void_p, mode: int) -> int:
        assert mode == 1
        self._aside = self._stream(stream).waiting
        self._stream(stream).waiting = []
        return self._answer("cuStreamBeginCapture_v2")

    def cuStreamEndCapture(self, stream: ctypes.c_void_p, graph: Any) -> int:
        graph._obj.value = len(self._graphs) + 1
        self._graphs[graph._obj.value] = self._stream(stream).waiting
        self._stream(stream).waiting = self._aside
        return self._answer("cuStreamEndCapture")

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: ctypes.c_void_p, _flags: Any) -> int:
        executable._obj.value = graph.value
        return self._answer("cuGraphInstantiateWithFlags")

    def cuGraphDestroy(self, _graph: ctypes.c_void_p) -> int:
        return self._answer("cuGraphDestroy")

    def cuGraphLaunch(self, executable: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        answer = self._answer("cuGraphLaunch")
        if answer == 0:
            assert executable.value is not None
            self._stream(stream).waiting += self._graphs[executable.value]
        return answer

    def cuDeviceGetAttribute(self, value: Any, number: int, _device: int) -> int:
        value._obj.value = self.attributes.get(number, 0)
        return 0

    def cuMemHostRegister_v2(self, address: ctypes.c_void_p, size: ctypes.c_size_t, flags: int) -> int:
        self.registered.append((address.value or 0, size.value, flags))
        return self._answer("cuMemHostRegister_v2")

    def cuMemHostUnregister(self, address: ctypes.c_void_p) -> int:
        self.registered = [entry for entry in self.registered if entry[0] != address.value]
        return self._answer("cuMemHostUnregister")

    def _answer(self, call: str) -> int:
        cuda.calls.append(call)
        return 801 if call in self.refuse else 0

    def _stream(self, handle: ctypes.c_void_p) -> cuda.Stream:
        assert handle.value is not None
        return cuda.Stream.all[handle.value]
