# SPDX-License-Identifier: Apache-2.0
"""What GRUB does, in QEMU with UEFI firmware, when a slot holds nothing that can be started."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from image import build, disk
from image.boards import BOARDS
from image.grub import FOLDER, Grub
from visavis.update.boot.grub import fresh_environment

from tests.vm.image_lab import PC
from tests.vm.lab import accelerated
from tests.waiting import until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(3600)]


@pytest.fixture
def empty_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A disk with GRUB as an image has it, and two slots of zeros, of which either may be booted."""
    monkeypatch.setattr(disk, "SLOT_MIB", 4)
    board, files = BOARDS[PC.board], tmp_path / "files"
    assert isinstance(board.loader, Grub)
    environment = fresh_environment().replace(b"B_OK=0", b"B_OK=1")
    disk.write_files(
        {**board.loader.first_files(Path("/")), **build.owners_files(), f"{FOLDER}/grubenv": environment}, files
    )
    first, nothing, image = tmp_path / "first", tmp_path / "nothing", tmp_path / "disk.img"
    disk.fat(disk.FileSystem(board.name, "VISAVIS", disk.FIRST_PARTITION_MIB, 1_795_651_200), files, first)
    nothing.write_bytes(b"")
    disk.assemble(board.table, {"first": first, "root": nothing}, image)
    return image


def test_a_slot_whose_kernel_cannot_be_loaded_is_given_up_with_nobody_there(empty_slots: Path, tmp_path: Path) -> None:
    console, variables = tmp_path / "console", tmp_path / "variables.fd"
    variables.write_bytes(PC.variables.read_bytes())
    command = [PC.system.emulator, *PC.machine, *accelerated(PC.system, 128), "-m", "512"]
    drives = [f"if=pflash,format=raw,readonly=on,file={PC.firmware}", f"if=pflash,format=raw,file={variables}"]
    command += [word for drive in (*drives, f"if=virtio,format=raw,file={empty_slots}") for word in ("-drive", drive)]
    with subprocess.Popen([*command, "-display", "none", "-net", "none", "-serial", f"file:{console}"]) as machine:
        try:
            until(lambda: starts(console)[:4] == ["A 1", "A 2", "A 3", "B 1"], console.read_text, 1800)
        finally:
            machine.kill()


def starts(console: Path) -> list[str]:
    """Slot and number of each start, as GRUB said them."""
    said = console.read_text(errors="replace") if console.exists() else ""
    return [f"{slot} {boot}" for slot, boot in re.findall(r"visavis: slot (\w), boot (\d) of 3", said)]
