# SPDX-License-Identifier: Apache-2.0
"""What a machine is: its board, system, memory, libraries, and how hot it is. Nothing here takes long."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from visavis import __version__
from visavis.free_memory import meminfo_bytes
from visavis.programs import Said, asked
from visavis.system_files import text_of

PACKAGES = ("onnxruntime", "numpy", "tensorrt", "pycuda")
# GStreamer's elements that cameras need: a Raspberry Pi's, a Jetson's, and what both end in.
ELEMENTS = ("libcamerasrc", "nvarguscamerasrc", "nvvidconv", "videoconvert", "appsink")
THROTTLED = ["vcgencmd", "get_throttled"]  # a Raspberry Pi's: whether it was too hot or had too little power
# What no chip outlives, and a zone of Jetsons that says 100 °C always: neither measures.
MOST_C, NEVER_MEASURED = 150.0, "PMIC-Die"
PROGRAMS = {
    "libcamera": ["cam", "--list"],
    "rpicam": ["rpicam-hello", "--list-cameras"],
    "jetson": ["cat", "/etc/nv_tegra_release"],
    "power mode": ["nvpmodel", "-q"],
    "gpu": ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
}


def board() -> dict[str, Any]:
    """The board by its device tree, or a PC by its product name."""
    return {
        "model": text_of("/proc/device-tree/model") or text_of("/sys/class/dmi/id/product_name") or "unknown",
        "compatible": text_of("/proc/device-tree/compatible").split("\0"),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "memory_mib": (meminfo_bytes("MemTotal") or 0) >> 20,
        "governor": text_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "most_mhz": int(text_of("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq") or 0) // 1000,
    }


def system() -> dict[str, Any]:
    """The system, its kernel, and the versions of what visavis stands on."""
    release = dict(line.split("=", 1) for line in text_of("/etc/os-release").splitlines() if "=" in line)
    return {
        "visavis": __version__,
        "os": release.get("PRETTY_NAME", "unknown").strip('"'),
        "kernel": platform.release(),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "libc": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "programs": {name: str(asked(command)) for name, command in PROGRAMS.items()},
    }


def libraries(daemon: str) -> dict[str, Any]:
    """Which OpenCV the daemon finds, what GStreamer offers."""
    linked = asked(["ldd", daemon]).text
    opencv = sorted({line.split()[0] for line in linked.splitlines() if "opencv" in line and "not found" not in line})
    inspect = shutil.which("gst-inspect-1.0")
    elements = {name: _exists(asked([inspect, "--exists", name])) for name in ELEMENTS} if inspect else {}
    return {
        "opencv": opencv,
        "opencv_uses_gstreamer": "libgstreamer" in linked,
        "opencv_uses_ffmpeg": "libavcodec" in linked,
        "missing": [line.split()[0] for line in linked.splitlines() if "not found" in line],
        "gst_inspect": bool(inspect),
        "gstreamer": elements,
    }


def heat(folder: Path = Path("/sys/class/thermal")) -> dict[str, float]:
    """The temperature of each thermal zone, degrees Celsius; one that cannot be read is left out."""
    found: dict[str, float] = {}
    for zone in sorted(folder.glob("thermal_zone*")):
        text, kind = text_of(zone / "temp"), text_of(zone / "type")
        if text.lstrip("-").isdigit() and kind != NEVER_MEASURED and int(text) <= 1000 * MOST_C:
            found[f"{zone.name} {kind}"] = int(text) / 1000
    return found


def strain() -> dict[str, Any]:
    """What work does to the board: how hot it is, how fast its processors run, and whether it had to slow down."""
    clocks = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    return {
        "heat_c": heat(),
        "mhz": [int(text_of(clock) or 0) // 1000 for clock in clocks],
        "throttled": str(asked(THROTTLED)),
        "free_mib": free_mib(),
    }


def free_mib() -> int:
    """Memory that is to be had now."""
    return (meminfo_bytes("MemAvailable") or 0) >> 20


def _exists(answer: Said) -> bool | None:
    """None where the program did not say: the first look at all plugins may take a Jetson long."""
    return None if answer.code is None else answer.code == 0


def _version(package: str) -> str:
    if importlib.util.find_spec(package) is None:
        return "missing"
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "there, without a version"
