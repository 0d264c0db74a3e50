# SPDX-License-Identifier: Apache-2.0
"""`import tensorrt` for tests: NVIDIA's own Python module over NVIDIA's own core, joined by the compiled shim.

Only on the path of processes that tests/tensorrt starts or is; $VISAVIS_TEST_TENSORRT is the folder with both.
With $VISAVIS_TEST_GPU=real it is the TensorRT of this machine instead.
With $VISAVIS_TEST_NETWORK, an ONNX file, engines run as that network on the doubles of GPU and runtime.
With $VISAVIS_TEST_BUILD_GATE, a build goes on only when that file is there: on a small board it takes minutes.
With $VISAVIS_TEST_BUILD_GATE=never a build does not come back and asks nobody: so does that of TensorRT 8 for minutes.
With $VISAVIS_TEST_HOLD_AT, the bar of `visavis engine` says HELD at that phase and waits until the process must stop.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["VISAVIS_TEST_TENSORRT"])


def _core() -> Any:
    for library in ("libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11"):
        ctypes.CDLL(str(FOLDER / "shim" / library), ctypes.RTLD_GLOBAL)
    sys.path.append(str(FOLDER / "site"))
    return importlib.import_module("tensorrt_bindings")


def _installed() -> Any:
    """The module that this one hides."""
    path, own = sys.path[:], sys.modules.pop("tensorrt")
    sys.path.remove(str(Path(__file__).parent))
    try:
        return importlib.import_module("tensorrt")
    finally:
        sys.path[:], sys.modules["tensorrt"] = path, own


_bindings = _installed() if os.environ.get("VISAVIS_TEST_GPU") == "real" else _core()
globals().update({name: value for name, value in vars(_bindings).items() if not name.startswith("__")})
__version__ = _bindings.__version__

if "VISAVIS_TEST_NETWORK" in os.environ:
    # One module under both names, so that backend and runtime see the same memory.
    sys.modules["tests.tensorrt.double.pycuda.driver"] = importlib.import_module("pycuda.driver")
    _double = importlib.import_module("tests.tensorrt.gpu_double")
    _network = Path(os.environ["VISAVIS_TEST_NETWORK"]).read_bytes()
    globals()["Runtime"] = lambda _logger: _double.RuntimeDouble(_bindings, _network)

if os.environ.get("VISAVIS_TEST_BUILD_GATE") == "never":

    class _DeafBuilder:
        def __init__(self, logger: object) -> None:
            self._real = _bindings.Builder(logger)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

        def build_serialized_network(self, _network: object, _config: object) -> None:
            """Waits in C, where no handler of Python runs, for a lock that it holds itself; no signal ends that."""
            print("visavis-test: the build has begun", file=sys.stderr, flush=True)
            lock = ctypes.create_string_buffer(64)
            ctypes.CDLL(None).pthread_mutex_lock(lock)
            ctypes.CDLL(None).pthread_mutex_lock(lock)

    globals()["Builder"] = _DeafBuilder

elif "VISAVIS_TEST_BUILD_GATE" in os.environ:

    def _slow_builder(logger: object) -> object:
        while not Path(os.environ["VISAVIS_TEST_BUILD_GATE"]).exists():
            time.sleep(0.05)
        return _bindings.Builder(logger)

    globals()["Builder"] = _slow_builder

if _moment := os.environ.get("VISAVIS_TEST_HOLD_AT", ""):
    _engine: Any = importlib.import_module("visavis.cli.engine")

    class _HeldBar(_engine.Bar):  # type: ignore[misc]
        def __call__(self, fraction: float, phase: str) -> bool:
            goes_on: bool = super().__call__(fraction, phase)
            if _moment in phase and goes_on:
                print("visavis-test: HELD", file=sys.stderr, flush=True)
                self._stop.wait()
            return goes_on

    _engine.Bar, _engine.STOP_LIMIT_S = _HeldBar, 600.0  # it must end because it is told to, not because time is up
