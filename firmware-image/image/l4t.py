# SPDX-License-Identifier: Apache-2.0
"""The system of a Jetson, made of a root with NVIDIA's drivers in which all packages are: `python -m image.l4t --help`.

NVIDIA's loader (L4TLauncher) reads boot/extlinux/extlinux.conf from the ext4 called APP or APP_b, by the slot that
NVIDIA's firmware has chosen. Both hold the same bytes; the first stage asks the firmware which one was chosen.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from visavis.update.boot import nvbootctrl

from deb.build import SYSTEMS, commit_time_s
from image import build, jetson_layout, root, users
from image.arm64 import plain_kernel, remove_boot_files
from image.boards import Board
from image.disk import FIRST_PARTITION_MIB, Partition, slots
from image.errors import ImageError
from image.packages import Lock
from image.pi import FAT_TYPE

NAME = "jetson-orin"
LINUX_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
BOOT_MIB = 256
SLOT_MIB = 6144  # NVIDIA's system has some 6 GB before it is compressed
# What all boards have, by the names of Ubuntu. iwd and systemd-networkd keep the connection as on other boards, for
# which the owner's file is written; NVIDIA's NetworkManager does not start.
SYSTEM = (
    *("initramfs-tools", "busybox", "zstd", "e2fsprogs", "dosfstools", "fdisk", "iproute2", "netbase"),
    *("ca-certificates", "openssh-server", "iwd", "wireless-regdb", "avahi-daemon", "libnss-mdns"),
    *("mosquitto", "mosquitto-clients", "systemd-timesyncd", "squashfs-tools"),
)
# Of the kernel: what the first stage mounts, and dm-verity, with which RAUC checks each block of a bundle.
MODULES = ("nvme", "squashfs", "overlay", "ext4", "vfat", "nls_cp437", "loop", "dm_verity", "efivarfs")
# The first asks questions at a first start. The second calls every start a good one, which is for the gate to say. In
# newer releases nv-l4t-bootloader-config does, which is needed for other things: its nvbootctrl cannot (rootfs-jetson).
NOT_OURS = ("nv-oem-config", "nv_update_verifier")
BOOT_CONTROL = "usr/sbin/nvbootctrl"
BOOT_CONTROL_ITSELF = "usr/lib/visavis-image/nvbootctrl"
EXTLINUX = "boot/extlinux/extlinux.conf"
# Without a root=, which RAUC would believe before it asks for the slot: the first stage takes the root.
CONFIG = """# Made by `make image`; an update replaces this whole partition.
TIMEOUT 30
DEFAULT primary

MENU TITLE visavis

LABEL primary
      MENU LABEL visavis
      LINUX /boot/Image
      INITRD /boot/initrd
{named}      APPEND ${{cbootargs}} ro panic=10 {options}
"""


@dataclass(frozen=True)
class L4t:
    """How a Jetson starts; `arguments` are what NVIDIA's board wants to say to its kernel."""

    arguments: str = ""

    layers = ("rootfs-jetson",)
    slot_format = "ext4"

    def partitions(self, architecture: str) -> tuple[Partition, ...]:
        """In the order in which they lie on the disk, behind NVIDIA's own. Both slots are filled: the firmware calls
        both good, and takes the other one when this one does not start."""
        first, second = slots(architecture, SLOT_MIB)
        return (
            Partition("APP", LINUX_TYPE, BOOT_MIB, "boot"),
            Partition("APP_b", LINUX_TYPE, BOOT_MIB, "boot"),
            Partition("visavis-esp", FAT_TYPE, FIRST_PARTITION_MIB, "first"),
            first,
            replace(second, filled_with=first.filled_with),
        )

    def prepare(self, root: Path, options: str) -> None:
        """Let start of NVIDIA's services what NVIDIA lets start, but those that are not for such a device.

        Raises:
            ImageError: the root lacks what slots need.
        """
        del options
        must_have_modules(modules_of(root))
        if not (root / BOOT_CONTROL).exists():
            raise ImageError(f"{root} has no {BOOT_CONTROL}: NVIDIA's apply_binaries.sh installs it, nvidia-l4t-tools")
        (root / BOOT_CONTROL_ITSELF).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / BOOT_CONTROL, root / BOOT_CONTROL_ITSELF)
        preset = root / "usr/lib/systemd/system-preset/05-nvidia.preset"
        preset.write_text("".join(f"enable {unit}\n" for unit in enabled_units(root)))
        # NVIDIA's asks for a name and a password; what is in /etc the presets take away.
        (root / "etc/systemd/system/default.target").unlink(missing_ok=True)
        target = root / "usr/lib/systemd/system/default.target"
        target.unlink(missing_ok=True)
        target.symlink_to("multi-user.target")

    def first_files(self, root: Path) -> dict[str, bytes]:
        """Our note of which slot is on trial: NVIDIA's loader has a partition of its own."""
        del root
        return {nvbootctrl.NAME: nvbootctrl.fresh_file()}

    def slot_files(self, root: Path, options: str) -> dict[str, bytes]:
        """What the loader reads. Kernel and first stage leave the system, which has no use for them.

        Raises:
            ImageError: the kernel is not in the form that the firmware loads.
        """
        config = root / EXTLINUX
        named = named_files(config.read_text() if config.exists() else "")
        files = {"boot/Image": plain_kernel(root / "boot/Image")}
        files["boot/initrd"] = (root / f"boot/initrd.img-{modules_of(root).name}").read_bytes()
        lines = ""
        for key, names in named.items():
            lines += f"      {key} {','.join(names)}\n"
            files |= {name.lstrip("/"): (root / name.lstrip("/")).read_bytes() for name in names}
        text = CONFIG.format(named=lines, options=f"{self.arguments} {options}".strip())
        remove_boot_files(root)
        return {EXTLINUX: text.encode(), **files}


def board(arguments: str = "") -> Board:
    """The Jetson, whose root is NVIDIA's and has no lock."""
    return Board(
        name=NAME,
        architecture="arm64",
        packages=(),
        loader=L4t(arguments),
        consoles=("tty0", "ttyTCU0"),
        numbers=users.ADDED,
    )


def named_files(config: str) -> dict[str, list[str]]:
    """Device tree and overlays, where NVIDIA's own configuration of the loader names some."""
    found = re.findall(r"^\s*(FDT|OVERLAYS)\s+(\S+)", config, re.MULTILINE)
    return {key: names.split(",") for key, names in found}


def packages(suite: str) -> list[str]:
    """What is installed by name: the system's, and what the product depends on."""
    newer = {"noble": ("systemd-resolved",)}.get(suite, ())
    product = (one.split()[0] for one in SYSTEMS[suite, "arm64"].depends)
    return sorted({*SYSTEM, *newer, *product})


def modules_of(root: Path) -> Path:
    """The folder of the one kernel's modules.

    Raises:
        ImageError: there is none, or more than one.
    """
    found = sorted((root / "usr/lib/modules").glob("*/modules.dep"))
    if len(found) != 1:
        names = ", ".join(file.parent.name for file in found) or "none"
        raise ImageError(f"{root}/usr/lib/modules has the modules of one kernel in NVIDIA's system, and here {names}")
    return found[0].parent


def must_have_modules(folder: Path) -> None:
    """Refuse a kernel with which a slot would not start, or could not be updated.

    Raises:
        ImageError: with what it lacks.
    """
    listed = (folder / "modules.dep").read_text() + (folder / "modules.builtin").read_text()
    names = {name.replace("-", "_") for name in re.findall(r"([^/\s]+)\.ko", listed)}
    if lacks := [name for name in MODULES if name not in names]:
        raise ImageError(f"the kernel {folder.name} lacks {', '.join(lacks)}: take one that was built with them")


def enabled_units(root: Path) -> list[str]:
    """What starts of NVIDIA's services in NVIDIA's own system."""
    names = {link.name for link in (root / "etc/systemd/system").glob("*.*/nv*")}
    return sorted(name for name in names if not name.startswith(NOT_OURS))


def kernel_arguments(tree: Path, target: str) -> str:
    """What NVIDIA's flash tool would add to the kernel's command line for a board.

    Raises:
        ImageError: the board's file cannot be read.
    """
    said = subprocess.run(
        ["bash", "-c", 'LDK_DIR=. && . "./$0.conf" >/dev/null && echo "$CMDLINE_ADD"', target],
        cwd=tree, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if said.returncode != 0:
        raise ImageError(f"{tree}/{target}.conf cannot be read: {said.stderr.strip()}")
    return said.stdout.strip()


def version_of(package: Path) -> str:
    """The product's version, without the name of the system that the package is for.

    Raises:
        ImageError: it is no package.
    """
    said = subprocess.run(["dpkg-deb", "-f", str(package), "Version"], capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise ImageError(f"{package} is no package: {said.stderr.strip()}")
    return said.stdout.strip().partition("+")[0]


def make(recipe: root.Recipe, system: Path, out: Path) -> dict[str, Path]:
    """Make of a root with all packages what the partitions hold, and the list of its parts, in `out`."""
    root.furnish(recipe, system)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return build.partitions(recipe, system, out)


def hand_over(contents: dict[str, Path], folder: Path) -> None:
    """Put the images where NVIDIA's tool looks for them. Of APP it wants a second one, which is not in Android's form
    for files with holes: it looks into that."""
    for content, name in jetson_layout.FILES.items():
        shutil.copyfile(contents[content], folder / name)
    shutil.copyfile(contents["boot"], folder / f"{jetson_layout.FILES['boot']}.raw")


def main() -> int:
    """Make the system, its layout, and the files that NVIDIA's tool flashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the root, with NVIDIA's drivers and all packages")
    parser.add_argument("--tree", type=Path, required=True, help="NVIDIA's Linux_for_Tegra")
    parser.add_argument("--target", required=True, help="the board, by the name of its file there")
    parser.add_argument("--package", type=Path, required=True, help="the visavis package")
    parser.add_argument("--keyring", type=Path, help="certificates that updates are signed with")
    parser.add_argument("--out", type=Path, required=True, help="folder for the images, emptied")
    wanted = parser.parse_args()
    try:
        time_s = max(commit_time_s(), build.trusted_from_s(wanted.keyring))
        this = board(kernel_arguments(wanted.tree, wanted.target))
        version, keyring = version_of(wanted.package), str(wanted.keyring or "")
        recipe = root.Recipe(this, Lock(time_s, ()), wanted.package, version, time_s, keyring)
        layout = jetson_layout.write(wanted.tree, this.table)
        hand_over(make(recipe, wanted.root, wanted.out), wanted.tree / "bootloader")
    except ImageError as error:
        print(f"l4t: {error}", file=sys.stderr)
        return 1
    print(layout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
