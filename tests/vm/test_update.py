# SPDX-License-Identifier: Apache-2.0
"""Updates of a device with two slots: there and back, and refused bundles."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.lab import PC, missing_programs
from tests.vm.two_slots import Device, Factory, Release

pytestmark = [pytest.mark.timeout(7200)]

FIRST = Release("first", "1.0.0")
# Two builds of one version, so that each may follow the other.
BLUE, GREEN = Release("blue", "2.0.0"), Release("green", "2.0.0+1")
PROGRAMS = ("qemu-img", "mksquashfs", "sfdisk", "mkfs.fat", "mcopy", "grub-mkimage", "rauc")
BUNDLES = "/data/bundles"
SEED = 20261126
CHUNK = 64 << 10  # rauc's check before writing reads so much at a time, and sees damage at the beginning only
UNTOUCHED = "sha256sum /boot/efi/EFI/visavis/grubenv; head -c 2000000 /dev/disk/by-partlabel/visavis-b | sha256sum"


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    missing = missing_programs(PC) + [name for name in PROGRAMS if shutil.which(name) is None]
    assert not missing, f"the lab needs {', '.join(missing)}: run `make test-vm`, which installs them"
    folder = tmp_path_factory.mktemp("factory")
    made = Factory(folder, FIRST, [BLUE, GREEN])
    add_refused(made)
    made.disk(FIRST.name)
    yield made
    shutil.rmtree(folder)


def add_refused(factory: Factory) -> None:
    """Bundles that no device may take, of a small image."""
    image = factory.folder / "small.img"
    image.write_bytes(random.Random(SEED).randbytes(1_000_000))
    factory.bundle("old", "0.9.0", image)
    factory.bundle("strange", "9.0.0", image, keys="strangers")
    factory.bundle("other-board", "9.0.0", image, board="rpi5")
    whole = factory.bundle("whole", "9.0.0", image).read_bytes()
    (factory.bundles / "whole.raucb").unlink()
    for name, where in (("early", 7 * CHUNK), ("late", 7 * CHUNK + CHUNK // 2)):
        flipped = bytearray(whole)
        flipped[where] ^= 1
        (factory.bundles / f"{name}.raucb").write_bytes(flipped)
    (factory.bundles / "cut.raucb").write_bytes(whole[: len(whole) * 9 // 10])


def device_of(factory: Factory, folder: Path) -> Iterator[Device]:
    with Device(factory.folder / "disk.img", folder) as device:
        yield device


@pytest.fixture(scope="module")
def device(factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """One device for the tests below, in their order."""
    yield from device_of(factory, tmp_path_factory.mktemp("device"))


def runs_whole(device: Device, factory: Factory, slot: str, release: str) -> None:
    """The slot that runs is byte by byte the release that it calls itself."""
    assert (device.slot(), device.release()) == (slot, release)
    whole, size = factory.sums[release]
    assert device.slot_sum(slot, size) == whole


def status(device: Device) -> dict[str, object]:
    found: dict[str, object] = json.loads(device.run("visavis update status --json"))
    return found


def update_to(device: Device, release: Release) -> None:
    """Install, and wait until the new system answers."""
    before = device.boot_id()
    device.try_to_run(f"visavis update install {BUNDLES}/{release.name}.raucb --restart", 1800)
    device.wait_for_another_start(before)


@pytest.mark.vm
def test_a_new_device_runs_slot_a_and_calls_it_proved(device: Device, factory: Factory) -> None:
    runs_whole(device, factory, "A", "first")
    assert device.gate() == "success"
    assert (
        device.run("journalctl -u visavis-mark-good -o cat | grep proved").strip() == "slot A has proved itself before"
    )
    assert "_TRY=0" in device.run("grep A_TRY /boot/efi/EFI/visavis/grubenv")
    refused = device.try_to_run("visavis update rollback")
    assert "slot B holds no system that could be booted: install a bundle instead" in refused.stderr


@pytest.mark.vm
@pytest.mark.parametrize(
    ("bundle", "sentence", "of_rauc"),
    [
        ("old", "holds version 0.9.0, which is older than 1.0.0 on this device: take a newer", "Version mismatch"),
        ("strange", "is signed with a key that this device does not trust: sign it with", "unable to get local issuer"),
        ("other-board", "is for visavis-rpi5, this device is visavis-generic-amd64", "ompatible"),
        ("early", "is damaged: copy it again", "device failed"),
        ("cut", "is cut short or is no bundle: copy it again", "ignature"),
    ],
)
def test_it_refuses(bundle: str, sentence: str, of_rauc: str, device: Device, factory: Factory) -> None:
    """In our words, and by RAUC's service itself when it is asked without us; nothing is written."""
    before = device.run(UNTOUCHED)
    ours = device.try_to_run(f"visavis update install {BUNDLES}/{bundle}.raucb", 900)
    assert ours.returncode == 1
    assert sentence in ours.stderr, ours.stderr
    theirs = device.try_to_run(f"rauc install {BUNDLES}/{bundle}.raucb", 900)
    assert theirs.returncode != 0
    assert of_rauc in theirs.stdout + theirs.stderr
    assert device.run(UNTOUCHED) == before


@pytest.mark.vm
def test_damage_that_is_seen_late_spoils_the_other_slot_alone(device: Device) -> None:
    damaged = device.try_to_run(f"visavis update install {BUNDLES}/late.raucb", 900)
    assert damaged.returncode == 1
    assert "is damaged: copy it again" in damaged.stderr, damaged.stderr
    now = status(device)
    assert (now["running"], now["primary"]) == ("A", "rootfs.0")
    assert {slot["bootname"]: slot["good"] for slot in now["slots"]} == {"A": True, "B": False}  # type: ignore[attr-defined]


@pytest.mark.vm
def test_an_update_leads_to_b_and_the_next_back_to_a(device: Device, factory: Factory) -> None:
    for slot, release in (("B", BLUE), ("A", GREEN)):
        update_to(device, release)
        runs_whole(device, factory, slot, release.name)
        assert device.gate() == "success"
        now = status(device)
        assert (now["running"], now["version"], now["trial"]) == (slot, release.version, False)
