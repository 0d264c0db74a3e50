# SPDX-License-Identifier: Apache-2.0
"""The updaters of systems: they take our settings, and no bundle that they must not.

rauc 1.13 as we compile it for systems with an older one, and Debian's own as the image of a Raspberry Pi has it. The
systems have no kernel of their own: their programs run in a folder, those of arm64 by an emulator. Needs root.
"""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from image.boards import BOARDS
from image.packages import fetch, read_lock
from visavis.update.bundle import Contents, make_bundle
from visavis.update.keys import CA, make_keys
from visavis.update.rauc import answer, refusal

from deb import cross, rauc, ubuntu
from deb.kept import REPOSITORY, kept
from tests.unit.signers import WRONG, Forge
from tests.vm.inside import retry

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

CONFIGURATION = "/etc/rauc/system.conf"
# The middle of the image of random bytes, where a block of 64 KiB begins.
DAMAGED_AT = 0x10000 + 100
# It answers for the boot loader: A runs, comes next, and is good. RAUC asks it where the kernel was not told a slot.
BOOT_BACKEND = """#!/bin/sh
case $1 in get-current | get-primary) echo A ;; get-state) echo good ;; esac
"""


@dataclass(frozen=True)
class System:
    """The root of another system, with the rauc that its distribution has."""

    target: cross.Target
    root: Path

    @property
    def board(self) -> str:
        """Whose settings it gets."""
        return "rpi5" if self.target is PI else "jetson-orin"

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        inside = ["chroot", str(self.root), "sh", "-c", command]
        # Everything that it starts ends with it.
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc"]
        return subprocess.run([*alone, *inside], capture_output=True, text=True, check=False, timeout=900)

    def said(self, command: str) -> str:
        done = self.run(command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def reachable(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, 80))
    except OSError:
        return False


PI = cross.TRIXIE_ARM
LONG = pytest.mark.vm_long
# Ubuntu has arm64 on another server than amd64.
PORTS = pytest.mark.skipif(not reachable("ports.ubuntu.com"), reason="Ubuntu's archive for arm64 is out of reach")
COMPILED = [
    pytest.param(cross.UBUNTU_22, id="jammy-amd64"),
    pytest.param(cross.UBUNTU_24, id="noble-amd64", marks=LONG),
    pytest.param(cross.BOOKWORM_ARM, id="bookworm-arm64", marks=LONG),
    pytest.param(cross.UBUNTU_22_ARM, id="jammy-arm64", marks=[LONG, PORTS]),
    pytest.param(cross.UBUNTU_24_ARM, id="noble-arm64", marks=[LONG, PORTS]),
]
TARGETS = [*COMPILED, pytest.param(PI, id="pi", marks=LONG)]
of_those_that_we_compile = pytest.mark.parametrize("system", COMPILED, indirect=True)


def make_root(target: cross.Target, folder: Path) -> None:
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--arch={target.architecture}"]
    command += [*ubuntu.options(target.suite), "--include=apt,rauc,squashfs-tools,dbus,systemd"]
    subprocess.run([*command, target.suite, str(folder)], check=True)


@pytest.fixture(scope="module", params=TARGETS)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    target: cross.Target = request.param
    made = kept(f"rauc-root-{target.suite}-{target.architecture}", lambda folder: make_root(target, folder))
    folder = tmp_path_factory.mktemp("root")
    subprocess.run(["cp", "--archive", f"{made}/.", str(folder)], check=True)
    yield System(target, folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def configured(system: System) -> System:
    """With the settings that an image of the board has, made by the image's own program."""
    keys = system.root / "root/keys"
    make_keys(keys)
    into = [str(REPOSITORY / "firmware-image/update/into"), str(system.root), system.board, "1.2.0", str(keys / CA)]
    subprocess.run(into, check=True)
    (system.root / "usr/lib/visavis/update/boot-backend").write_text(BOOT_BACKEND)
    return system


@pytest.fixture(scope="module")
def made(system: System, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return of_a_pi() if system.target is PI else rauc.packages(system.target, tmp_path_factory.mktemp("made"))


def of_a_pi() -> list[Path]:
    """Debian's packages of rauc, and the library that Debian 13 has too old for them."""
    lock = read_lock(BOARDS["rpi5"].lock)
    lock = replace(lock, packages=tuple(one for one in lock.packages if one.name.startswith(("rauc", "libnl-"))))
    fetch(lock)
    return [package.kept for package in lock.packages]


@pytest.fixture(scope="module")
def installed(configured: System, made: list[Path]) -> System:
    """Where the packages have taken the place of the distribution's; no mirror can be asked for what they lack."""
    for file in made:
        shutil.copy(file, configured.root / "root")
    names = " ".join(f"/root/{file.name}" for file in made)
    configured.said(f"DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends {names}")
    return configured


@pytest.fixture(scope="module")
def bundle(installed: System) -> str:
    """The path of a bundle inside, as `visavis update bundle` makes it."""
    folder = installed.root / "root"
    images = {slot_class: folder / f"{slot_class}.img" for slot_class in ("boot", "rootfs")}
    for number, image in enumerate(images.values()):
        image.write_bytes(random.Random(number).randbytes(200_000))
    built_at = datetime(2026, 11, 26, 9, 0, tzinfo=timezone.utc)
    make_bundle(Contents(installed.board, "1.2.0", built_at, images), folder / "keys", folder / "good.raucb")
    return "/root/good.raucb"


def flipped(system: System, bundle: str, at: int) -> str:
    """A copy of a bundle in which one byte is another."""
    content = bytearray((system.root / bundle[1:]).read_bytes())
    content[at] ^= 1
    (system.root / "root/flipped.raucb").write_bytes(content)
    return "/root/flipped.raucb"


@of_those_that_we_compile
def test_the_rauc_of_the_distribution_refuses_our_settings(configured: System, made: list[Path]) -> None:
    assert made, "the packages are installed after this test"
    done = configured.run(f"rauc --conf={CONFIGURATION} info /nowhere")
    assert done.returncode != 0
    assert "Invalid key 'min-bundle-version'" in done.stderr


@of_those_that_we_compile
def test_it_is_installed_by_apt_in_place_of_the_distributions(
    installed: System, made: list[Path], measured: Callable[[str], None]
) -> None:
    assert installed.said("rauc --version").startswith("rauc 1.13\n")
    packages = installed.said("dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\\n' rauc rauc-service")
    version = f"{rauc.VERSION}~{installed.target.suite}"
    assert packages == f"rauc {version} ii \nrauc-service {version} ii \n"
    missing = installed.said("ldd /usr/bin/rauc")
    assert "not found" not in missing
    measured(", ".join(f"{file.name}: {file.stat().st_size} bytes" for file in made))


@of_those_that_we_compile
def test_the_same_commit_makes_the_same_bytes(
    made: list[Path], system: System, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = rauc.packages(system.target, tmp_path_factory.mktemp("again"))
    assert [file.name for file in again] == [file.name for file in made]
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in made]


def test_a_bundle_of_ours_is_trusted(installed: System, bundle: str) -> None:
    said = answer(installed.said(f"rauc --conf={CONFIGURATION} info --output-format=json {bundle}"))
    assert (said["compatible"], said["format"]) == (f"visavis-{installed.board}", "verity")


def test_a_bundle_with_a_flipped_byte_in_its_signature_is_refused(installed: System, bundle: str) -> None:
    size = (installed.root / bundle[1:]).stat().st_size
    done = installed.run(f"rauc --conf={CONFIGURATION} info {flipped(installed, bundle, size - 100)}")
    assert done.returncode != 0
    assert "signature" in done.stderr.lower(), done.stderr


def test_a_bundle_with_a_flipped_byte_in_its_image_is_refused(installed: System, bundle: str) -> None:
    installed.said(f"rauc --conf={CONFIGURATION} extract {bundle} /root/good")
    done = installed.run(f"rauc --conf={CONFIGURATION} extract {flipped(installed, bundle, DAMAGED_AT)} /root/bad")
    assert done.returncode != 0
    assert "bundle payload is corrupted" in done.stderr, done.stderr


def test_a_bundle_that_was_cut_is_refused(installed: System, bundle: str) -> None:
    whole = (installed.root / bundle[1:]).read_bytes()
    for length in (0, 7, 4096, len(whole) // 2, len(whole) - 1):
        (installed.root / "root/cut.raucb").write_bytes(whole[:length])
        done = installed.run(f"rauc --conf={CONFIGURATION} info /root/cut.raucb")
        assert done.returncode != 0, f"{length} bytes of {len(whole)} are enough"
        assert "is cut short or is no bundle" in str(refusal(Path("cut.raucb"), done.stderr)), done.stderr


def test_no_wrong_signer_is_trusted(installed: System, bundle: str, tmp_path: Path) -> None:
    installed.said(f"rauc --conf={CONFIGURATION} extract {bundle} /root/content")
    wrong = installed.root / "root/wrong.raucb"
    for name, signer in WRONG.items():
        wrong.unlink(missing_ok=True)
        (tmp_path / name).mkdir()
        signer(Forge(tmp_path / name, installed.root / "root/keys")).bundle(installed.root / "root/content", wrong)
        done = installed.run(f"rauc --conf={CONFIGURATION} info /root/wrong.raucb")
        assert done.returncode != 0, f"trusted: {name}"
        assert "signed " in str(refusal(Path("a.raucb"), done.stderr)), f"{name}: {done.stderr}"


def test_the_service_starts_with_our_settings_and_is_found_through_dbus(installed: System) -> None:
    """By the package's own policy and files of D-Bus, which start it when it is asked."""
    # The emulator runs no program with the rights of its file, as the one of D-Bus that starts services needs them.
    emulated = installed.target.architecture != "amd64"
    by_hand = "{ /usr/share/rauc/rauc-service.sh & } &&" if emulated else ""
    asked = retry("rauc status --output-format=json", 20)
    mark = "dbus-send --system --print-reply --dest=de.pengutronix.rauc / de.pengutronix.rauc.Installer.Mark"
    refused = f"setpriv --reuid=65534 --clear-groups {mark} string:bad string:booted 2>&1 || true"
    said = installed.said(f"mkdir -p /run/dbus && dbus-daemon --system --fork && {by_hand} ({asked}) && {refused}")
    assert f'"compatible":"visavis-{installed.board}"' in said
    assert '"booted":"A"' in said
    assert "Error org.freedesktop.DBus.Error.AccessDenied" in said
