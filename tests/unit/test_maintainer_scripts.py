# SPDX-License-Identifier: Apache-2.0
"""What dpkg runs of our packages, with programs that only note how they were called, and a /run of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "deb" / "scripts"
CALLED = ("systemd-sysusers", "python3", "dpkg-trigger", "systemd-tmpfiles", "journalctl", "udevadm", "systemctl")
OURS = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && mount --bind sbin /usr/sbin"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with those programs; `timeout` really runs what it is told to."""
    for folder in ("bin", "sbin"):
        (tmp_path / folder).mkdir()
    for name in CALLED:
        program(tmp_path / "bin" / name, f'echo "{name} $*" >>calls')
    program(tmp_path / "bin/timeout", 'printf "within $1 s: " >>calls; shift; exec "$@"')
    return tmp_path


def program(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def ran(place: Path, script: str, *words: str) -> list[str]:
    """What a script has called."""
    (place / "calls").unlink(missing_ok=True)
    shell = f'{OURS} && PATH=$PWD/bin:/usr/sbin:/usr/bin:/bin exec sh "$@"'
    own = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", shell, "sh", str(SCRIPTS / script), *words]
    subprocess.run(own, cwd=place, check=True, timeout=60)
    return (place / "calls").read_text().splitlines()


def test_the_services_start_unless_policy_says_that_nothing_does(place: Path) -> None:
    start = "systemctl start --no-block visavis.target"
    first = ran(place, "visavis/postinst", "configure", "")
    assert start in first
    for code, starts in ((0, True), (104, True), (101, False)):
        program(place / "sbin/policy-rc.d", f'[ "$*" = "visavis.target start" ] || exit 1\nexit {code}')
        called = ran(place, "visavis/postinst", "configure", "")
        assert called == (first if starts else [call for call in first if call != start])


@pytest.mark.parametrize("script", ["visavis/postinst", "visavis-tensorrt/postinst", "visavis-tensorrt/postrm"])
def test_a_worker_that_waits_for_its_configuration_does_not_hold_apt(script: str, place: Path) -> None:
    called = ran(place, script, "remove" if "postrm" in script else "configure", "0.1.0")
    workers = [call for call in called if "visavis-infer@" in call]
    assert workers == ["within 60 s: systemctl try-restart visavis-infer@*.service"]
