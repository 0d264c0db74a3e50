# SPDX-License-Identifier: Apache-2.0
"""The terms that the daemon's image tells: ours, those of Go modules, and those of Debian's packages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.repo.test_laws import ROOT
from tests.unit.test_image_libraries import CONTAINERS, DAEMON, loaded

pytestmark = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="only Debian's images are built there")
MAIN = 'package main\n\nimport _ "example.org/other"\n\nfunc main() {}\n'
NEEDED = """\
module example.org/program

go 1.24

require example.org/other v1.0.0

replace example.org/other => ../other
"""


def licences(root: Path, *files: str | Path, module: Path = ROOT / "go-capture") -> subprocess.CompletedProcess[str]:
    """Run containers/licences.sh."""
    command = [CONTAINERS / "licences.sh", root, *files]
    return subprocess.run(command, cwd=module, capture_output=True, text=True, check=False)


def library(name: str) -> Path:
    """Where the loader finds a library of the daemon."""
    return next(path for path in loaded(DAEMON) if path.name.startswith(f"{name}.so."))


def test_every_part_tells_its_terms_and_debians_what_they_were_made_from(tmp_path: Path) -> None:
    said = licences(tmp_path, library("libc"), library("libstdc++"), "/usr/bin/dpkg")
    assert said.returncode == 0, said.stderr
    documents = tmp_path / "usr/share/doc"
    for terms in ("libc6/copyright", "libstdc++6/copyright", "dpkg/copyright"):
        assert (documents / terms).read_bytes() == (Path("/usr/share/doc") / terms).read_bytes()
    query = ["dpkg-query", "-Wf", "${source:Version}", "dpkg"]
    version = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    assert f"dpkg (= {version})\n" in (documents / "visavis/debian-sources").read_text()
    assert (tmp_path / "usr/share/common-licenses/GPL-2").is_file()
    assert (documents / "visavis/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    modules = documents / "visavis/go"
    for terms in ("gocv.io/x/gocv/LICENSE.txt", "google.golang.org/grpc/NOTICE.txt", "go.yaml.in/yaml/v2/NOTICE"):
        assert (modules / terms).read_text()
    assert not (modules / "visavis").exists()


def test_a_file_of_no_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "libown.so.1").touch()
    said = licences(tmp_path / "root", tmp_path / "libown.so.1")
    assert (said.returncode, said.stderr) == (
        1,
        f"licences.sh: {tmp_path}/libown.so.1 is of no package, so nobody knows its terms\n",
    )


@pytest.mark.parametrize(("terms", "status"), [("COPYING", 0), ("README", 1)])
def test_a_module_that_tells_no_terms_is_refused(tmp_path: Path, terms: str, status: int) -> None:
    program, other = tmp_path / "go-capture", tmp_path / "other"
    (program / "cmd/visavis-capture").mkdir(parents=True)
    (program / "cmd/visavis-capture/main.go").write_text(MAIN)
    (program / "go.mod").write_text(NEEDED)
    (tmp_path / "LICENSE").touch()
    other.mkdir()
    (other / "go.mod").write_text("module example.org/other\n")
    (other / "other.go").write_text("package other\n")
    (other / terms).touch()
    said = licences(tmp_path / "root", "/usr/bin/dpkg", module=program)
    assert said.returncode == status, said.stderr
    assert ("the module example.org/other tells no terms" in said.stderr) == bool(status)
