# SPDX-License-Identifier: Apache-2.0
"""How the daemon's image is made for a processor that is not this machine's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.repo.test_laws import ROOT

CONTAINERS = ROOT / "containers"
DAEMON = ROOT / "build" / "visavis-capture"


def libraries(program: Path, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run containers/libraries.sh."""
    command = [CONTAINERS / "libraries.sh", program, *folders]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def loaded(program: Path) -> set[Path]:
    """What the loader itself says; it has to run for that."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", said)}


def test_the_libraries_are_those_that_the_loader_takes() -> None:
    wanted = loaded(DAEMON)
    (folder,) = {path.parent for path in wanted if path.name.startswith("libc.so.")}
    (opencv,) = {path.parent for path in wanted if path.name.startswith("libopencv_core.so.")}
    said = libraries(DAEMON, folder, opencv, Path("/lib"))
    assert said.returncode == 0, said.stderr
    found = [Path(line) for line in said.stdout.splitlines()]
    assert len(found) == len(set(found))
    assert {path.name for path in found} == {path.name for path in wanted}
    assert {path.resolve() for path in found} == {path.resolve() for path in wanted}


def test_a_library_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = libraries(DAEMON, tmp_path)
    assert said.returncode == 1
    assert re.search(r"^libraries\.sh: lib\S+ is in none of .*: install its package", said.stderr)


def test_what_loads_no_libraries_is_refused(tmp_path: Path) -> None:
    said = libraries(CONTAINERS / "collect.sh", tmp_path)
    assert (said.returncode, said.stdout) == (1, "")
    assert "collect.sh is no program that loads libraries" in said.stderr


def target(architecture: str, words: str) -> subprocess.CompletedProcess[str]:
    """What containers/target.sh sets for an architecture; the environment has nothing else of it."""
    path = {"PATH": "/usr/bin:/bin", "TARGETARCH": architecture}
    command = ["sh", "-euc", f'. {CONTAINERS}/target.sh && echo "{words}"']
    return subprocess.run(command, env=path, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("architecture", "triple"), [("amd64", "x86_64-linux-gnu"), ("arm64", "aarch64-linux-gnu")])
def test_each_processor_has_its_compiler(architecture: str, triple: str) -> None:
    assert target(architecture, "$GOARCH $CC").stdout.split() == [architecture, f"{triple}-gcc"]


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="only Debian's images are built there")
def test_a_builder_that_names_no_processor_builds_for_its_own() -> None:
    own = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout
    assert target("", "$GOARCH").stdout == own


def test_another_processor_is_refused() -> None:
    said = target("riscv64", "$CC")
    assert (said.returncode, said.stdout) == (1, "")
    assert "there is no image for riscv64: choose --platform linux/amd64 or linux/arm64" in said.stderr
