# SPDX-License-Identifier: Apache-2.0
"""Raspberry Pis: their firmware reads FAT only, so a slot is a FAT partition with the kernel and one with the system.

The first partition holds autoboot.txt, which names the slot. Both slots hold the same bytes: config.txt takes the
kernel's command line by the number of the partition that it was read from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from visavis.update.boot.tryboot import PARTITIONS, fresh_files

from image.arm64 import plain_kernel, remove_boot_files
from image.disk import FIRST_PARTITION_MIB, Partition, slots

FAT_TYPE = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
BOOT_MIB = 256
FIRMWARE = "usr/lib/raspi-firmware"
# The firmware's files may be passed on with these words, for use on a Raspberry Pi.
LICENCE = "usr/share/doc/raspi-firmware/copyright"
CONFIG = """# Made by `make image`; an update replaces this whole partition.
arm_64bit=1
enable_uart=1
upstream_kernel=1
kernel=vmlinuz
initramfs initrd.img followkernel
"""


@dataclass(frozen=True)
class RaspberryPi:
    """What one model's firmware needs: files of its own, and device trees: the kernel's file -> its names here."""

    firmware: tuple[str, ...]
    device_trees: tuple[tuple[str, tuple[str, ...]], ...]

    layers = ("rootfs-pi",)
    slot_format = "fat"

    def partitions(self, architecture: str) -> tuple[Partition, ...]:
        """In the order of the numbers in autoboot.txt, all FAT ones first, as the firmware's makers advise."""
        return (
            Partition("visavis-esp", FAT_TYPE, FIRST_PARTITION_MIB, "first"),
            Partition("visavis-boot-a", FAT_TYPE, BOOT_MIB, "boot"),
            Partition("visavis-boot-b", FAT_TYPE, BOOT_MIB),
            *slots(architecture),
        )

    def prepare(self, root: Path, options: str) -> None:
        """Nothing: the kernel's options lie beside it."""
        del root, options

    def first_files(self, root: Path) -> dict[str, bytes]:
        """Which slot is booted, and which is tried."""
        del root
        return fresh_files()

    def slot_files(self, root: Path, options: str) -> dict[str, bytes]:
        """What the firmware loads. Kernel and first stage leave the system, which has no use for them.

        Raises:
            ImageError: Debian's kernel is not in the form that the firmware loads.
        """
        files = {"config.txt": config().encode()}
        files |= {command_line_file(slot): command_line(slot, options).encode() for slot in PARTITIONS}
        # Firmware that is too old to choose takes this one: the first slot starts, and no other.
        files["cmdline.txt"] = files[command_line_file("A")]
        files |= {name: (root / FIRMWARE / name).read_bytes() for name in self.firmware}
        if self.firmware:
            files["LICENCE.broadcom"] = (root / LICENCE).read_bytes()
        (modules,) = (root / "usr/lib/modules").iterdir()
        for tree, names in self.device_trees:
            files |= dict.fromkeys(names, (modules / "dtb/broadcom" / tree).read_bytes())
        return files | kernel_files(root, modules)


def kernel_files(root: Path, modules: Path) -> dict[str, bytes]:
    """The kernel and its first stage. Then the system has none, nor the copies that raspi-firmware made of both."""
    kernel, (stage,) = modules / "vmlinuz", root.glob("boot/initrd.img-*")
    files = {"vmlinuz": plain_kernel(kernel), "initrd.img": stage.read_bytes()}
    kernel.unlink()
    remove_boot_files(root)
    return files


def config() -> str:
    """What the firmware does in a slot: the same for both."""
    choice = [f"[boot_partition={number}]\ncmdline={command_line_file(slot)}\n" for slot, number in PARTITIONS.items()]
    return f"{CONFIG}{''.join(choice)}[all]\n"


def command_line_file(slot: str) -> str:
    return f"cmdline-{slot.lower()}.txt"


def command_line(slot: str, options: str) -> str:
    """One line, as the firmware takes no more."""
    return f"root=PARTLABEL=visavis-{slot.lower()} ro rauc.slot={slot} panic=10 {options}\n"
