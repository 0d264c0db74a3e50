# SPDX-License-Identifier: Apache-2.0
"""`make setup` where an earlier one was cut off or copied, and on systems without apt."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repo.test_laws import ROOT


def setup(checkout: Path, words: str) -> subprocess.CompletedProcess[str]:
    """Run functions of a checkout's script."""
    script = f". scripts/setup.sh && {words}"
    return subprocess.run(["bash", "-c", script], cwd=checkout, capture_output=True, text=True, check=False)


def test_an_environment_that_was_cut_off_or_copied_is_made_anew(tmp_path: Path) -> None:
    checkout, copy = tmp_path / "my projects" / "visavis", tmp_path / "copy"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "setup.sh", checkout / "scripts")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")], check=True)
    (checkout / ".venv" / ".visavis-run").write_text("a stamp of what is not there any more")
    done = setup(checkout, "ready_venv && .venv/bin/pip --version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pip ")
    assert not (checkout / ".venv" / ".visavis-run").exists()

    shutil.copytree(checkout, copy, symlinks=True)
    assert setup(checkout, "has_own_pip").returncode == 0
    assert setup(copy, "has_own_pip").returncode == 1


@pytest.mark.parametrize("lacking", [None, "make"])
def test_what_is_here_is_not_asked_for_on_a_system_without_apt(tmp_path: Path, lacking: str | None) -> None:
    (tmp_path / "python3").symlink_to(Path(sys.executable).resolve())
    for name in {"pkg-config", "c++", "make"} - {lacking}:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    script = f'. {ROOT}/scripts/setup.sh && PATH={tmp_path} && install_packages "${{run_packages[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    asked = f"setup: please install with your package manager: {'build-essential' if lacking else ''}\n"
    assert (done.returncode, done.stderr) == ((1, asked) if lacking else (0, ""))
