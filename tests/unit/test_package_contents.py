# SPDX-License-Identifier: Apache-2.0
"""Where a device has what others count on: the package's own recipe, with stand-ins for what is compiled or fetched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deb import build, cross, python_home
from deb.build import SYSTEMS
from tests.repo.test_laws import ROOT

PROGRAMS = ("usr/bin/visavis", "usr/bin/visavis-capture")
UNITS = ("visavis-capture.service", "visavis-frames.socket", "visavis-infer@.service", "visavis.target")
USERS = {"visavis": "/var/lib/visavis", "visavis-infer": "/var/cache/visavis"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the package puts on a device."""
    (tmp_path / "wheels").mkdir()
    monkeypatch.setattr(python_home, "installed", lambda _python: tmp_path / "wheels")
    monkeypatch.setattr(cross, "daemon", lambda _target, program, _version: program.touch())
    monkeypatch.setattr(build, "texts", lambda _root, _version: None)
    monkeypatch.setattr(build, "texts_of_others", lambda _system, _root: None)
    monkeypatch.setattr(build, "DEMO", tmp_path / "wheels")
    build.fill(SYSTEMS["trixie", "amd64"], tmp_path / "root", "0.1.0")
    return tmp_path / "root"


def test_programs_settings_and_units_are_where_others_look_for_them(root: Path) -> None:
    for place in (*PROGRAMS, "usr/lib/visavis/bin/python3", "etc/visavis/config.toml"):
        assert (root / place).is_symlink() or (root / place).is_file(), place
    units = {file.name for file in (root / "usr/lib/systemd/system").iterdir()}
    assert units == {*UNITS, "visavis-frames.service"}
    socket = (root / "usr/lib/systemd/system/visavis-frames.socket").read_text()
    assert "ListenSequentialPacket=/run/visavis/frames.sock\n" in socket


def test_who_runs_it_and_where_that_one_keeps_things(root: Path) -> None:
    users = re.findall(r'(?m)^u (\S+) +- +".+" +(\S+)$', (root / "usr/lib/sysusers.d/visavis.conf").read_text())
    assert dict(users) == USERS
    daemon, worker = ((root / "usr/lib/systemd/system" / name).read_text() for name in (UNITS[0], UNITS[2]))
    assert "\nUser=visavis\n" in daemon
    assert "\nStateDirectory=visavis\n" in daemon
    assert "\nUser=visavis-infer\n" in worker
    assert "\nCacheDirectory=visavis\n" in worker
    assert all("VISAVIS_CACHE_DIR=/var/cache/visavis" in unit for unit in (daemon, worker))


def test_a_purge_takes_the_folders_with_it() -> None:
    named = re.findall(r"[\w/]+", (ROOT / "deb/scripts/visavis/postrm").read_text())
    assert {"/var/lib/visavis", "/var/cache/visavis", "/etc/visavis", "/run/visavis"} <= set(named)


def test_what_wheels_bring_and_no_device_needs_is_left_out(tmp_path: Path) -> None:
    kept, code = "one/code.py", ["bin/run", "one/tests/test.py", "one/more/__pycache__/code.cpython-310.pyc"]
    others = ["one-1.dist-info/RECORD", "one-1.dist-info/direct_url.json", "onnx/backend/test/case.py"]
    for name in (kept, *code, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    python_home.strip(tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()] == [kept]
