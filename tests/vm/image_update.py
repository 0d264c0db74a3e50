# SPDX-License-Identifier: Apache-2.0
"""An update of a device that was flashed with a made image: the same image with another version in it, signed."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from image import root
from visavis.update.bundle import Contents, make_bundle
from visavis.update.keys import CA, make_keys

from tests.vm.image_lab import PAGE, Flashed, Hardware, everything_runs
from tests.vm.slots import OTHER
from tests.vm.two_slots import file_sum

BUILT_AT = datetime(2026, 11, 26, tzinfo=timezone.utc)
VERSION = "9.0.0"
PARCEL = "/data/parcel.raucb"
# The gate gives a new system five minutes, in which an emulated one does not get ready.
GATE = """[Service]
TimeoutStartSec=2h
ExecStart=
ExecStart=/usr/bin/visavis update gate --url {page} --wait {wait_s}
"""
PATIENCE_S = 6000
# Of one that does not get ready however long the gate waits, and of one that is ready but cannot be reached.
SICK_S, ALONE_S = 60, 400


@dataclass(frozen=True)
class Parcel:
    """Bundles of one version: `good` with the system whose sum and size are `whole`, and one signed by strangers."""

    good: Path
    strange: Path
    authority: Path
    whole: tuple[str, int]


def parcel(hardware: Hardware, folder: Path, change: Callable[[Path], None] = lambda _: None) -> Parcel:
    """Make keys and bundles for a board's image, whose new system was changed like this."""
    make_keys(folder / "keys")
    make_keys(folder / "strangers")
    system, small = newer_system(hardware, folder, change), folder / "small.img"
    small.write_bytes(random.Random(VERSION).randbytes(1_000_000))
    good, strange = folder / "good.raucb", folder / "strange.raucb"
    make_bundle(Contents(hardware.board, VERSION, BUILT_AT, {"rootfs": system}), folder / "keys", good)
    make_bundle(Contents(hardware.board, VERSION, BUILT_AT, {"rootfs": small}), folder / "strangers", strange)
    made = Parcel(good, strange, folder / "keys" / CA, file_sum(system))
    system.unlink()
    return made


def without_a_daemon(tree: Path) -> None:
    """Let the daemon of a system end as soon as it is started."""
    (tree / "usr/bin/visavis-capture").write_text("#!/bin/sh\nexit 1\n")


def without_a_network(tree: Path) -> None:
    """As a system does that has lost the driver of its only interface."""
    (tree / "etc/systemd/network/20-visavis.network").unlink()


def newer_system(hardware: Hardware, folder: Path, change: Callable[[Path], None]) -> Path:
    """The root file system of the image, which calls itself a newer version, and `change`d."""
    tree, system = folder / "tree", folder / "newer.squashfs"
    made = hardware.image.parent / "rootfs.squashfs"
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-d", str(tree), str(made)], check=True)
    configuration = tree / "etc/rauc/system.conf"
    lines = configuration.read_text().splitlines()
    versioned = [f"min-bundle-version={VERSION}" if line.startswith("min-bundle-version=") else line for line in lines]
    configuration.write_text("\n".join(versioned) + "\n")
    change(tree)
    root.squash(tree, system, int(BUILT_AT.timestamp()))
    shutil.rmtree(tree)
    return system


def it_trusts(device: Flashed, parcel: Parcel, wait_s: float = PATIENCE_S) -> None:
    """Give a device whose image was made without KEYRING the certificate of those keys, and patience."""
    device.send(parcel.authority, "/etc/rauc/keyring.pem")
    folder, gate = "/etc/systemd/system/visavis-mark-good.service.d", GATE.format(page=PAGE, wait_s=wait_s)
    device.run(f"mkdir -p {folder} && cat >{folder}/patient.conf <<'EOF'\n{gate}\nEOF")
    device.run("systemctl daemon-reload && systemctl try-restart rauc")


def it_refuses_what_strangers_signed(device: Flashed, parcel: Parcel) -> None:
    """And goes on as it was."""
    before = device.slots()
    device.send(parcel.strange, PARCEL)
    refused = device.try_to_run(f"visavis update install {PARCEL}", 1800)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "is signed with a key that this device does not trust" in refused.stderr
    assert device.slots() == before


def an_update_leads_to(slot: str, device: Flashed, parcel: Parcel) -> None:
    """Byte by byte what was built, and a device that is still itself: its name, key and settings."""
    here = device.boot_id()
    device.send(parcel.good, PARCEL)
    device.run(f"visavis update install {PARCEL}", 3600)
    assert device.run("cat /data/rauc/visavis-chosen") == f"slot={slot}\nnetwork=yes\n"
    device.try_to_run("reboot")
    device.wait_for_another_start(here)
    assert device.slot() == slot
    everything_runs(device)
    assert device.gate() == "success"
    now = device.slots()
    assert (now["running"], now["version"], now["trial"]) == (slot, VERSION, False)
    assert device.try_to_run("test -e /data/rauc/visavis-chosen").returncode == 1
    whole, size = parcel.whole
    assert device.slot_sum(slot, size) == whole
    assert device.run("hostname").strip() == "porch"
    assert device.try_to_run(f"test -e {PARCEL}").returncode == 1


def a_system_that_is_not_healthy_is_given_up(device: Flashed, parcel: Parcel) -> None:
    """After three starts; the device is as it was, and knows that the other slot holds nothing of use."""
    here, before = device.slot(), device.slots()["version"]
    there = OTHER[here]
    device.send(parcel.good, PARCEL)
    device.try_to_run(f"visavis update install {PARCEL} --restart", 3600)
    device.gives_up(there)
    everything_runs(device)
    assert device.gate() == "success"
    now = device.slots()
    assert (now["running"], now["version"], now["trial"]) == (here, before, False)
    device.refuses_to_roll_back_to(there)
