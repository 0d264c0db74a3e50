# SPDX-License-Identifier: Apache-2.0
"""The images for a Raspberry Pi, its firmware played: the first start, a slot that is tried, given up, tried, kept."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from visavis.update.bundle import Contents, make_bundle
from visavis.update.keys import CA, make_keys

from tests.vm import image_update
from tests.vm.image_lab import (
    SETTINGS,
    a_face_comes_over_mqtt,
    everything_runs,
    missing_image,
    slow_down,
    the_list_of_parts_is_inside_and_beside,
)
from tests.vm.image_update import BUILT_AT, PARCEL, VERSION, Parcel
from tests.vm.lab import PI, missing_programs
from tests.vm.pi_card import CARD, DEVICE_TREES, STICK, Card, Medium
from tests.vm.two_slots import file_sum

# Its image alone takes half an hour to make.
pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(10_000)]
MOST_MB = 900


@pytest.fixture(scope="module", params=DEVICE_TREES)
def board(request: pytest.FixtureRequest) -> str:
    """In the names of the tests, so that what ran for one board is told beside what ran for the other."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def device(board: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Card]:
    missing = missing_image(board) + missing_programs(PI)
    assert not missing, f"missing: {', '.join(missing)}"
    card = Card(board, tmp_path_factory.mktemp("card"))
    card.fill_slot_b()
    card.put("visavis.toml", SETTINGS.format(key=(card.folder / "key.pub").read_text().strip()))
    card.switch_on()
    with card:
        slow_down(card)
        yield card


def test_the_first_start_is_of_slot_a_and_ends_with_everything_running(device: Card, board: str) -> None:
    assert (device.started_from, device.slot_now()) == (2, "A")
    assert device.run("uname -m").strip() == "aarch64"
    assert device.run("cat /usr/lib/visavis-image/board").strip() == board
    assert device.run("findmnt -no FSTYPE,OPTIONS /").startswith("squashfs ro")
    assert "was applied and removed" in device.run("cat /boot/efi/visavis-status.txt")
    everything_runs(device)


def test_the_image_is_quickly_sent(device: Card, measured: Callable[[str], None]) -> None:
    sent = Path(f"{device.hardware.image}.zst").stat().st_size / 1e6
    measured(f"{sent:.0f} MB to send")
    assert sent <= MOST_MB


def test_a_face_comes_over_mqtt(device: Card) -> None:
    a_face_comes_over_mqtt(device)


def test_the_list_of_parts_and_the_licences_are_inside(device: Card) -> None:
    the_list_of_parts_is_inside_and_beside(device)
    assert "Redistributions must reproduce" in device.run("cat /usr/share/doc/raspi-firmware/copyright")


def test_rauc_knows_both_pairs_of_partitions(device: Card, board: str) -> None:
    said = device.run("rauc status")
    assert f"Compatible:  visavis-{board}" in said
    for name in ("boot-a", "boot-b", "a", "b"):
        assert f"/dev/disk/own/visavis-{name}" in said


def test_a_slot_on_trial_is_started_once_and_without_confirmation_given_up(device: Card) -> None:
    device.run("systemctl mask --now visavis-mark-good")  # nobody confirms anything
    device.backend("set-primary", "B")
    device.restart()
    assert (device.started_from, device.slot_now()) == (3, "B")
    assert device.backend("get-primary") == "B"
    device.cut_power()
    assert (device.started_from, device.slot_now()) == (2, "A")
    device.run("visavis update good")
    assert (device.backend("get-primary"), device.backend("get-state", "B")) == ("A", "bad")


def test_a_slot_that_is_confirmed_is_started_from_then_on(device: Card) -> None:
    device.backend("set-primary", "B")
    device.restart()
    assert (device.started_from, device.slot_now()) == (3, "B")
    device.run("visavis update good")


def test_a_bundle_is_written_into_both_partitions_of_the_other_slot(device: Card, board: str, tmp_path: Path) -> None:
    """And waits there: only a restart of the device itself tries it."""
    images = {kind: tmp_path / f"{kind}.img" for kind in ("boot", "rootfs")}
    for image in images.values():
        image.write_bytes(random.Random(image.name).randbytes(8 << 20))
    make_keys(tmp_path / "keys")
    bundle = tmp_path / "good.raucb"
    make_bundle(Contents(board, VERSION, BUILT_AT, images), tmp_path / "keys", bundle)
    image_update.it_trusts(device, Parcel(bundle, bundle, tmp_path / "keys" / CA, file_sum(images["rootfs"])))
    device.send(bundle, PARCEL)
    device.run(f"visavis update install {PARCEL}", 3600)
    for kind, slot in (("boot", "boot-a"), ("rootfs", "a")):
        whole, size = file_sum(images[kind])
        assert device.slot_sum(slot, size) == whole
    assert device.backend("get-primary") == "A"
    device.stop()
    assert device.firmware.load().partition == 3


def test_a_card_that_takes_no_more_writes_still_has_what_the_device_keeps(board: str, tmp_path: Path) -> None:
    """The first stage alone: what it starts is a program that looks around and ends, after which QEMU ends too."""
    card = Card(board, tmp_path)
    card.medium = STICK
    run_as_first(card, "open('/etc/mine','w').write('kept');__import__('os').sync()")
    card.put("factory-reset", "")
    looks = "print(open('/etc/mine').read(),open('/proc/mounts').read(),open('/var/new','w').write('x'),"
    looks += "__import__('os').stat('/run/visavis-in-memory'))"
    said = run_as_first(card, looks, writable=False)
    assert "the data partition cannot be written: what this run changes is lost at its end" in said
    assert "no factory reset: the boot partition cannot be written" in said
    assert re.search(r"^kept ", said, re.MULTILINE)
    assert re.search(r" /data ext4 ro,", said)
    assert card.boot_file("factory-reset") is not None


@pytest.mark.parametrize(("medium", "other"), [(CARD, STICK), (STICK, CARD)], ids=["card", "stick"])
def test_the_system_is_of_the_disk_that_the_firmware_read(
    board: str, medium: Medium, other: Medium, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The other one carries the same image, and has been a device too."""
    mine, foreign = (Card(board, tmp_path_factory.mktemp("card")) for _ in range(2))
    mine.medium, foreign.medium = medium, other
    run_as_first(foreign, "print(1)")
    mine.further = other.plugged_in(foreign.disk)
    said = run_as_first(mine, "print(open('/proc/mounts').read())")
    disk = {CARD: "/dev/mmcblk0p", STICK: "/dev/sda"}[medium]
    assert re.findall(r"^(/dev/\D+(?:0p)?)\d+ (/|/data) ", said, re.MULTILINE) == [(disk, "/"), (disk, "/data")]


def run_as_first(card: Card, program: str, writable: bool = True) -> str:
    """What the console shows when a program in Python, without a space, is all that the system does."""
    card.switch_on(writable, f"init=/usr/bin/python3 -- -c {program}")
    card.process.wait(timeout=card.start_limit_s)
    return card.console.read_text(errors="replace").replace("\r", "")
