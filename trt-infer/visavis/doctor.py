# SPDX-License-Identifier: Apache-2.0
"""The examinations of `visavis doctor`: each looks at one subject and says ok, warn or fail with the remedy."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from visavis.daemon import daemon_program, effective_config
from visavis.errors import VisavisError

KERNEL_WITH_FUTURE_WRITE = (5, 1)
# A few models in a few sizes.
CACHE_FREE_LEAST_MB = 50


class Finding(msgspec.Struct, frozen=True):
    """What one examination found."""

    subject: str
    state: Literal["ok", "warn", "fail"]
    words: str
    remedy: str = ""


def examine(config: Path | None) -> Iterator[Finding]:
    """Run all examinations, one finding after another, the quick ones first."""
    for examination in EXAMINATIONS:
        yield examination()
    if config is not None:
        yield configuration(config)


def kernel() -> Finding:
    """Sealed rings need F_SEAL_FUTURE_WRITE."""
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if numbers >= KERNEL_WITH_FUTURE_WRITE:
        return Finding("kernel", "ok", f"Linux {release}, {os.sysconf('SC_PAGE_SIZE')} byte pages")
    return Finding("kernel", "fail", f"Linux {release} cannot seal frames against workers", "use Linux 5.1 or newer")


def daemon() -> Finding:
    """The Go program and, through it, OpenCV's libraries."""
    try:
        program = daemon_program()
        answer = subprocess.run([program, "-effective"], capture_output=True, text=True, check=False)
    except VisavisError as error:
        return Finding("daemon", "fail", str(error))
    if answer.returncode == 0:
        return Finding("daemon", "ok", f"{program} starts, OpenCV's libraries are there")
    return Finding(
        "daemon", "fail", answer.stderr.strip().splitlines()[-1], "install libopencv-dev and run `make setup`"
    )


def cameras() -> Finding:
    """Which video devices there are, and whether this user may open them."""
    devices = sorted(Path("/dev").glob("video*"))
    if not devices:
        return Finding("cameras", "warn", "no /dev/video* here", "plug a camera in, or use rtsp://, file: or demo:")
    closed = [str(device) for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        return Finding("cameras", "fail", f"no permission for {', '.join(closed)}", "add the user to group video")
    return Finding("cameras", "ok", ", ".join(str(device) for device in devices))


def broker() -> Finding:
    """mosquitto, for who has no broker."""
    program = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    if program:
        return Finding("broker", "ok", f"{program} can be started when no broker is configured")
    return Finding("broker", "warn", "mosquitto is not installed", "apt install mosquitto, or set mqtt.url")


def onnxruntime() -> Finding:
    """The backend that works everywhere."""
    if importlib.util.find_spec("onnxruntime") is None:
        return Finding("onnxruntime", "fail", "the Python package is missing", "run `make setup`")
    import onnxruntime  # noqa: PLC0415 (slow to import, wanted only here)

    return Finding("onnxruntime", "ok", f"{onnxruntime.__version__}, providers {onnxruntime.get_available_providers()}")


def tensorrt() -> Finding:
    """TensorRT and pycuda, for who has an NVIDIA GPU."""
    missing = [name for name in ("tensorrt", "pycuda") if importlib.util.find_spec(name) is None]
    if not missing:
        return Finding("tensorrt", "ok", "tensorrt and pycuda can be imported")
    words = f"{' and '.join(missing)} missing: onnxruntime on the CPU is used"
    return Finding("tensorrt", "warn", words, "on a Jetson install python3-libnvinfer and pycuda")


def cuda() -> Finding:
    """An NVIDIA GPU and its driver."""
    nodes = [node for node in ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu/igpu0/ctrl") if Path(node).exists()]
    if nodes:
        return Finding("cuda", "ok", f"GPU driver is loaded ({nodes[0]})")
    return Finding("cuda", "warn", "no NVIDIA GPU here: the CPU infers")


def model() -> Finding:
    """The default model, verified."""
    from visavis.models.cache import prepared_model  # noqa: PLC0415 (slow to import, wanted only here)

    try:
        prepared = prepared_model("centerface")
    except VisavisError as error:
        return Finding("model", "fail", str(error), "run `visavis model prepare centerface`")
    return Finding("model", "ok", f"centerface is prepared: {prepared}")


def cache() -> Finding:
    """A folder for prepared models that can be written."""
    from visavis.settings import default_cache_dir  # noqa: PLC0415

    folder = default_cache_dir()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    elsewhere = "set VISAVIS_CACHE_DIR to a folder of this user"
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        return Finding("cache", "fail", f"{folder} cannot be written", elsewhere)
    free_mb = shutil.disk_usage(existing).free // 10**6
    if free_mb < CACHE_FREE_LEAST_MB:
        return Finding("cache", "fail", f"{folder} has {free_mb} MB free", f"make room, or {elsewhere}")
    return Finding("cache", "ok", f"{folder}, {free_mb} MB free")


def configuration(file: Path) -> Finding:
    """Whether the daemon accepts the configuration."""
    try:
        effective_config(file, os.environ)
    except VisavisError as error:
        return Finding("config", "fail", str(error))
    return Finding("config", "ok", str(file))


EXAMINATIONS: tuple[Callable[[], Finding], ...] = (
    kernel, daemon, cameras, cuda, tensorrt, onnxruntime, broker, cache, model,
)  # fmt: skip
