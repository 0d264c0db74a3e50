# SPDX-License-Identifier: Apache-2.0
"""Updates of a device with two slots: there and back, refused bundles, and systems that are given up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.releases import BLUE, BUNDLES, GREEN, SICK, STUCK, goodness, runs_whole, update_to
from tests.vm.slots import OTHER
from tests.vm.two_slots import Device, Factory, Release

pytestmark = [pytest.mark.timeout(7200)]

UNTOUCHED = "sha256sum /boot/efi/EFI/visavis/grubenv; head -c 2000000 /dev/disk/own/visavis-b | sha256sum"


@pytest.fixture(scope="module")
def device(factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """One device for the tests below, in their order."""
    with Device(factory.folder / "disk.img", tmp_path_factory.mktemp("device")) as device:
        yield device


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
        ("other-board", "is for visavis-generic-arm64, this device is visavis-generic-amd64", "ompatible"),
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
    now = device.slots()
    assert (now["running"], now["primary"]) == ("A", "rootfs.0")
    assert goodness(device) == {"A": True, "B": False}


@pytest.mark.vm
def test_an_update_leads_to_the_other_slot(device: Device, factory: Factory) -> None:
    leads_to_the_other_slot(device, factory, BLUE)


@pytest.mark.vm_long  # for the time of `make test-vm`, as what follows
def test_another_update_and_a_rollback_lead_there_and_back(device: Device, factory: Factory) -> None:
    assert device.gate() == "success"
    here, kept = device.slot(), device.release()
    leads_to_the_other_slot(device, factory, GREEN)
    before = device.boot_id()
    device.try_to_run("visavis update rollback --restart")
    device.wait_for_another_start(before)
    runs_whole(device, factory, here, kept)
    assert device.gate() == "success"


@pytest.mark.vm_long
def test_a_system_that_is_not_healthy_is_given_up_after_three_starts(device: Device, factory: Factory) -> None:
    is_given_up_after_three_starts(device, factory, SICK)


@pytest.mark.vm_long
def test_a_system_that_does_not_come_up_is_given_up_after_three_starts(device: Device, factory: Factory) -> None:
    assert device.gate() == "success"
    is_given_up_after_three_starts(device, factory, STUCK)


@pytest.mark.vm_long
def test_a_rollback_from_a_slot_on_trial_needs_no_second_trial(device: Device, factory: Factory) -> None:
    """The proved slot is booted and asked for nothing; the other is bad, for it has shown nothing."""
    assert device.gate() == "success"
    here, kept = device.slot(), device.release()
    there = OTHER[here]
    device.run(f"visavis update install --keep {BUNDLES}/{SICK.name}.raucb", 1800)
    device.try_to_run("systemctl reboot")
    device.stays_on_trial(there)
    now = device.slots()
    assert (now["running"], now["version"], now["trial"]) == (there, SICK.version, True)
    before = device.boot_id()
    device.try_to_run("visavis update rollback --restart")
    device.wait_for_another_start(before)
    runs_whole(device, factory, here, kept)
    assert device.gate() == "success"
    said = device.run("journalctl -b -u visavis-mark-good -o cat | grep proved").strip()
    assert said == f"slot {here} has proved itself before"
    assert goodness(device) == {here: True, there: False}
    device.refuses_to_roll_back_to(there)


def leads_to_the_other_slot(device: Device, factory: Factory, release: Release) -> None:
    there = OTHER[device.slot()]
    update_to(device, release)
    runs_whole(device, factory, there, release.name)
    assert device.gate() == "success"
    now = device.slots()
    assert (now["running"], now["version"], now["trial"]) == (there, release.version, False)


def is_given_up_after_three_starts(device: Device, factory: Factory, release: Release) -> None:
    """Install it, and see the device come back to the system that runs now."""
    here, kept = device.slot(), device.release()
    there = OTHER[here]
    device.run(f"visavis update install --keep {BUNDLES}/{release.name}.raucb", 1800)
    device.try_to_run("systemctl reboot")
    device.gives_up(there)
    runs_whole(device, factory, here, kept)
    assert device.gate() == "success"
    assert goodness(device) == {here: True, there: False}
    device.refuses_to_roll_back_to(there)
