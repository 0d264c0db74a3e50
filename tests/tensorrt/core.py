# SPDX-License-Identifier: Apache-2.0
"""The real TensorRT core on a machine without a GPU: compiles the shim and says how a process comes to `tensorrt`.

The core parses, optimises and builds engines; running one needs a CUDA driver. Tests run them on a double of the GPU.
On a machine with a GPU, VISAVIS_TEST_GPU=real lets the tests whose processes are their own run on it, with the TensorRT
and the pycuda of that machine.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
FOLDER = ROOT / "build" / "tensorrt"
LIBRARIES = FOLDER / "site" / "onnxruntime_ep_nv_tensorrt_rtx"
# The real symbols are all in the first; the others only have to exist under their names.
NVINFER, EMPTY = "libnvinfer.so.11", ("libnvinfer_plugin.so.11", "libnvonnxparser.so.11")
REAL_GPU = os.environ.get("VISAVIS_TEST_GPU") == "real"


def why_not() -> str:
    """Why there is no core here, or ""; setup installs it wherever the wheels exist, so anything else is a fault.

    Raises:
        AssertionError: it should be here and is not.
    """
    if REAL_GPU:
        return ""
    if platform.machine() != "x86_64" or not (3, 10) <= sys.version_info[:2] <= (3, 14):
        return f"no TensorRT core exists for {platform.machine()} and Python {platform.python_version()}"
    assert (FOLDER / "installed").is_file(), "the TensorRT core is missing: run `make setup-test`"
    return ""


def build_shim() -> None:
    """Compile the shim with the paths of this checkout in it; a fraction of a second."""
    if REAL_GPU:
        return
    core, parser = (_only(f"{name}.so.*") for name in ("libtensorrt_rtx", "libtensorrt_onnxparser_rtx"))
    folder = FOLDER / "shim"
    folder.mkdir(exist_ok=True)
    paths = [f'-DCORE="{core}"', f'-DPARSER="{parser}"', "-Wall", "-Wno-unused-parameter", "-Werror"]
    _compile(folder / NVINFER, [*paths, str(HERE / "shim.c")])
    for name in EMPTY:
        _compile(folder / name, ["-x", "c", os.devnull])


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that finds `tensorrt`, and `pycuda` as a double without a GPU behind it.

    With a real GPU `pycuda` is what is installed, unless the process is to find a double's fault.
    """
    real = REAL_GPU and "VISAVIS_TEST_GPU" not in more
    if real:
        more.pop("VISAVIS_TEST_NETWORK", None)
    pycuda = os.environ.get("PYTHONPATH", "") if real else str(HERE / "double")
    path = [str(HERE / "alias"), pycuda, str(ROOT), str(ROOT / "trt-infer")]
    return dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, path)), VISAVIS_TEST_TENSORRT=str(FOLDER), **more)


def take_part() -> None:
    """Let this process find `tensorrt`; `pycuda` must be the real one."""
    os.environ["VISAVIS_TEST_TENSORRT"] = str(FOLDER)
    sys.path.insert(0, str(HERE / "alias"))


def _only(pattern: str) -> Path:
    found = sorted(LIBRARIES.glob(pattern))
    assert len(found) == 1, f"{pattern} in {LIBRARIES}: {found}"
    return found[0]


def _compile(library: Path, arguments: list[str]) -> None:
    # Into a file of this process's own: several pytest processes may compile at the same time.
    own = library.with_suffix(f".{os.getpid()}")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", f"-Wl,-soname,{library.name}", "-o", own, *arguments], check=True)
    own.replace(library)
