# SPDX-License-Identifier: Apache-2.0
"""`make setup` where an earlier one was cut off or copied, and on systems without apt."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.repo.test_laws import ROOT
from tests.waiting import HANG_S, until


def setup(checkout: Path, words: str) -> subprocess.CompletedProcess[str]:
    """Run functions of a checkout's script."""
    script = f". scripts/setup.sh && {words}"
    return subprocess.run(["bash", "-c", script], cwd=checkout, capture_output=True, text=True, check=False)


def test_an_environment_that_was_cut_off_or_copied_is_made_anew(tmp_path: Path) -> None:
    checkout, copy = tmp_path / "my projects" / "visavis", tmp_path / "copy"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "setup.sh", checkout / "scripts")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")], check=True)
    (checkout / ".venv" / ".visavis-installed").write_text("a stamp of what is not there any more")
    done = setup(checkout, "ready_venv && .venv/bin/pip --version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pip ")
    assert not (checkout / ".venv" / ".visavis-installed").exists()

    shutil.copytree(checkout, copy, symlinks=True)
    assert setup(checkout, "has_own_pip").returncode == 0
    assert setup(copy, "has_own_pip").returncode == 1


@pytest.mark.parametrize("lacking", [None, "make"])
def test_what_is_here_is_not_asked_for_on_a_system_without_apt(tmp_path: Path, lacking: str | None) -> None:
    (tmp_path / "python3").symlink_to(Path(sys.executable).resolve())
    for name in {"pkg-config", "c++", "make", "mosquitto_sub"} - {lacking}:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    script = f'. {ROOT}/scripts/setup.sh && PATH={tmp_path} && install_packages "${{run_packages[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    asked = f"setup: please install with your package manager: {'build-essential' if lacking else ''}\n"
    assert (done.returncode, done.stderr) == ((1, asked) if lacking else (0, ""))


# Two steps that wait for each other, so that one after the other they would hang.
TALKING = """
until_there() { until [ -e "$1" ]; do sleep 0.01; done; }
first() { say "first begins"; echo first; touch 1; until_there 2; echo first again; touch 3; }
second() { until_there 1; echo second; touch 2; until_there 3; echo second again; }
beside first; beside second; all_done
"""
FIRST, SECOND = ["first", "first again"], ["second", "second again"]
# One that lasts, in a process of its own.
LASTING = "lasts() { touch begun; sleep 600; }; beside lasts"


def steps(folder: Path, words: str) -> subprocess.Popen[str]:
    """Run steps of set-up side by side; a process that they leave behind keeps a pipe open."""
    script = f". {ROOT}/scripts/setup.sh && cd {folder} && {{\n{words}\n}}"
    command = ["env", "--default-signal=INT", "bash", "-c", script]  # tests in the background have it ignored
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_steps_run_side_by_side_and_each_tells_what_it_has_said_in_one_piece(tmp_path: Path) -> None:
    with steps(tmp_path, TALKING) as done:
        said, wrong = done.communicate(timeout=HANG_S)
    assert (done.returncode, wrong) == (0, "")
    begins, *told = said.splitlines()
    assert begins == "setup: first begins"
    assert told in (FIRST + SECOND, SECOND + FIRST)


def test_a_step_that_fails_ends_the_others_and_set_up(tmp_path: Path) -> None:
    fails = "fails() { until [ -e begun ]; do sleep 0.01; done; echo no compiler >&2; false; echo goes on; }"
    with steps(tmp_path, f"{LASTING}; {fails}; beside fails; all_done; echo goes on") as done:
        said, wrong = done.communicate(timeout=HANG_S)
    assert (done.returncode, said) == (1, "")
    assert wrong == "no compiler\nsetup: fails failed, as told above\n"


# What comes between the start of a step and the note of it takes a while.
BUSY = 'set() { builtin set "$@"; [ "$1" != +m ] || sleep 1; }'


@pytest.mark.parametrize("before", [":", BUSY], ids=["noted", "not noted yet"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_set_up_ends_its_steps(tmp_path: Path, number: signal.Signals, before: str) -> None:
    with steps(tmp_path, f"{before}; {LASTING}; all_done") as done:
        until((tmp_path / "begun").exists, "the step does not begin")
        done.send_signal(number)
        assert done.communicate(timeout=HANG_S) == ("", "")
    assert done.returncode == 128 + number


# Builds visavis for itself, from a package that is there.
BACKEND = """
import shutil
def build_editable(folder, *more):
    return shutil.copy("visavis-1-py3-none-any.whl", folder).rpartition("/")[2]
"""
PROJECT = """
[project]
name = "visavis"
version = "1"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """With one small package for each file of pins, and an environment with a pip."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    for name in ("runtime", "build", "model", "dev"):
        pin(tmp_path, name, 1)
    wheel(tmp_path, "visavis", 1)
    (tmp_path / "backend.py").write_text(BACKEND)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    assert setup(tmp_path, "ready_venv").returncode == 0
    return tmp_path


def pin(checkout: Path, name: str, version: int) -> None:
    """Require a version of the one package of a file of pins."""
    file = wheel(checkout, name, version)
    line = f"./{file.name} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"
    (checkout / "requirements" / f"{name}.txt").write_text(line)


def wheel(folder: Path, name: str, version: int) -> Path:
    """Write a package that holds nothing."""
    file, inside = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with ZipFile(file, "w") as archive:
        archive.writestr(f"{inside}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{inside}/RECORD", "")
    return file


def installed_by(checkout: Path, purpose: str) -> set[str]:
    """What is installed for a purpose. It is taken away again, so that the next one shows what it installs itself."""
    done = setup(checkout, f"purpose={purpose} && install_python")
    assert (done.returncode, done.stderr) == (0, "")
    (site,) = checkout.glob(".venv/lib/python3*/site-packages")
    found = [path for path in site.glob("*.dist-info") if not path.name.startswith(("pip-", "setuptools-"))]
    for path in found:
        shutil.rmtree(path)
    return {path.stem for path in found}


def test_python_packages_are_installed_once_for_whatever_purpose(checkout: Path) -> None:
    runtime = {"runtime-1", "build-1", "model-1", "visavis-1"}
    assert installed_by(checkout, "run") == runtime
    assert installed_by(checkout, "run") == set()
    assert installed_by(checkout, "test") == {"dev-1"}
    for purpose in ("test", "vm", "run"):
        assert installed_by(checkout, purpose) == set()

    pin(checkout, "dev", 2)
    assert installed_by(checkout, "run") == set()
    assert installed_by(checkout, "vm") == {"dev-2"}
    assert installed_by(checkout, "test") == set()

    pin(checkout, "runtime", 2)
    assert "runtime-2" in installed_by(checkout, "run")
    assert installed_by(checkout, "test") == {"dev-2"}  # what they share may have changed
    assert installed_by(checkout, "run") == set()


def test_what_was_being_installed_when_it_was_cut_off_is_installed_again(checkout: Path) -> None:
    """Also by the pins of before: nobody knows how far it had come."""
    assert "runtime-1" in installed_by(checkout, "run")
    before = (checkout / "requirements" / "runtime.txt").read_text()
    pin(checkout, "runtime", 2)
    assert setup(checkout, "install_part() { exit 130; }; purpose=run && install_python").returncode == 130
    (checkout / "requirements" / "runtime.txt").write_text(before)
    assert "runtime-1" in installed_by(checkout, "run")
    assert installed_by(checkout, "run") == set()


UNPACKED = """
download() { touch "$2/a.deb" "$2/b.deb"; }
dpkg-deb() { mkdir -p "$3/usr/sbin" && touch "$3/usr/sbin/tool" && ! grep -qs "${2##*/}" bad; }
unpack tool usr/sbin/tool there
"""


def test_a_package_that_was_not_unpacked_as_a_whole_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.sh", tmp_path / "scripts")
    (tmp_path / "bad").write_text("a.deb\n")
    failed = setup(tmp_path, UNPACKED)
    assert (failed.returncode, "a.deb cannot be unpacked" in failed.stderr) == (1, True)
    assert not (tmp_path / "there").exists()
    (tmp_path / "bad").unlink()
    done = setup(tmp_path, UNPACKED)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "there/usr/sbin/tool").exists()
    assert setup(tmp_path, UNPACKED).stdout == ""
