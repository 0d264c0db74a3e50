# SPDX-License-Identifier: Apache-2.0
"""The root file system of a board: Debian's packages, the product's, and the files of firmware-image/rootfs.

It is made in two steps. The base, packages alone, takes minutes and is kept under the hash of its lock. What is our
own is laid over a copy of it each time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from deb.kept import kept
from image import HERE
from image.boards import SUITE, Board
from image.packages import Lock, fetch, repository

# What differs from one run to the next, or belongs to one device alone.
OF_THE_MOMENT = (
    *("etc/machine-id", "var/lib/dbus/machine-id", "etc/hostname", "etc/.pwd.lock"),
    *("etc/.resolv.conf.systemd-resolved.bak", "etc/apt/sources.list", "etc/apt/sources.list.d/0000visavis.list"),
    *("var/lib/systemd/random-seed", "var/cache/ldconfig/aux-cache", "var/lib/systemd/catalog/database"),
    *("var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend"),
)
FOLDERS_OF_THE_MOMENT = ("var/log", "var/cache/apt", "var/cache/debconf", "var/lib/apt/lists", "var/tmp", "tmp", "run")
PATTERNS_OF_THE_MOMENT = ("etc/ssh/ssh_host_*", "etc/*-", "var/lib/dpkg/*-old", "var/backups/*")
# What takes an emulated processor minutes and leaves nothing: questions that nobody answers, and a first stage for
# every board there is. That is made again when all is in its place; our own file for it replaces this one.
SHORT_CUTS = (
    "--essential-hook=mv $1/etc/apt/apt.conf.d/70debconf $1/etc/apt/",
    "--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d",
    "--essential-hook=echo MODULES=list >$1/etc/initramfs-tools/conf.d/visavis",
    "--customize-hook=mv $1/etc/apt/70debconf $1/etc/apt/apt.conf.d/",
)


@dataclass(frozen=True)
class Recipe:
    """What goes into a root: the product's package, the time that newer files get, the certificates of updates."""

    board: Board
    lock: Lock
    product: Path
    version: str
    time_s: int
    keyring: str = ""


def base(board: Board, lock: Lock) -> Path:
    """The archive with Debian's packages alone, as they are after they were configured."""
    recipe = hashlib.sha256(repr((board.architecture, lock.hash, sorted(board.every_package))).encode()).hexdigest()[
        :16
    ]
    return kept(f"base-{board.family or board.name}-{recipe}", lambda folder: install(board, lock, folder)) / "root.tar"


def install(board: Board, lock: Lock, folder: Path) -> None:
    """Install a board's packages from the files of its lock, and from nothing else."""
    fetch(lock)
    print(f"image: {board.name}: installing {len(lock.packages)} packages", file=sys.stderr, flush=True)
    with TemporaryDirectory() as archive:
        repository(lock, Path(archive))
        Path(archive).chmod(0o755)
        command = ["mmdebstrap", "--quiet", "--variant=essential", f"--arch={board.architecture}"]
        command += [*SHORT_CUTS, f"--include={','.join(board.every_package)}", SUITE, str(folder / "root.tar")]
        command += [f"deb [trusted=yes] copy:{archive} ./"]
        subprocess.run(command, check=True, env=environment(lock.date_s))


def environment(time_s: int) -> dict[str, str]:
    """For whatever runs inside: no language, no questions, and this time."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "SOURCE_DATE_EPOCH": str(time_s),
        "PYTHONHASHSEED": "0",
        "HOME": "/root",
        "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 (the default of all programs)
    }


def make(recipe: Recipe, root: Path) -> None:
    """Write the whole root file system below `root`."""
    subprocess.run(
        ["tar", "-C", str(root), "--numeric-owner", "-xpf", str(base(recipe.board, recipe.lock))], check=True
    )
    print(f"image: {recipe.board.name}: the product and its settings", file=sys.stderr, flush=True)
    for name in ("data", "boot/efi"):
        (root / name).mkdir(exist_ok=True)
    for layer in ("rootfs", *recipe.board.loader.layers):
        lay(HERE / layer, root)
    device_program(root, recipe.time_s)
    board_files(recipe.board, root)
    product(recipe, root)
    updates = [str(HERE / "update" / "into"), str(root), recipe.board.name, recipe.version, recipe.keyring]
    subprocess.run(updates, check=True, env=environment(recipe.time_s))
    inside(root, recipe.time_s, "update-initramfs", "-u", "-k", "all")


def lay(layer: Path, root: Path) -> None:
    """Copy the files of a layer with plain modes, whatever umask this shell has."""
    for source in sorted(path for path in layer.rglob("*") if path.is_file()):
        target = root / source.relative_to(layer)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def board_files(board: Board, root: Path) -> None:
    """Which board this is, and what its boot loader looks for in a system."""
    (root / "usr/lib/visavis-image/board").write_text(f"{board.name}\n")
    board.loader.prepare(root, board.options)


def device_program(root: Path, time_s: int) -> None:
    """What a device runs to take its settings."""
    (site,) = (root / "usr/lib").glob("python3.*[0-9]")
    target = root / "usr/lib/visavis/lib" / site.name / "site-packages" / "visavis_device"
    shutil.copytree(HERE / "device" / "visavis_device", target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (time_s, time_s))  # compiled files hold it


def product(recipe: Recipe, root: Path) -> None:
    """Install the product's own package, and decide by presets what starts."""
    package = root / "tmp" / recipe.product.name
    shutil.copyfile(recipe.product, package)
    inside(root, recipe.time_s, "dpkg", "-i", f"/tmp/{package.name}")  # noqa: S108 (the root's, not this machine's)
    package.unlink()
    inside(root, recipe.time_s, "systemctl", "preset-all")


def inside(root: Path, time_s: int, *command: str) -> None:
    """Run a program of the root in it."""
    with mounted(root):
        subprocess.run(["chroot", str(root), *command], check=True, env=environment(time_s), stdout=sys.stderr)


class mounted:
    """The kernel's own folders inside a root, while programs run there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> None:
        subprocess.run(["mount", "-t", "proc", "proc", str(self.root / "proc")], check=True)
        subprocess.run(["mount", "--bind", "/dev", str(self.root / "dev")], check=True)

    def __exit__(self, *_: object) -> None:
        for name in ("dev", "proc"):
            subprocess.run(["umount", "--lazy", str(self.root / name)], check=True)


def clean(root: Path) -> None:
    """Take away what belongs to the moment."""
    for name in OF_THE_MOMENT:
        (root / name).unlink(missing_ok=True)
    for name in FOLDERS_OF_THE_MOMENT:
        empty(root / name)
    for pattern in PATTERNS_OF_THE_MOMENT:
        for path in root.glob(pattern):
            path.unlink()
    (root / "etc/machine-id").touch(0o444)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")


def empty(folder: Path) -> None:
    """Keep a folder's folders, which belong to services, and drop its files."""
    for path in folder.rglob("*"):
        if not path.is_dir() or path.is_symlink():
            path.unlink()


def squash(root: Path, file: Path, time_s: int) -> None:
    """Write the root as a read-only file system, in which no file is newer than `time_s`. GRUB can read gzip."""
    file.unlink(missing_ok=True)
    command = ["mksquashfs", str(root), str(file), "-noappend", "-quiet", "-no-progress", "-no-exports"]
    command += ["-comp", "gzip", "-Xcompression-level", "6", "-b", "256K"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(time_s)}
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
