# SPDX-License-Identifier: Apache-2.0
"""The image of a Jetson, NVIDIA's parts played: the first start, its slots, and an update from one to the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from visavis.update.bundle import Contents, make_bundle
from visavis.update.keys import CA, make_keys

from tests.vm import image_update, jetson_board
from tests.vm.image_lab import SETTINGS, a_face_comes_over_mqtt, everything_runs, slow_down
from tests.vm.image_update import BUILT_AT, PARCEL, VERSION, Parcel
from tests.vm.jetson_board import Jetson
from tests.vm.lab import UBUNTU_22, missing_programs
from tests.vm.two_slots import file_sum

# Its packages alone take minutes to install.
pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(10_000)]


@pytest.fixture(scope="module")
def nvme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    missing = missing_programs(UBUNTU_22)
    assert not missing, f"missing: {', '.join(missing)}"
    with pytest.MonkeyPatch.context() as here:
        jetson_board.as_here(here)
        yield jetson_board.image(tmp_path_factory.mktemp("jetson"))


@pytest.fixture(scope="module")
def device(nvme: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jetson]:
    jetson = Jetson(nvme, tmp_path_factory.mktemp("board"))
    jetson.put("visavis.toml", SETTINGS.format(key=(jetson.folder / "key.pub").read_text().strip()))
    jetson.switch_on()
    with jetson:
        slow_down(jetson)
        yield jetson


def test_the_first_start_is_of_slot_a_and_ends_with_everything_running(device: Jetson) -> None:
    assert (device.started, device.slot()) == ("A", "A")
    assert "22.04" in device.run("cat /etc/os-release")
    assert device.run("cat /usr/lib/visavis-image/board").strip() == "jetson-orin"
    assert device.run("findmnt -no FSTYPE,OPTIONS /").split()[0] == "squashfs"
    assert device.run("findmnt -no FSTYPE,OPTIONS /data").split() == ["ext4", "rw,nodev,noatime"]
    assert device.run("findmnt -no FSTYPE /etc").strip() == "overlay"
    assert "was applied and removed" in device.run("cat /boot/efi/visavis-status.txt")
    assert device.run("hostname").strip() == "porch"
    everything_runs(device)


def test_nvidias_tool_can_write_its_variables_and_its_service_has_no_say(device: Jetson) -> None:
    assert device.run("findmnt -no OPTIONS /sys/firmware/efi/efivars").startswith("rw")
    assert device.gate() == "success"
    slots = f"/boot/efi/{jetson_board.SLOTS}"
    device.run(f"sed -i s/retry0=.*/retry0=1/ {slots} && systemctl restart {jetson_board.CONFIG_SERVICE}")
    assert device.run("cat /etc/nv_boot_control.conf") == "TEGRA_CHIPID 0x23\n"
    assert "retry0=1" in device.run(f"cat {slots}")
    device.run("nvbootctrl verify")
    assert "retry0=3" in device.run(f"cat {slots}")


def test_a_face_comes_over_mqtt(device: Jetson) -> None:
    a_face_comes_over_mqtt(device)


def test_rauc_knows_both_pairs_of_partitions_and_which_one_runs(device: Jetson) -> None:
    said = device.run("rauc status")
    assert "Compatible:  visavis-jetson-orin" in said
    assert "Booted from: rootfs.0 (A)" in said
    for name in ("APP", "APP_b", "visavis-a", "visavis-b"):
        assert f"/dev/disk/own/{name}" in said
    assert device.gate() == "success"
    now = device.slots()
    assert (now["compatible"], now["running"], now["trial"]) == ("visavis-jetson-orin", "A", False)


@pytest.fixture(scope="module")
def parcel(device: Jetson, nvme: Path, tmp_path_factory: pytest.TempPathFactory) -> Parcel:
    """The same system as another version, with its boot partition."""
    folder = tmp_path_factory.mktemp("parcel")
    make_keys(folder / "keys")
    system = image_update.newer_system(device.hardware, folder, lambda _: None)
    images = {"rootfs": system, "boot": nvme.parent / "boot.ext4"}
    good = folder / "good.raucb"
    make_bundle(Contents("jetson-orin", VERSION, BUILT_AT, images), folder / "keys", good)
    made = Parcel(good, good, folder / "keys" / CA, file_sum(system))
    image_update.it_trusts(device, made)
    return made


def test_an_update_is_written_into_both_partitions_of_slot_b_and_kept(device: Jetson, parcel: Parcel) -> None:
    device.send(parcel.good, PARCEL)
    device.run(f"visavis update install {PARCEL}", 3600)
    device.restart()
    assert (device.started, device.slot()) == ("B", "B")
    everything_runs(device)
    assert device.gate() == "success"
    now = device.slots()
    assert (now["running"], now["version"], now["trial"]) == ("B", VERSION, False)
    whole, size = parcel.whole
    assert device.slot_sum("B", size) == whole
    assert device.run("hostname").strip() == "porch"


def test_a_slot_on_trial_is_given_up_after_three_starts(device: Jetson) -> None:
    device.run("systemctl mask --now visavis-mark-good")  # nobody confirms anything
    device.run("/usr/lib/visavis/update/boot-backend set-primary A")
    begun = []
    for _ in range(4):
        device.restart()
        begun.append(device.slot())
    assert begun == ["A", "A", "A", "B"]
