# SPDX-License-Identifier: Apache-2.0
"""The daemon compiles for systems that no machine of the lab runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deb import cross
from deb.build import SYSTEMS, package

pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(1800)]


def test_the_daemon_compiles_against_the_oldest_opencv(tmp_path: Path) -> None:
    program = tmp_path / "visavis-capture"
    cross.daemon(cross.UBUNTU_22, program)
    needs = subprocess.run(["readelf", "-d", str(program)], capture_output=True, text=True, check=True).stdout
    assert "libopencv_core.so.4.5d" in needs


@pytest.mark.parametrize("suite", ["jammy"])
def test_apt_finds_all_that_the_package_for_ubuntu_needs(suite: str, tmp_path: Path) -> None:
    built = package(SYSTEMS[suite, "amd64"], "0.1.0", tmp_path)
    said = simulated(suite, built, tmp_path)
    assert f"Inst visavis (0.1.0+{suite}" in said
    site = tmp_path / f"{suite}-amd64" / "usr/lib/visavis/lib" / f"python{SYSTEMS[suite, 'amd64'].python.version}"
    assert list(site.glob("site-packages/numpy/_core/_multiarray_umath.cpython-3*.so"))


def simulated(suite: str, built: Path, folder: Path) -> str:
    """What apt would do on an empty system of that release. Nothing of it is run, so nobody's signature is needed."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb http://archive.ubuntu.com/ubuntu {suite} main universe\n")
    places = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={place}" for name, place in places.items())]
    apt += [f"-o{option.replace(' ', '=').replace(chr(34), '')}" for option in cross.UNSIGNED]
    subprocess.run([*apt, "update"], check=True)
    install = [*apt, "--simulate", "--no-install-recommends", "install", str(built)]
    return subprocess.run(install, capture_output=True, text=True, check=True).stdout
