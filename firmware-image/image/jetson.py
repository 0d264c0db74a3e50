# SPDX-License-Identifier: Apache-2.0
"""Flashes a Jetson Orin with NVIDIA's own tools and files, which it may not bring along: you give them, and their sums.

It unpacks NVIDIA's Linux and root file system, applies NVIDIA's drivers, makes of a copy of that root the system that
other boards have too, and flashes the board over USB with it in both slots of its NVMe. The board has to be in
recovery mode. It runs on x86_64 with qemu-user-static, as root.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deb import ubuntu
from deb.kept import REPOSITORY
from deb.pinned import sum_of
from image import HERE, jetson_layout, l4t
from image.errors import ImageError
from image.root import ENTER, environment

FIRMWARE = "-c bootloader/generic/cfg/flash_t234_qspi.xml"
TARGETS = ("jetson-orin-nano-devkit", "jetson-agx-orin-devkit")
# NVIDIA's list of its archive leaves the processor's name open.
SOURCES = "etc/apt/sources.list.d/nvidia-l4t-apt-source.list"
NAMED = f'[ ! -e "$0/{SOURCES}" ] || sed -i s/\'<SOC>\'/t234/g "$0/{SOURCES}"'
# Ubuntu's /etc/resolv.conf leads there, where nothing is before systemd runs.
NAMES = "run/systemd/resolve"
DEBS = REPOSITORY / "build" / "deb"
OUT = REPOSITORY / "build" / "image" / l4t.NAME
NEEDED = {
    "l4t": "NVIDIA's Driver Package (BSP)",
    "rootfs": "NVIDIA's sample root file system",
    "sums": "sums of both, as sha256sum writes them",
    "package": "the visavis package for JetPack's Ubuntu",
}
EXAMPLE = """examples:
  sha256sum Jetson_Linux_*.tbz2 Tegra_Linux_*.tbz2 >sums     after you have compared them with NVIDIA's page
  make image BOARD=jetson-orin KEYRING=visavis-keys/ca.pem ARGS="--l4t Jetson_Linux_R36.4.4_aarch64.tbz2 --sums sums
      --rootfs Tegra_Linux_Sample-Root-Filesystem_R36.4.4_aarch64.tbz2 --package visavis_arm64.deb
      --work /var/tmp/jetson --dry-run"
"""


@dataclass(frozen=True)
class Order:
    """What the command line asks for."""

    l4t: Path
    rootfs: Path
    sums: Path
    package: Path
    work: Path
    rauc: tuple[Path, ...] = ()
    keyring: Path | None = None
    ssh_key: Path | None = None
    suite: str = "jammy"
    target: str = TARGETS[0]
    out: Path = OUT

    @property
    def tree(self) -> Path:
        return self.work / "Linux_for_Tegra"

    @property
    def nvidias(self) -> Path:
        """NVIDIA's root, which its own tools go on working with."""
        return self.tree / "rootfs"

    @property
    def root(self) -> Path:
        """Ours, which begins as a copy of it."""
        return self.work / "root"


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
    except ImageError as error:
        print(f"jetson: {error}", file=sys.stderr)
        return 1
    return 0


def arguments() -> tuple[Order, bool]:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, words in NEEDED.items():
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=words)
    parser.add_argument("--suite", choices=ubuntu.SUITES, default="jammy", help="JetPack's Ubuntu (jammy)")
    parser.add_argument(
        "--rauc", type=Path, nargs="+", metavar="FILE", help="rauc and rauc-service for it (those in build/deb)"
    )
    parser.add_argument("--keyring", type=Path, metavar="FILE", help="certificates that updates are signed with")
    parser.add_argument("--ssh-key", type=Path, metavar="FILE", help="a public key that may log in as root")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="an empty folder with 60 GB of room")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the images, emptied (build/image)")
    parser.add_argument("--target", choices=TARGETS, default=TARGETS[0], help=f"the board ({TARGETS[0]})")
    parser.add_argument("--dry-run", action="store_true", help="check the files and show the commands, do nothing")
    given = vars(parser.parse_args())
    dry = given.pop("dry_run")
    given["rauc"] = tuple(given["rauc"] or rauc_packages(given["suite"]))
    return Order(**given), dry


def rauc_packages(suite: str, architecture: str = "arm64") -> list[Path]:
    """What `python -m deb.rauc` has left for this Ubuntu, whose own RAUC is too old."""
    names = (f"rauc_*~{suite}_{architecture}.deb", f"rauc-service_*~{suite}_all.deb")
    return [file for name in names for file in sorted(DEBS.glob(name))[-1:]]


def check(order: Order) -> None:
    """Say what is missing or is not what it should be, before anything is done.

    Raises:
        ImageError: with the first thing that is wrong.
    """
    if {file.name.partition("_")[0] for file in order.rauc} != {"rauc", "rauc-service"}:
        make = f"python -m deb.rauc --suite {order.suite} --arch arm64"
        raise ImageError(f"rauc and rauc-service are not in {DEBS}: make them with `{make}`, or name them with --rauc")
    wanted = (order.l4t, order.rootfs, order.sums, order.package, *order.rauc, order.keyring, order.ssh_key)
    for file in filter(None, wanted):
        if not file.is_file():
            raise ImageError(f"{file} is not a file: download it, or correct the path")
    sums = read_sums(order.sums)
    for file in (order.l4t, order.rootfs):
        must_be(file, sums.get(file.name), order.sums)
    if order.work.exists() and any(order.work.iterdir()):
        raise ImageError(f"{order.work} is not empty: name another folder")


def must_be(file: Path, sum_: str | None, sums: Path) -> None:
    """Refuse a file that has another sum than NVIDIA's page shows.

    Raises:
        ImageError: it has, or nobody wrote it down.
    """
    if sum_ is None:
        raise ImageError(f"{sums} has no sum of {file.name}: add the line that NVIDIA's page shows")
    print(f"jetson: checking {file.name}", file=sys.stderr, flush=True)
    if sum_of(file) != sum_:
        raise ImageError(f"{file} has not the sum in {sums}: download it again; nothing was unpacked")


def read_sums(file: Path) -> dict[str, str]:
    """File name to SHA-256.

    Raises:
        ImageError: a line is not what sha256sum writes.
    """
    rows = [line.split(maxsplit=1) for line in file.read_text().splitlines() if line.strip()]
    if any(len(row) != 2 for row in rows):
        raise ImageError(f"{file} is not what sha256sum writes: one sum and one name a line")
    return {Path(name.lstrip("*")).name: digest.lower() for digest, name in rows}


def plan(order: Order) -> list[Step]:
    """Every command in its order."""
    return [*unpack(order), *install(order.root, order.rauc, order.suite), *finish(order), flash(order)]


def unpack(order: Order) -> list[Step]:
    """NVIDIA's tree with NVIDIA's drivers in its root, and the copy that becomes ours."""
    here = Path.cwd()
    make = ("mkdir", "-p", str(order.work))
    return [
        Step("a folder for all of it", make, here),
        Step("NVIDIA's tools", ("tar", "-xpf", str(order.l4t.resolve()), "-C", str(order.work)), here),
        Step("its root file system", ("tar", "-xpf", str(order.rootfs.resolve()), "-C", str(order.nvidias)), here),
        Step("NVIDIA's drivers into it", ("./apply_binaries.sh",), order.tree),
        Step(
            "our system begins as a copy: NVIDIA's tool flashes with its own",
            ("cp", "-a", "--reflink=auto", str(order.nvidias), str(order.root)),
            here,
        ),
    ]


def install(root: Path, rauc: tuple[Path, ...], suite: str) -> list[Step]:
    """The packages of Ubuntu that all boards have, and RAUC, into a root."""
    here, times = Path.cwd(), environment(0)
    places = [f"/{file.name}" for file in rauc]
    inside = ("unshare", "--mount", "sh", "-c", ENTER, str(root))
    quiet = {name: times[name] for name in ("LC_ALL", "DEBIAN_FRONTEND")}
    apt = (*inside, "apt-get", "install", "-y", "--no-install-recommends", *l4t.packages(suite), *places)
    return [
        Step(
            "a way to find servers", ("install", "-Dm644", "/etc/resolv.conf", f"{root}/{NAMES}/stub-resolv.conf"), here
        ),
        Step("NVIDIA's archive for this board", ("sh", "-c", NAMED, str(root)), here),
        python_step("fixed numbers for our users", "image.users", str(root)),
        Step("RAUC, which Ubuntu has too old", ("cp", *map(str, rauc), str(root)), here),
        Step("the lists of packages", (*inside, "apt-get", "update"), here, quiet),
        Step("the packages", apt, here, quiet),
        Step("nothing left over", ("rm", "-rf", *(f"{root}{place}" for place in places), f"{root}/run/systemd"), here),
    ]


def finish(order: Order) -> list[Step]:
    """What is our own, and the images of it."""
    keys = order.root / "etc/ssh/authorized_keys.d/root"
    key = (
        [Step("the owner's key", ("install", "-Dm644", str(order.ssh_key.resolve()), str(keys)), Path.cwd())]
        if order.ssh_key
        else []
    )
    options = {
        "root": order.root,
        "tree": order.tree,
        "target": order.target,
        "package": order.package.resolve(),
        "out": order.out.resolve(),
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    words += [f"--keyring={order.keyring.resolve()}"] if order.keyring else []
    return [*key, python_step("the product, its system, and the images of both slots", "image.l4t", *words)]


def python_step(words: str, module: str, *options: str) -> Step:
    """A part that is written in Python, as a command of its own."""
    path = {"PYTHONPATH": str(HERE)}
    return Step(words, (sys.executable, "-m", module, *options), REPOSITORY, path)


def flash(order: Order) -> Step:
    """Both systems onto the board: three starts that fail make its firmware take the other one."""
    command = (
        *("./tools/kernel_flash/l4t_initrd_flash.sh", "--external-device", "nvme0n1p1", "-c", jetson_layout.OURS),
        *("-p", FIRMWARE, "--showlogs", "--network", "usb0", order.target, "external"),
    )
    return Step("the board in recovery mode", command, order.tree, {"ROOTFS_AB": "1", "ROOTFS_RETRY_COUNT_MAX": "3"})


def run(step: Step) -> None:
    """Run one step.

    Raises:
        ImageError: the command failed; what it said stands above.
    """
    done = subprocess.run(step.command, cwd=step.folder, env={**os.environ, **step.variables}, check=False)
    if done.returncode != 0:
        raise ImageError(f"{step.words}: {step.command[0]} ended with {done.returncode}: see its lines above")


if __name__ == "__main__":
    sys.exit(main())
