# SPDX-License-Identifier: Apache-2.0
"""What the tests need inside a machine: the product, its Python packages and model, compiled tests, pictures."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from visavis.settings import default_cache_dir

from deb import beside, cross
from deb.build import SYSTEMS, package
from deb.kept import REPOSITORY
from tests.unit.face_pictures import gocv_pictures
from tests.vm.lab import Board

# The Python of each Debian, and the names that pip knows its machines by.
PC_PYTHON = ("--python-version", "3.11")
PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_26", "manylinux_2_27", "manylinux_2_28")
PI_PYTHON = ("--python-version", "3.13", *(f"--platform={platform}_aarch64" for platform in PLATFORMS))
RUNTIME = ("runtime.txt", "model.txt")
# What of dev.txt runs the tests themselves.
TEST_PACKAGES = {
    *("attrs", "hypothesis", "iniconfig", "jsonschema", "jsonschema-specifications", "packaging", "pluggy", "pygments"),
    *("pytest", "pytest-timeout", "referencing", "rpds-py", "sortedcontainers", "typing-extensions"),
}
# Packages of the daemon that do not touch OpenCV: Go alone compiles them for another processor.
PURE_GO = ("config", "dispatch", "event", "frame", "geometry", "hub", "outbox", "ring", "track", "v4l2", "zone")
ARM64 = {"GOARCH": "arm64", "CGO_ENABLED": "0"}
IGNORED = shutil.ignore_patterns("__pycache__")


def fill_pc(folder: Path) -> None:
    """The daemon as it was built here, the worker, the Go tests of cameras, and the USB camera."""
    shutil.copy(REPOSITORY / "build" / "visavis-capture", folder)
    shutil.copytree(REPOSITORY / "build" / "demo", folder / "demo")
    copy_python(folder)
    for name in ("usb_camera.py", "outages.py"):
        shutil.copy(REPOSITORY / "tests" / "vm" / name, folder)
    go("test", "-c", "-tags", f"{cross.TAGS},camera", "-o", str(folder / "source.test"), "./internal/source")
    install(folder / "site", PC_PYTHON, [REPOSITORY / "requirements" / name for name in RUNTIME])
    draw_pictures(folder / "pictures")


def fill_pi(folder: Path) -> None:
    """The daemon, the tests of Go packages, the ring's writer for chaos, the worker and its tests."""
    cross.daemon(cross.TRIXIE_ARM, folder / "visavis-capture")
    for name in PURE_GO:
        go(
            "test",
            "-c",
            "-o",
            str(folder / "go" / f"{name}.test"),
            f"./internal/{name}",
            GOARCH="arm64",
            CGO_ENABLED="0",
        )
    go("build", "-o", str(folder / "ringload"), "./internal/testprogram/ringload", GOARCH="arm64", CGO_ENABLED="0")
    shutil.copytree(REPOSITORY / "build" / "demo", folder / "demo")
    copy_python(folder)
    for name in ("contracts", "docs", "go-capture", "tests"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=IGNORED)
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    (folder / "deb").mkdir()
    shutil.copy(REPOSITORY / "deb" / "config.toml", folder / "deb")
    picked = folder / "test-packages.txt"
    picked.write_text(pinned(TEST_PACKAGES))
    install(folder / "site", PI_PYTHON, [*(REPOSITORY / "requirements" / name for name in RUNTIME), picked])
    draw_pictures(folder / "pictures")


def fill_plain(folder: Path, board: Board) -> None:
    """The package for this machine, the same as an older and a newer version, and the packages beside it."""
    system = SYSTEMS[board.suite, board.architecture]
    for version in ("0.0.1", "0.1.0", "0.2.0"):
        shutil.copy(package(system, version), folder / f"{version}.deb")
    for file in beside.packages("0.1.0"):
        shutil.copy(file, folder / f"{file.name.partition('_')[0]}.deb")
    shutil.copy(broker_with_other_settings("0.2.0"), folder / "visavis-broker-0.2.0.deb")


def broker_with_other_settings(version: str) -> Path:
    """A version of visavis-broker that has changed what mosquitto reads."""
    file = beside.broker(version)
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["dpkg-deb", "--raw-extract", file, root], check=True)
        with (Path(root) / beside.BROKER_SETTINGS[0]).open("a") as settings:
            settings.write("max_connections 1000\n")
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, file], check=True, stdout=sys.stderr)
    return file


def fill_containers(folder: Path, archives: list[Path]) -> None:
    """The repository as Docker needs it, images for `docker load`, and a photo with a face."""
    (folder / "project").mkdir()
    builders = re.findall(r"^!(\S+)$", (REPOSITORY / ".dockerignore").read_text(), re.MULTILINE)
    for name in ("compose.yaml", ".dockerignore", *builders):
        whole = shutil.copy if (REPOSITORY / name).is_file() else partial(shutil.copytree, ignore=IGNORED)
        whole(REPOSITORY / name, folder / "project" / name)
    (folder / "images").mkdir()
    for file in archives:
        shutil.copy(file, folder / "images")
    assert cv2.imwrite(str(folder / "photo.jpg"), gocv_pictures()["face.jpg"])


def copy_python(folder: Path) -> None:
    """Write the worker, and models as they are prepared here."""
    shutil.copytree(REPOSITORY / "trt-infer", folder / "trt-infer", ignore=IGNORED)
    shutil.copytree(default_cache_dir(), folder / "cache")


def go(*words: str, **environment: str) -> None:
    """Run the Go command in the daemon's module."""
    subprocess.run(["go", *words], cwd=REPOSITORY / "go-capture", env={**os.environ, **environment}, check=True)


def pinned(names: set[str]) -> str:
    """Pick packages with versions and sums out of dev.txt."""
    listed = re.split(r"\n(?=[a-z])", (REPOSITORY / "requirements" / "dev.txt").read_text())
    picked = [one for one in listed if one.partition("==")[0] in names]
    missing = names - {one.partition("==")[0] for one in picked}
    assert not missing, f"dev.txt lacks {', '.join(sorted(missing))}"
    return "\n".join(picked) + "\n"


def install(folder: Path, python: tuple[str, ...], requirements: list[Path]) -> None:
    """Install for another Python, or another processor, than this one's."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    pip += ["--target", str(folder), *python, "--only-binary", ":all:"]
    subprocess.run([*pip, *(word for file in requirements for word in ("-r", str(file)))], check=True)


def draw_pictures(folder: Path) -> None:
    """JPEG files of 640x480 in which one face walks to the right; enough that a slow reader does not come round.

    Beside them a few of 480x360 in `small`, and raw ones of 320x240 in `raw`.
    """
    for part in (folder, folder / "small", folder / "raw"):
        part.mkdir()
    face = cv2.resize(gocv_pictures()["face.jpg"], (200, 240))
    for number in range(31):
        picture = np.full((480, 640, 3), 90, np.uint8)
        left = 10 + 13 * number
        picture[120:360, left : left + 200] = face
        assert cv2.imwrite(str(folder / f"{number:02}.jpg"), picture)
        if number % 10 == 0:
            assert cv2.imwrite(str(folder / "small" / f"{number:02}.jpg"), cv2.resize(picture, (480, 360)))
            raw = cv2.cvtColor(cv2.resize(picture, (320, 240)), cv2.COLOR_BGR2YUV_YUY2)
            (folder / "raw" / f"{number:02}.yuyv").write_bytes(raw.tobytes())
