# SPDX-License-Identifier: Apache-2.0
"""What a builder's shell sets for Go stays out of packages, but for what says where modules come from."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from deb import cross, golang
from deb.kept import REPOSITORY
from deb.packing import TOOLS, git

OWN = {
    "GOAMD64": "v3",
    "GOARM64": "v9.0",
    "GOEXPERIMENT": "none",
    "GOFLAGS": "-tags=own",
    "GOWORK": "/own/go.work",
    "CGO_CFLAGS": "-march=native",
    "CGO_CXXFLAGS": "-march=native",
}
TO_A_COMPILER = {"CPATH": "/own/include", "LIBRARY_PATH": "/own/lib", "PKG_CONFIG_PATH": "/own/pkgconfig"}


def said_by_go(environment: dict[str, str], *names: str) -> dict[str, str]:
    command = ["go", "env", "-json", *names]
    said = subprocess.run(command, cwd=TOOLS, env=environment, capture_output=True, text=True, check=True).stdout
    return dict(json.loads(said))


@pytest.mark.parametrize("target", [cross.TRIXIE, cross.TRIXIE_ARM], ids=["amd64", "arm64"])
def test_no_setting_of_the_builders_shell_gets_into_a_program(
    target: cross.Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    level = "GOAMD64" if target.architecture == "amd64" else "GOARM64"
    names = (level, "GOFLAGS", "GOWORK", "GOEXPERIMENT", "GOTOOLCHAIN", "CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_CXXFLAGS")
    before = said_by_go(cross.compilers(target, tmp_path), *names)
    for name, value in (OWN | TO_A_COMPILER).items():
        monkeypatch.setenv(name, value)
    environment = cross.compilers(target, tmp_path)
    assert said_by_go(environment, *names) == before
    assert before[level] in ("v1", "v8.0")
    assert not set(TO_A_COMPILER) & set(environment)


def test_what_go_env_has_written_gets_into_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("GOAMD64=v3\nCGO_CFLAGS=-march=native\nGOPROXY=https://modules.example\n")
    monkeypatch.setenv("GOENV", str(tmp_path / "env"))
    monkeypatch.delenv("GOPROXY", raising=False)
    said = said_by_go(golang.environment(), "GOAMD64", "CGO_CFLAGS", "GOPROXY")
    assert said == {"GOAMD64": "v1", "CGO_CFLAGS": "-O2 -g", "GOPROXY": "https://modules.example"}


def test_the_way_into_the_network_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"https_proxy": "http://proxy:3128", "GONOSUMDB": "example.org", "SSL_CERT_FILE": "/ca"}.items():
        monkeypatch.setenv(name, value)
    environment = golang.environment()
    assert (environment["https_proxy"], environment["SSL_CERT_FILE"]) == ("http://proxy:3128", "/ca")
    assert said_by_go(environment, "GONOSUMDB") == {"GONOSUMDB": "example.org"}


def test_a_module_that_stands_in_for_another_is_the_one_that_counts() -> None:
    said = "capture: go1.24.4\n\tdep\texample.org/old\tv1.0.0\n\t=>\texample.org/new\tv1.0.1\th1:sum\n"
    assert list(golang.modules_in(said)) == [("go", "1.24.4"), ("example.org/new", "v1.0.1")]


def test_no_build_runs_a_go_program_that_no_sum_pins() -> None:
    """`go run` and `go install` of a version ask no go.sum."""
    tracked = [REPOSITORY / name for name in git("ls-files", "Makefile", "deb", "scripts", "containers").splitlines()]
    texts = {file: file.read_text() for file in tracked if file.suffix in ("", ".py", ".sh", ".mk")}
    assert not [file for file, text in texts.items() if re.search(r"go (run|install) [^\n]*@|@v\d+\.\d+\.\d+\"", text)]


@pytest.mark.parametrize("program", ["github.com/goreleaser/nfpm/v2", "honnef.co/go/tools"])
def test_the_programs_that_make_and_check_packages_are_pinned_by_their_sums(program: str) -> None:
    (version,) = re.findall(rf"^\t{program} (\S+)", (TOOLS / "go.mod").read_text(), re.MULTILINE)
    assert re.search(rf"^{program} {re.escape(version)} h1:", (TOOLS / "go.sum").read_text(), re.MULTILINE)
