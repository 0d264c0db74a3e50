# SPDX-License-Identifier: Apache-2.0
"""The card of a Raspberry Pi in a virtual machine. QEMU has no Pi 4 or 5 with its firmware, so the firmware's part is
played here on the card itself, and what it would start runs on QEMU's own arm64 machine with the card in a reader.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from image.boards import BOARDS

from tests.pi_firmware import Firmware
from tests.vm.image_lab import ARM, Flashed, Hardware
from tests.vm.lab import PI, accelerated

DEVICE_TREES = {"rpi4": "bcm2711-rpi-4-b.dtb", "rpi5": "bcm2712-rpi-5-b.dtb"}
CONSOLE = "console=ttyAMA0"
CARD_BYTES = 8 << 30  # QEMU takes powers of two only


@dataclass(frozen=True)
class Medium:
    """Where a card's bytes are: the number that the firmware has for it, and what QEMU calls it."""

    boot_mode: int
    host: str
    device: str

    def plugged_in(self, disk: Path, writable: bool = True) -> list[str]:
        """For QEMU's command line."""
        protected = "" if writable else ",readonly=on"
        drive = f"if=none,id={self.device},format=raw,file={disk}{protected}"
        return ["-drive", drive, "-device", self.host, "-device", f"{self.device},drive={self.device}"]


CARD = Medium(1, "sdhci-pci", "sd-card")
STICK = Medium(4, "qemu-xhci", "usb-storage")


class Card(Flashed):
    """A machine that starts what the firmware of a Pi would take from its card."""

    medium = CARD

    def __init__(self, board: str, folder: Path) -> None:
        super().__init__(Hardware(board, PI, PI.processor, ARM.firmware, ARM.variables), folder)
        os.truncate(self.disk, CARD_BYTES)
        self.firmware = Firmware(self.disk, DEVICE_TREES[board])
        self.further: list[str] = []  # for QEMU's command line

    def switch_on(self, writable: bool = True, further: str = "") -> None:
        """Power, or a restart: the firmware reads the card again. Debian's kernel cannot ask it for tryboot.

        Args:
            writable: False is a card that takes no more writes, which QEMU has as a stick only.
            further: for the end of the kernel's command line.
        """
        loaded = self.firmware.load()
        self.started_from = loaded.partition
        for name, content in (("kernel", loaded.kernel), ("initrd", loaded.first_stage)):
            (self.folder / name).write_bytes(content)
        self.console.write_text("")
        self.socket.unlink(missing_ok=True)
        command = [PI.emulator, *PI.processor, "-smp", "2", "-m", "2048", *accelerated(PI, 1024), "-no-reboot"]
        command += ["-display", "none", "-monitor", "none"]
        command += ["-dtb", str(self.device_tree(command, loaded.partition))]
        command += ["-kernel", str(self.folder / "kernel"), "-initrd", str(self.folder / "initrd")]
        # The board's own console is not here, and a name with another number would keep this one's from being used.
        line = loaded.command_line.replace(f"console={BOARDS[self.hardware.board].consoles[1]}", CONSOLE)
        command += ["-append", f"{line} {further}", "-serial", f"file:{self.console}"]
        command += [*self.medium.plugged_in(self.disk, writable), *self.further]
        ports = f"hostfwd=tcp:127.0.0.1:{self.port}-:22,hostfwd=tcp:127.0.0.1:{self.web_port}-:8080"
        self.process = subprocess.Popen(
            [*command, "-netdev", f"user,id=n,{ports}", "-device", "virtio-net-pci,netdev=n"]
        )

    def device_tree(self, machine: list[str], partition: int) -> Path:
        """QEMU's own, with what the firmware adds to it: what it read the kernel from."""
        tree = self.folder / "machine.dtb"
        subprocess.run([*machine, "-machine", f"dumpdtb={tree}"], capture_output=True, check=True)
        for name, value in (("boot-mode", self.medium.boot_mode), ("partition", partition)):
            subprocess.run(["fdtput", "-p", "-t", "i", tree, "/chosen/bootloader", name, str(value)], check=True)
        return tree

    def restart(self) -> None:
        """As the device does it by itself; QEMU ends where the board would reset."""
        self.try_to_run("systemctl reboot")
        self.process.wait(timeout=self.start_limit_s)
        self.switch_on()
        self.wait_until_it_answers()

    def cut_power(self) -> None:
        """Pull the plug and put it in again."""
        self.stop()
        self.switch_on()
        self.wait_until_it_answers()

    def slot_now(self) -> str:
        """A or B, as the kernel was told."""
        return self.run("sed -n 's/.*rauc.slot=\\([AB]\\).*/\\1/p' /proc/cmdline").strip()

    def backend(self, *words: str) -> str:
        """What RAUC calls."""
        return self.run(f"/usr/lib/visavis/update/boot-backend {' '.join(words)}").strip()

    def fill_slot_b(self) -> None:
        """As an update with the same system leaves it: the bytes of both partitions, while the machine is off."""
        at = {part.label: (start_mib, part.size_mib) for part, start_mib in BOARDS[self.hardware.board].table.placed()}
        for kind in ("visavis-boot-", "visavis-"):
            (source, size), (target, _) = at[f"{kind}a"], at[f"{kind}b"]
            copy = ["dd", f"if={self.disk}", f"of={self.disk}", "bs=1M", "conv=notrunc", "status=none"]
            subprocess.run([*copy, f"skip={source}", f"seek={target}", f"count={size}"], check=True)
