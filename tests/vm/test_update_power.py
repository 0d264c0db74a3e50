# SPDX-License-Identifier: Apache-2.0
"""Power cuts at any moment of an update, on a disk that forgets what was not flushed: the system stays whole."""

from __future__ import annotations

import hashlib
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from visavis.update.boot.sector import values

from tests.vm.releases import BLUE, BUNDLES, GREEN, SEED, goodness, runs_whole
from tests.vm.slots import OTHER
from tests.vm.two_slots import Factory, Forgetful

pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(14400)]

CUTS = 20

KEPT = "/data/kept"
KEEP = f"mkdir -p {KEPT} && cd {KEPT} && head -c 300000 /dev/urandom >{{name}} && sha256sum {{name}} >>sums && sync"


@pytest.fixture
def device(factory: Factory, tmp_path: Path) -> Iterator[Forgetful]:
    """A device just flashed, that runs."""
    device = Forgetful(factory.folder / "disk.img", tmp_path)
    with device:
        yield device


def test_twenty_power_cuts_within_updates_leave_a_whole_system(
    device: Forgetful, factory: Factory, measured: Callable[[str], None]
) -> None:
    """Each second time while an update is installed, else in the restart or the start that follow."""
    dice, struck = random.Random(SEED), list[str]()
    assert device.gate() == "success"
    install_s, start_s = time_of(lambda: install(device)), 0.0
    for cut in range(CUTS):
        device.run(KEEP.format(name=cut))
        after_s = dice.uniform(0, install_s) if cut % 2 == 0 else install_s + dice.uniform(0, start_s)
        struck.append(cut_within_an_update(device, factory, after_s))
        print(f"power cut {cut + 1} of {CUTS} after {after_s:.0f} s, {struck[-1]}", flush=True)
        start_s = time_of(lambda: start(device))
        is_whole(device, factory)
        install_s = time_of(lambda: install(device))
        what_was_installed_is_whole(device, factory)
    counts = [f"{struck.count(moment)} {moment}" for moment in sorted(set(struck))]
    measured(f"{CUTS} power cuts ({', '.join(counts)}): a whole system each time")


def time_of(step: Callable[[], None]) -> float:
    """How long it took, in s."""
    begun_s = time.monotonic()
    step()
    return time.monotonic() - begun_s


def start(device: Forgetful) -> None:
    """Power on, until what starts is kept."""
    device.power_on()
    device.wait_until_it_answers()
    assert device.gate() == "success"


def cut_within_an_update(device: Forgetful, factory: Factory, after_s: float) -> str:
    """Say what was going on when the power went."""
    here, starts = device.slot(), len(device.boots_that_grub_counted())
    device.start("update", f"visavis update install --keep {BUNDLES}/{BLUE.name}.raucb --restart")
    time.sleep(after_s)
    device.stop()
    started = len(device.boots_that_grub_counted()) > starts
    left = what_the_disk_holds(device)
    whole = whole_slots(device, factory)
    assert all(slot in whole for slot in "AB" if left[f"{slot}_OK"] == "1"), f"whole: {whole}, but {left}"
    return moment(left, OTHER[here], started=started)


def moment(left: dict[str, str], there: str, *, started: bool) -> str:
    """Which part of an update to slot `there` left these variables of GRUB's."""
    if left[f"{there}_OK"] == "0":
        return "while it was written"
    if not started:
        return "before its start"
    return "in its first start" if left["TRIAL"] == there else "after it was kept"


def what_the_disk_holds(device: Forgetful) -> dict[str, str]:
    """Both file systems that are written are whole without their last writes; returns GRUB's variables."""
    data, boot = device.partition("visavis-data"), device.partition("visavis-esp")
    checked = subprocess.run(["e2fsck", "-fp", data], capture_output=True, text=True, check=False)
    assert checked.returncode in (0, 1), checked.stdout + checked.stderr  # 1: as after any start without a clean end
    environment = subprocess.run(
        ["mtype", "-i", boot, "::/EFI/visavis/grubenv"], capture_output=True, check=True
    ).stdout
    assert len(environment) == 1024
    assert environment.startswith(b"# GRUB Environment Block\n")
    data.unlink()
    return values(environment.decode())


def whole_slots(device: Forgetful, factory: Factory) -> list[str]:
    """Those that hold a release to the last byte, while the device is off."""
    held = {slot: device.partition(f"visavis-{slot.lower()}") for slot in "AB"}
    return [slot for slot in "AB" if any(begins_with(held[slot], *known) for known in factory.sums.values())]


def begins_with(file: Path, whole: str, size: int) -> bool:
    """Whether the first `size` bytes have this SHA-256."""
    with file.open("rb") as content:
        return hashlib.sha256(content.read(size)).hexdigest() == whole


def is_whole(device: Forgetful, factory: Factory) -> None:
    """What runs is a release to the last byte; what was put on /data is there."""
    runs_whole(device, factory, device.slot(), device.release())
    device.run(f"cd {KEPT} && sha256sum --quiet -c sums")


def install(device: Forgetful) -> None:
    """So that both slots hold a system, and the other comes next: the cut that follows breaks into that."""
    device.run(f"visavis update install --keep {BUNDLES}/{GREEN.name}.raucb", 1800)


def what_was_installed_is_whole(device: Forgetful, factory: Factory) -> None:
    """To the last byte, and as good as what runs."""
    whole, size = factory.sums[GREEN.name]
    assert device.slot_sum(OTHER[device.slot()], size) == whole
    assert goodness(device) == {"A": True, "B": True}
