# SPDX-License-Identifier: Apache-2.0
"""The image of a Raspberry Pi, of a small system: what its firmware finds on the card, and what an update replaces."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from image import HERE, build, disk, root
from image.arm64 import MAGIC, MAGIC_AT
from image.boards import BOARDS, Board
from image.errors import ImageError
from image.packages import read_lock
from image.pi import LICENCE
from visavis.update.boot.tryboot import Tryboot

from tests.pi_firmware import Firmware

KERNEL = b"\0" * MAGIC_AT + MAGIC + b"kernel"
TREES = {"rpi4": ["bcm2711-rpi-4-b.dtb"], "rpi5": ["bcm2712-rpi-5-b.dtb", "bcm2712d0-rpi-5-b.dtb"]}
TIME_S = 1_795_651_200


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "SLOT_MIB", 4)
    monkeypatch.setattr("image.pi.FIRST_PARTITION_MIB", 34)
    monkeypatch.setattr("image.pi.BOOT_MIB", 34)


@pytest.fixture(params=TREES)
def board(request: pytest.FixtureRequest) -> Board:
    return BOARDS[request.param]


def system(folder: Path) -> Path:
    """A root with what the boot partition is made of."""
    modules = "usr/lib/modules/7.3.4"
    names = ("bcm2711-rpi-4-b", "bcm2711-rpi-400", "bcm2712-rpi-5-b", "bcm2712-d-rpi-5-b")
    files = {f"{modules}/dtb/broadcom/{name}.dtb": name.encode() for name in names}
    files |= {f"usr/lib/raspi-firmware/{name}": name.encode() for name in ("start4.elf", "fixup4.dat", "start.elf")}
    files |= {"boot/vmlinuz-7.3.4": KERNEL, f"{modules}/vmlinuz": KERNEL, "boot/initrd.img-7.3.4": b"first stage"}
    files |= {"boot/firmware/vmlinuz-7.3.4": KERNEL, "boot/efi/README": b"where the first partition is mounted"}
    files |= {LICENCE: b"Redistributions must reproduce", "usr/bin/true": b"program"}
    disk.write_files(files, folder)
    (folder / "initrd.img").symlink_to("boot/initrd.img-7.3.4")
    return folder


def made(board: Board, folder: Path) -> Path:
    """The image of that system."""
    recipe = root.Recipe(board, read_lock(board.lock), Path(), "1.0", TIME_S)
    tree = system(folder / "root")
    contents = {name: folder / name for name in ("first", "boot", "system")}
    build.partition(recipe, "first", {**board.loader.first_files(tree), **build.owners_files()}, contents["first"])
    build.partition(recipe, "boot", board.loader.slot_files(tree, board.options), contents["boot"])
    root.squash(tree, contents["system"], TIME_S)
    contents["root"] = contents.pop("system")
    image = folder / "image"
    disk.assemble(board.table, contents, image)
    return image


def test_the_firmware_finds_the_first_slot(board: Board, tmp_path: Path) -> None:
    image = made(board, tmp_path)
    for tree in TREES[board.name]:
        loaded = Firmware(image, tree).load()
        assert (loaded.partition, loaded.kernel, loaded.first_stage) == (2, KERNEL, b"first stage")
        assert loaded.device_tree.decode().replace("d-", "") == tree.replace("d0", "").removesuffix(".dtb")
        words = loaded.command_line.split()
        assert {"root=PARTLABEL=visavis-a", "ro", "rauc.slot=A", "panic=10", f"console={board.consoles[1]}"} <= {*words}


def test_both_boot_partitions_may_hold_the_same_bytes(board: Board, tmp_path: Path) -> None:
    """As after an update: the image of the boot partition is written into the other."""
    image = made(board, tmp_path)
    with image.open("r+b") as out:
        out.seek(dict((part.label, at) for part, at in board.table.placed())["visavis-boot-b"] * disk.MIB)
        out.write((tmp_path / "boot").read_bytes())
    loaded = Firmware(image, TREES[board.name][0]).load(tryboot=True)
    assert (loaded.partition, loaded.kernel) == (3, KERNEL)
    assert {"root=PARTLABEL=visavis-b", "rauc.slot=B"} <= {*loaded.command_line.split()}
    old = Firmware(image, TREES[board.name][0], chooses=False).load(tryboot=True)
    assert "rauc.slot=A" in old.command_line  # which is what end-trial refuses to run


def test_the_table_has_the_names_that_rauc_writes_to(board: Board, tmp_path: Path) -> None:
    image = made(board, tmp_path)
    dumped = json.loads(subprocess.run(["sfdisk", "-J", image], capture_output=True, text=True, check=True).stdout)
    labels = [part["name"] for part in dumped["partitiontable"]["partitions"]]
    assert labels == ["visavis-esp", "visavis-boot-a", "visavis-boot-b", "visavis-a", "visavis-b"]
    into = [str(HERE / "update" / "into"), str(tmp_path / "root"), board.name, "1.0", ""]
    subprocess.run(into, check=True)
    configured = (tmp_path / "root/etc/rauc/system.conf").read_text()
    assert all(f"/dev/disk/own/{label}\n" in configured for label in labels[1:])


def test_what_updates_need_is_put_in_from_a_checkout_of_any_name(tmp_path: Path) -> None:
    checkout, tree = tmp_path / "my * checkout", tmp_path / "the root"
    shutil.copytree(HERE / "update", checkout)
    subprocess.run([str(checkout / "into"), str(tree), "rpi5", "1.0", ""], check=True)
    assert "[slot.boot.1]" in (tree / "etc/rauc/system.conf").read_text()


def test_the_first_partition_has_what_the_boot_loader_and_the_owner_need(board: Board, tmp_path: Path) -> None:
    firmware = Firmware(made(board, tmp_path), TREES[board.name][0])
    for name in ("autoboot.txt", "visavis-slots.txt", "autoboot-a.txt", "autoboot-b.txt"):
        (tmp_path / name).write_bytes(firmware.file(1, name))
    loader = Tryboot(tmp_path)
    assert (loader.primary(), loader.good("A"), loader.good("B")) == ("A", True, False)
    assert b"[wifi]" in firmware.file(1, "visavis.toml.example")


def test_the_firmwares_licence_lies_beside_it_and_the_kernel_in_one_place(board: Board, tmp_path: Path) -> None:
    firmware = Firmware(made(board, tmp_path), TREES[board.name][0])
    if board.name == "rpi4":
        assert firmware.file(2, "start4.elf") == b"start4.elf"
        assert firmware.file(2, "LICENCE.broadcom").startswith(b"Redistributions must reproduce")
    with pytest.raises(AssertionError, match=r"has no start\.elf"):
        firmware.file(2, "start.elf")
    assert [path.name for path in (tmp_path / "root/boot").iterdir()] == ["efi"]
    assert not [*(tmp_path / "root").rglob("vmlinuz*")]
    assert not (tmp_path / "root/initrd.img").is_symlink()
    assert (tmp_path / "root" / LICENCE).exists()


def test_the_same_system_makes_the_same_bytes(board: Board, tmp_path: Path) -> None:
    images = [made(board, tmp_path / name) for name in ("one", "two")]
    assert subprocess.run(["cmp", *images], check=False).returncode == 0


def test_a_kernel_that_the_firmware_cannot_load_is_refused(board: Board, tmp_path: Path) -> None:
    tree = system(tmp_path)
    (tree / "usr/lib/modules/7.3.4/vmlinuz").write_bytes(b"MZ" + b"\0" * 100)
    with pytest.raises(ImageError, match="no plain arm64 kernel"):
        board.loader.slot_files(tree, board.options)
