# SPDX-License-Identifier: Apache-2.0
"""`import tensorrt` for tests: NVIDIA's own Python module over NVIDIA's own core, joined by the compiled shim.

Only on the path of processes that tests/tensorrt starts or is; $VISAVIS_TEST_TENSORRT is the folder with both.
With $VISAVIS_TEST_NETWORK, an ONNX file, engines run as that network on the doubles of GPU and runtime.
With $VISAVIS_TEST_BUILD_GATE, a build goes on only when that file is there: on a small board it takes minutes.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["VISAVIS_TEST_TENSORRT"])

for _library in ("libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11"):
    ctypes.CDLL(str(FOLDER / "shim" / _library), ctypes.RTLD_GLOBAL)
sys.path.append(str(FOLDER / "site"))
_bindings = importlib.import_module("tensorrt_bindings")
globals().update({name: value for name, value in vars(_bindings).items() if not name.startswith("__")})
__version__ = _bindings.__version__

if "VISAVIS_TEST_NETWORK" in os.environ:
    # One module under both names, so that backend and runtime see the same memory.
    sys.modules["tests.tensorrt.double.pycuda.driver"] = importlib.import_module("pycuda.driver")
    _double = importlib.import_module("tests.tensorrt.gpu_double")
    _network = Path(os.environ["VISAVIS_TEST_NETWORK"]).read_bytes()
    globals()["Runtime"] = lambda _logger: _double.RuntimeDouble(_bindings, _network)

if "VISAVIS_TEST_BUILD_GATE" in os.environ:

    def _slow_builder(logger: object) -> object:
        while not Path(os.environ["VISAVIS_TEST_BUILD_GATE"]).exists():
            time.sleep(0.05)
        return _bindings.Builder(logger)

    globals()["Builder"] = _slow_builder
