# SPDX-License-Identifier: Apache-2.0
"""The systems that a device with two slots is updated to, and what is asked of it afterwards."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from tests.vm.lab import DEBIAN_13, missing_programs
from tests.vm.two_slots import Device, Factory, Release

FIRST = Release("first", "1.0.0")
# Two builds of one version, so that each may follow the other.
BLUE, GREEN = Release("blue", "2.0.0"), Release("green", "2.0.0+1")
SICK = Release("sick", "3.0.0", "touch root/etc/visavis-sick")
SOON = "root/etc/systemd/system/visavis-emergency.service.d"
# Ends in emergency mode, where the device waits seconds in place of minutes before it starts again.
STUCK = Release(
    "stuck",
    "3.0.0",
    f"""
echo 'PARTLABEL=nowhere /srv ext4 x-systemd.device-timeout=5s 0 0' >>root/etc/fstab
mkdir {SOON} && printf '[Service]\\nExecStart=\\nExecStart=/bin/sleep 5\\n' >{SOON}/soon.conf
""",
)
PROGRAMS = ("nbdkit", "qemu-img", "mksquashfs", "sfdisk", "mkfs.fat", "mcopy", "grub-mkimage", "rauc")
BUNDLES = "/data/bundles"
SEED = 20261126
CHUNK = 64 << 10  # rauc's check before writing reads so much at a time, and sees damage at the beginning only


def made_factory(folder: Path) -> Factory:
    """All of them, with the disk of a new device."""
    missing = missing_programs(DEBIAN_13) + [name for name in PROGRAMS if shutil.which(name) is None]
    assert not missing, f"the lab needs {', '.join(missing)}: run `make test-vm`, which installs them"
    made = Factory(folder, FIRST, [BLUE, GREEN, SICK, STUCK])
    add_refused(made)
    made.disk(FIRST.name)
    return made


def add_refused(factory: Factory) -> None:
    """Bundles that no device may take, of a small image."""
    image = factory.folder / "small.img"
    image.write_bytes(random.Random(SEED).randbytes(1_000_000))
    factory.bundle("old", "0.9.0", image)
    factory.bundle("strange", "9.0.0", image, keys="strangers")
    factory.bundle("other-board", "9.0.0", image, board="generic-arm64")
    whole = factory.bundle("whole", "9.0.0", image).read_bytes()
    (factory.bundles / "whole.raucb").unlink()
    for name, where in (("early", 7 * CHUNK), ("late", 7 * CHUNK + CHUNK // 2)):
        flipped = bytearray(whole)
        flipped[where] ^= 1
        (factory.bundles / f"{name}.raucb").write_bytes(flipped)
    (factory.bundles / "cut.raucb").write_bytes(whole[: len(whole) * 9 // 10])


def runs_whole(device: Device, factory: Factory, slot: str, release: str) -> None:
    """The slot that runs is byte by byte the release that it calls itself."""
    assert (device.slot(), device.release()) == (slot, release)
    whole, size = factory.sums[release]
    assert device.slot_sum(slot, size) == whole


def goodness(device: Device) -> dict[str, bool]:
    """Which slots are good."""
    return {slot["bootname"]: slot["good"] for slot in device.slots()["slots"]}


def update_to(device: Device, release: Release) -> None:
    """Install, and wait until the new system answers."""
    before = device.boot_id()
    device.try_to_run(f"visavis update install --keep {BUNDLES}/{release.name}.raucb --restart", 1800)
    device.wait_for_another_start(before)
