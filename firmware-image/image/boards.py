# SPDX-License-Identifier: Apache-2.0
"""The boards that an image can be made for, and what each needs beside the product."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from image import HERE
from image.disk import Partition, Table
from image.grub import Grub
from image.pi import RaspberryPi
from image.users import DEBIAN, Numbers

SUITE = "trixie"
OPENCV = "410"  # the number in the names of this Debian's OpenCV libraries

SYSTEM = (
    *("systemd-sysv", "systemd-repart", "systemd-resolved", "systemd-timesyncd", "udev", "kmod", "dbus"),
    *("initramfs-tools", "busybox", "zstd", "e2fsprogs", "dosfstools", "fdisk"),
    *("iproute2", "netbase", "ca-certificates"),
    *("openssh-server", "iwd", "wireless-regdb", "mosquitto", "mosquitto-clients"),
    *("avahi-daemon", "libnss-mdns"),  # to be found by a name, and to find others by theirs
    *("rauc", "rauc-service", "python3", "python3-systemd"),
    *(f"libopencv-{module}{OPENCV}" for module in ("imgcodecs", "imgproc", "videoio")),
)


class Loader(Protocol):
    """All that differs between boards by the way in which they start."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Folders of firmware-image that are laid over `rootfs`, which all boards have."""

    @property
    def slot_format(self) -> str:
        """Of a slot's boot partition, where slots have one: what its firmware reads, one of `image.disk.WRITERS`."""

    def partitions(self, architecture: str) -> tuple[Partition, ...]:
        """The table; the first partition is visavis-esp, which the owner's computer reads."""

    def prepare(self, root: Path, options: str) -> None:
        """Put into the system what the boot loader looks for there."""

    def first_files(self, root: Path) -> dict[str, bytes]:
        """What the first partition holds, beside the files for the owner."""

    def slot_files(self, root: Path, options: str) -> dict[str, bytes]:
        """What the boot partition of each slot holds; nothing where slots have none."""


@dataclass(frozen=True)
class Board:
    """A kind of hardware: its Debian architecture, further packages and how it starts.

    `newer` names packages for which Debian 13 itself is too old, with the suite that they are taken from. Boards of one
    `family` are made of the same packages. A board that is `like` another is made from that one's packages by changing
    what differs: where an emulator configures them, that is minutes in place of half an hour. `numbers` are those of
    its system users.
    """

    name: str
    architecture: str
    packages: tuple[str, ...]
    loader: Loader
    consoles: tuple[str, ...]
    newer: dict[str, str] = field(default_factory=dict)
    family: str = ""
    like: str = ""
    numbers: Numbers = DEBIAN

    @property
    def every_package(self) -> tuple[str, ...]:
        """What is installed by name; what those need comes with them."""
        return (*SYSTEM, *self.packages, *self.newer)

    @property
    def lock(self) -> Path:
        """The file with the sum of every package of this board."""
        return HERE / "packages" / f"{self.family or self.name}.lock"

    @property
    def table(self) -> Table:
        """What is where on the disk."""
        return Table(self.name, self.loader.partitions(self.architecture))

    @property
    def options(self) -> str:
        """What its kernel is told, beside which slot it is."""
        consoles = " ".join(f"console={console}" for console in self.consoles)
        return f"{consoles} quiet systemd.gpt_auto=0"


def raspberry_pi(name: str, loader: RaspberryPi, console: str) -> Board:
    """A model. Debian 13's kernel knows neither network nor USB of a Pi 5, its firmware starts a Pi 4 only from the
    first partition of a disk with GPT, and its RAUC takes what kernels from 6.19 on say of any bundle for damage."""
    return Board(
        name=name,
        architecture="arm64",
        packages=("firmware-brcm80211",),
        loader=loader,
        consoles=("tty0", console),
        newer={
            **dict.fromkeys(("linux-image-arm64", "linux-base"), f"{SUITE}-backports"),
            **dict.fromkeys(("raspi-firmware", "rauc", "rauc-service", "libnl-3-200", "libnl-genl-3-200"), "forky"),
        },
        family="rpi",
        like="generic-arm64",
    )


BOARDS = {
    board.name: board
    for board in (
        Board(
            name="generic-amd64",
            architecture="amd64",
            packages=("linux-image-amd64", "grub-common", "grub-efi-amd64-bin", "firmware-iwlwifi", "firmware-realtek"),
            loader=Grub("x86_64-efi", "BOOTX64.EFI"),
            consoles=("tty0", "ttyS0"),
        ),
        Board(
            name="generic-arm64",
            architecture="arm64",
            packages=("linux-image-arm64", "grub-common", "grub-efi-arm64-bin"),
            loader=Grub("arm64-efi", "BOOTAA64.EFI"),
            consoles=("tty0", "ttyAMA0"),
        ),
        raspberry_pi(
            "rpi4",
            RaspberryPi(
                firmware=("start4.elf", "fixup4.dat"),
                device_trees=(
                    ("bcm2711-rpi-4-b.dtb", ("bcm2711-rpi-4-b.dtb",)),
                    ("bcm2711-rpi-400.dtb", ("bcm2711-rpi-400.dtb",)),
                ),
            ),
            console="ttyS1",
        ),
        raspberry_pi(
            "rpi5",  # its firmware lies in the board's own flash
            RaspberryPi(
                firmware=(),
                device_trees=(
                    ("bcm2712-rpi-5-b.dtb", ("bcm2712-rpi-5-b.dtb",)),
                    # The later make of the chip; Linux and the firmware have different names for it.
                    ("bcm2712-d-rpi-5-b.dtb", ("bcm2712-d-rpi-5-b.dtb", "bcm2712d0-rpi-5-b.dtb")),
                ),
            ),
            console="ttyAMA10",
        ),
    )
}
