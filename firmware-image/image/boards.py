# SPDX-License-Identifier: Apache-2.0
"""The boards that an image can be made for, and what each needs beside the product."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
SUITE = "trixie"
OPENCV = "410"  # the number in the names of this Debian's OpenCV libraries

SYSTEM = (
    *("systemd-sysv", "systemd-repart", "systemd-resolved", "systemd-timesyncd", "udev", "kmod", "dbus"),
    *("initramfs-tools", "busybox", "zstd", "e2fsprogs", "dosfstools", "fdisk"),
    *("iproute2", "netbase", "ca-certificates"),
    *("openssh-server", "iwd", "wireless-regdb", "avahi-daemon", "mosquitto", "mosquitto-clients"),
    *("rauc", "rauc-service", "python3", "python3-systemd"),
    *(f"libopencv-{module}{OPENCV}" for module in ("imgcodecs", "imgproc", "videoio")),
)


@dataclass(frozen=True)
class Grub:
    """How GRUB is called for a processor: its platform, and the name under which UEFI firmware looks for it."""

    platform: str
    file: str


@dataclass(frozen=True)
class Board:
    """A kind of hardware: its Debian architecture, further packages and how it starts."""

    name: str
    architecture: str
    packages: tuple[str, ...]
    grub: Grub
    consoles: tuple[str, ...]

    @property
    def every_package(self) -> tuple[str, ...]:
        """What is installed by name; what those need comes with them."""
        return (*SYSTEM, *self.packages)

    @property
    def lock(self) -> Path:
        """The file with the sum of every package of this board."""
        return HERE / "packages" / f"{self.name}.lock"


BOARDS = {
    board.name: board
    for board in (
        Board(
            name="generic-amd64",
            architecture="amd64",
            packages=("linux-image-amd64", "grub-common", "grub-efi-amd64-bin", "firmware-iwlwifi", "firmware-realtek"),
            grub=Grub("x86_64-efi", "BOOTX64.EFI"),
            consoles=("tty0", "ttyS0"),
        ),
        Board(
            name="generic-arm64",
            architecture="arm64",
            packages=("linux-image-arm64", "grub-common", "grub-efi-arm64-bin"),
            grub=Grub("arm64-efi", "BOOTAA64.EFI"),
            consoles=("tty0", "ttyAMA0"),
        ),
    )
}
