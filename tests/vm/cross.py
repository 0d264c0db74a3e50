# SPDX-License-Identifier: Apache-2.0
"""Compiles the daemon for the Pi: this machine's cross compiler, the headers and libraries of the Pi's Debian."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from tests.vm.lab import PI, REPOSITORY, kept

# They are only unpacked, so nothing of the other processor runs here.
PACKAGES = ("libopencv-dev", "libc6-dev", "libstdc++-14-dev", "libgcc-14-dev")
TAGS = "gocv_specific_modules,gocv_imgproc,gocv_imgcodecs,gocv_videoio"
TRIPLE = "aarch64-linux-gnu"
# OpenCV's own libraries need some whose places are only decided when they are configured.
LINK = "-O2 -g -Wl,--as-needed -Wl,--allow-shlib-undefined"


def sysroot() -> Path:
    """The folder that stands for the Pi's root when programs are compiled for it."""
    name = hashlib.sha256(repr((PI.suite, PI.architecture, PACKAGES)).encode()).hexdigest()[:16]
    return kept(f"sysroot-{name}", unpack)


def unpack(folder: Path) -> None:
    """Fetch and unpack `PACKAGES` and what they depend on."""
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--arch={PI.architecture}"]
    subprocess.run([*command, f"--include={','.join(PACKAGES)}", PI.suite, str(folder)], check=True)
    if not (folder / "lib").exists():
        (folder / "lib").symlink_to("usr/lib")  # what base-files would do when it is configured


def daemon(program: Path) -> None:
    """Write visavis-capture for the Pi."""
    root = sysroot()
    environment = {
        "CGO_ENABLED": "1",
        "GOARCH": PI.architecture,
        "CC": f"{TRIPLE}-gcc --sysroot={root}",
        "CXX": f"{TRIPLE}-g++ --sysroot={root}",
        "CGO_LDFLAGS": LINK,
        "CGO_LDFLAGS_ALLOW": "-Wl,.*",
        "PKG_CONFIG_SYSROOT_DIR": str(root),
        "PKG_CONFIG_LIBDIR": f"{root}/usr/lib/{TRIPLE}/pkgconfig",
    }
    command = [
        "go",
        "build",
        "-trimpath",
        "-tags",
        TAGS,
        "-ldflags",
        "-s -w",
        "-o",
        str(program),
        "./cmd/visavis-capture",
    ]
    subprocess.run(command, cwd=REPOSITORY / "go-capture", env={**os.environ, **environment}, check=True)
