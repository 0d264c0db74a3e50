# SPDX-License-Identifier: Apache-2.0
"""The package as others install it: built, put into a fresh environment, used from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import visavis
from visavis.models import manifest

from tests.repo.test_laws import ROOT, tracked


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build "wheel" or "sdist" from a source folder, with the pinned hatchling and without a network."""
    folder.mkdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("build") / "wheel")


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has the wheel, and our dependencies but not our checkout."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*command, "--disable-pip-version-check", str(wheel)], check=True)
    # A .pth file adds the folder and does not read the .pth files in it, which would lead to the checkout.
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def run(program: Path, *words: str, folder: Path) -> str:
    """What it says; with no path of this process, which would lead to the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(program), *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_wheel_holds_every_module_and_the_manifest_itself(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        held = content.read("visavis/models/manifest.toml").decode()
    ours = {str(path.relative_to(ROOT / "trt-infer")) for path in tracked("trt-infer/visavis/*")}
    assert {name for name in names if name.startswith("visavis/")} == ours
    assert held == (ROOT / "models" / "onnx" / "manifest.toml").read_text()


def test_the_installed_package_reads_its_own_manifest(fresh: Path, tmp_path: Path) -> None:
    code = "from visavis.models import manifest; print(manifest.MANIFEST); print(*manifest.entries(), sep='\\n')"
    place, *models = run(fresh / "python", "-c", code, folder=tmp_path).splitlines()
    assert Path(place).is_relative_to(fresh.parent)
    assert models == list(manifest.entries())


def test_the_installed_program_works(fresh: Path, tmp_path: Path) -> None:
    assert run(fresh / "visavis", "--version", folder=tmp_path) == f"visavis {visavis.__version__}\n"
    lines = run(fresh / "visavis", "model", "list", "--json", folder=tmp_path).splitlines()
    assert [json.loads(line)["model"] for line in lines] == list(manifest.entries())
    assert "centerface" in run(fresh / "visavis", "model", "prepare", "centerface", folder=tmp_path)


def test_the_source_package_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    source = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(source) as content:
        content.extractall(tmp_path / "source", filter="data")
    (unpacked,) = (tmp_path / "source").iterdir()
    again = build("wheel", unpacked, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        contents = [{name: content.read(name) for name in content.namelist()} for content in (first, second)]
    assert contents[0] == contents[1]


def test_the_version_is_said_once() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{visavis.__version__}"' in project
