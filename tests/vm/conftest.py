# SPDX-License-Identifier: Apache-2.0
"""One virtual machine with the product inside, shared by all tests here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from visavis.settings import default_cache_dir

from tests.unit.face_pictures import gocv_pictures
from tests.vm.lab import REPOSITORY, Machine, missing_programs, pack

GO_TAGS = "gocv_specific_modules,gocv_imgproc,gocv_imgcodecs,gocv_videoio,camera"
PYTHON_INSIDE = "3.11"


def build_payload(folder: Path) -> None:
    """What the tests need inside: the product, its Python packages and model, the Go tests, the USB camera."""
    shutil.copy(REPOSITORY / "build" / "visavis-capture", folder)
    shutil.copytree(REPOSITORY / "trt-infer", folder / "trt-infer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(default_cache_dir(), folder / "cache")
    shutil.copy(REPOSITORY / "tests" / "vm" / "usb_camera.py", folder)
    command = ["go", "test", "-c", "-tags", GO_TAGS, "-o", str(folder / "source.test"), "./internal/source"]
    subprocess.run(command, cwd=REPOSITORY / "go-capture", check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    pip += ["--target", str(folder / "site"), "--python-version", PYTHON_INSIDE, "--only-binary", ":all:"]
    for file in ("runtime.txt", "model.txt"):
        pip += ["-r", str(REPOSITORY / "requirements" / file)]
    subprocess.run([*pip, "--require-hashes"], check=True)
    draw_pictures(folder / "pictures")


def draw_pictures(folder: Path) -> None:
    """JPEG files of 640x480 in which one face walks to the right; enough that a slow reader does not come round."""
    folder.mkdir()
    face = cv2.resize(gocv_pictures()["face.jpg"], (200, 240))
    for number in range(31):
        picture = np.full((480, 640, 3), 90, np.uint8)
        left = 10 + 13 * number
        picture[120:360, left : left + 200] = face
        assert cv2.imwrite(str(folder / f"{number:02}.jpg"), picture)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that runs, with /opt/visavis mounted."""
    missing = missing_programs()
    assert not missing, f"the lab needs {', '.join(missing)}: run `make test-vm`, which installs them"
    folder = tmp_path_factory.mktemp("machine")
    content = folder / "content"
    content.mkdir()
    build_payload(content)
    pack(content, folder / "payload.img")
    with Machine(folder / "payload.img", folder) as running:
        yield running
