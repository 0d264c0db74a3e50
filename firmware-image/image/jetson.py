# SPDX-License-Identifier: Apache-2.0
"""Flashes a Jetson Orin with NVIDIA's own tools and files, which it may not bring along: you give them, and their sums.

It unpacks NVIDIA's Linux and root file system, applies NVIDIA's drivers, installs the product's package into the root,
turns password logins off and flashes the board over USB with two systems (slots A and B) on its NVMe. The board has to
be in recovery mode. It runs on x86_64 with qemu-user-static, as root.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from image import HERE
from image.root import ENTER

LAYOUT = "tools/kernel_flash/flash_l4t_t234_nvme_rootfs_ab.xml"
FIRMWARE = "-c bootloader/generic/cfg/flash_t234_qspi.xml"
TARGETS = ("jetson-orin-nano-devkit", "jetson-agx-orin-devkit")
SSH_SETTINGS = HERE / "rootfs/etc/ssh/sshd_config.d/10-visavis.conf"
# NVIDIA's list of its archive leaves the processor's name open.
SOURCES = "etc/apt/sources.list.d/nvidia-l4t-apt-source.list"
NAMED = f'[ ! -e "$0/{SOURCES}" ] || sed -i s/\'<SOC>\'/t234/g "$0/{SOURCES}"'
# Ubuntu's /etc/resolv.conf leads there, where nothing is before systemd runs.
NAMES = "run/systemd/resolve"
EXAMPLE = """examples:
  sha256sum Jetson_Linux_*.tbz2 Tegra_Linux_*.tbz2 >sums     after you have compared them with NVIDIA's page
  make image BOARD=jetson-orin ARGS="--l4t Jetson_Linux_R36.4.4_aarch64.tbz2 --sums sums
      --rootfs Tegra_Linux_Sample-Root-Filesystem_R36.4.4_aarch64.tbz2 --package visavis_arm64.deb
      --ssh-key id.pub --work /var/tmp/jetson --dry-run"
"""


class JetsonError(Exception):
    """The board cannot be flashed like this; the sentence says what to do."""


@dataclass(frozen=True)
class Order:
    """What the command line asks for."""

    l4t: Path
    rootfs: Path
    sums: Path
    package: Path
    ssh_key: Path
    work: Path
    target: str = TARGETS[0]

    @property
    def tree(self) -> Path:
        return self.work / "Linux_for_Tegra"

    @property
    def root(self) -> Path:
        return self.tree / "rootfs"


@dataclass(frozen=True)
class Step:
    """One command, why it is there, and where it runs."""

    words: str
    command: tuple[str, ...]
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        variables = "".join(f"{name}={shlex.quote(value)} " for name, value in self.variables.items())
        return f"# {self.words}\ncd {self.folder} && {variables}{shlex.join(self.command)}"


def main() -> int:
    """Flash, or with --dry-run check the files and show every command."""
    order, dry = arguments()
    try:
        check(order)
        for step in plan(order):
            print(step, flush=True)
            if not dry:
                run(step)
    except JetsonError as error:
        print(f"jetson: {error}", file=sys.stderr)
        return 1
    return 0


def arguments() -> tuple[Order, bool]:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--l4t", type=Path, required=True, metavar="FILE", help="NVIDIA's Driver Package (BSP)")
    parser.add_argument("--rootfs", type=Path, required=True, metavar="FILE", help="NVIDIA's sample root file system")
    parser.add_argument(
        "--sums", type=Path, required=True, metavar="FILE", help="sums of both, as sha256sum writes them"
    )
    parser.add_argument(
        "--package", type=Path, required=True, metavar="FILE", help="the visavis package for JetPack's Ubuntu"
    )
    parser.add_argument(
        "--ssh-key", type=Path, required=True, metavar="FILE", help="the public key that may log in as root"
    )
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="an empty folder with 40 GB of room")
    parser.add_argument("--target", choices=TARGETS, default=TARGETS[0], help=f"the board ({TARGETS[0]})")
    parser.add_argument("--dry-run", action="store_true", help="check the files and show the commands, do nothing")
    given = vars(parser.parse_args())
    dry = given.pop("dry_run")
    return Order(**given), dry


def check(order: Order) -> None:
    """Say what is missing or is not what it should be, before anything is done.

    Raises:
        JetsonError: with the first thing that is wrong.
    """
    for file in (order.l4t, order.rootfs, order.sums, order.package, order.ssh_key):
        if not file.is_file():
            raise JetsonError(f"{file} is not a file: download it, or correct the path")
    sums = read_sums(order.sums)
    for file in (order.l4t, order.rootfs):
        wanted = sums.get(file.name)
        if wanted is None:
            raise JetsonError(f"{order.sums} has no sum of {file.name}: add the line that NVIDIA's page shows")
        print(f"jetson: checking {file.name}", file=sys.stderr, flush=True)
        if sum_of(file) != wanted:
            raise JetsonError(f"{file} has not the sum in {order.sums}: download it again; nothing was unpacked")
    if order.work.exists() and any(order.work.iterdir()):
        raise JetsonError(f"{order.work} is not empty: name another folder")


def read_sums(file: Path) -> dict[str, str]:
    """File name to SHA-256."""
    rows = [line.split(maxsplit=1) for line in file.read_text().splitlines() if line.strip()]
    if any(len(row) != 2 for row in rows):
        raise JetsonError(f"{file} is not what sha256sum writes: one sum and one name a line")
    return {Path(name.lstrip("*")).name: digest.lower() for digest, name in rows}


def sum_of(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def plan(order: Order) -> list[Step]:
    """Every command in its order."""
    return [*unpack(order), *install(order), flash(order)]


def unpack(order: Order) -> list[Step]:
    """NVIDIA's tree with NVIDIA's drivers in its root."""
    here = Path.cwd()
    make = ("mkdir", "-p", str(order.work))
    return [
        Step("a folder for all of it", make, here),
        Step("NVIDIA's tools", ("tar", "-xpf", str(order.l4t.resolve()), "-C", str(order.work)), here),
        Step("its root file system", ("tar", "-xpf", str(order.rootfs.resolve()), "-C", str(order.root)), here),
        Step("NVIDIA's drivers into it", ("./apply_binaries.sh",), order.tree),
    ]


def install(order: Order) -> list[Step]:
    """The product, and who may log in: nobody with a password, the owner with a key."""
    package = f"/tmp/{order.package.name}"  # noqa: S108 (the board's, not this machine's)
    keys = order.root / "etc/ssh/authorized_keys.d"
    here = Path.cwd()
    inside = ("unshare", "--mount", "sh", "-c", ENTER, str(order.root))
    return [
        Step(
            "a way to find servers",
            ("install", "-Dm644", "/etc/resolv.conf", f"{order.root}/{NAMES}/stub-resolv.conf"),
            here,
        ),
        Step("NVIDIA's archive for this board", ("sh", "-c", NAMED, str(order.root)), here),
        Step("the package", ("cp", str(order.package), f"{order.root}{package}"), here),
        Step("its lists", (*inside, "apt-get", "update"), here),
        Step("its installation", (*inside, "apt-get", "install", "-y", "--no-install-recommends", package), here),
        Step(
            "a broker and its name in the network",
            (*inside, "apt-get", "install", "-y", "mosquitto", "avahi-daemon"),
            here,
        ),
        Step("no first-start questions, no default user", (*inside, "systemctl", "disable", "nv-oem-config"), here),
        Step(
            "logins by key alone",
            ("install", "-Dm644", str(SSH_SETTINGS), f"{order.root}/etc/ssh/sshd_config.d/10-visavis.conf"),
            here,
        ),
        Step("the owner's key", ("install", "-Dm644", str(order.ssh_key.resolve()), str(keys / "root")), here),
        Step("nothing left over", ("rm", "-rf", f"{order.root}{package}", f"{order.root}/run/systemd"), here),
    ]


def flash(order: Order) -> Step:
    """Both systems onto the board: three starts that fail make its firmware take the other one."""
    command = (
        *("./tools/kernel_flash/l4t_initrd_flash.sh", "--external-device", "nvme0n1p1", "-c", LAYOUT),
        *("-p", FIRMWARE, "--showlogs", "--network", "usb0", order.target, "external"),
    )
    return Step("the board in recovery mode", command, order.tree, {"ROOTFS_AB": "1", "ROOTFS_RETRY_COUNT_MAX": "3"})


def run(step: Step) -> None:
    """Run one step.

    Raises:
        JetsonError: the command failed; what it said stands above.
    """
    done = subprocess.run(step.command, cwd=step.folder, env={**os.environ, **step.variables}, check=False)
    if done.returncode != 0:
        raise JetsonError(f"{step.words}: {step.command[0]} ended with {done.returncode}: see its lines above")


if __name__ == "__main__":
    sys.exit(main())
