# SPDX-License-Identifier: Apache-2.0
"""The root file system of a board: Debian's packages, the product's, and the files of firmware-image/rootfs.

It is made in two steps. The base, packages alone, takes minutes and is kept under the hash of its lock. What is our
own is laid over a copy of it each time.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from tempfile import TemporaryDirectory

from deb.kept import kept
from image import HERE, users
from image.boards import BOARDS, SUITE, Board
from image.errors import ImageError
from image.packages import Lock, Package, fetch, read_lock, repository

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
PACKED = ("--sort=name", "--numeric-owner", "--clamp-mtime")
# What is mounted for a program is seen by it alone and ends with it, also when it is killed. Whoever removes what such
# a build has left, as the next one does, would otherwise remove this machine's devices. This machine's folder for
# temporary files is none of the root's.
ENTER = 'unset TMPDIR && mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$0" "$@"'


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
    parts: list[object] = [board.architecture, lock.hash, sorted(board.every_package), SHORT_CUTS, users.HOOKS]
    if board.like:
        parts += [read_lock(BOARDS[board.like].lock).hash, PACKED]
    recipe = hashlib.sha256(repr(tuple(parts)).encode()).hexdigest()[:16]
    build = change if board.like else install
    return kept(f"base-{board.family or board.name}-{recipe}", lambda folder: build(board, lock, folder)) / "root.tar"


def install(board: Board, lock: Lock, folder: Path) -> None:
    """Install a board's packages from the files of its lock, and from nothing else."""
    fetch(lock)
    print(f"image: {board.name}: installing {len(lock.packages)} packages", file=sys.stderr, flush=True)
    with TemporaryDirectory() as archive:
        repository(lock, Path(archive))
        Path(archive).chmod(0o755)
        command = ["mmdebstrap", "--quiet", "--variant=essential", f"--arch={board.architecture}"]
        command += [
            *SHORT_CUTS,
            *users.HOOKS,
            f"--include={','.join(board.every_package)}",
            SUITE,
            str(folder / "root.tar"),
        ]
        command += [f"deb [trusted=yes] copy:{archive} ./"]
        subprocess.run(command, check=True, env=environment(lock.date_s))


def change(board: Board, lock: Lock, folder: Path) -> None:
    """Make a board's packages of those of the board that it is like, by changing those in which their locks differ.

    Raises:
        ImageError: that did not end with what the lock names.
    """
    fetch(lock)
    like = BOARDS[board.like]
    before = read_lock(like.lock)
    wanted, gone = differences(before, lock)
    print(f"image: {board.name}: {like.name} with {len(wanted)} other packages", file=sys.stderr, flush=True)
    with TemporaryDirectory(dir=folder) as work:
        root = Path(work) / "root"
        root.mkdir()
        unpack(base(like, before), root)
        for some in in_order([package for package in lock.packages if package.name in wanted]):
            add(root, some, lock.date_s)
        inside(root, lock.date_s, "dpkg", "--purge", *gone)
        must_hold(root, lock)
        pack(root, folder / "root.tar", lock.date_s)


def pack(root: Path, archive: Path, time_s: int) -> None:
    """Put a root into an archive as mmdebstrap does: whenever it was made, nothing in it is newer than `time_s`."""
    command = ["tar", "-C", str(root), *PACKED, f"--mtime=@{time_s}", "-cpf", str(archive), "."]
    subprocess.run(command, check=True)


def in_order(packages: list[Package]) -> tuple[list[Package], list[Package]]:
    """Those that have to be configured before others may be unpacked, and the rest."""
    asked = ["dpkg-deb", "--show", "--showformat=${Pre-Depends}, "]
    said = "".join(
        subprocess.run([*asked, str(package.kept)], capture_output=True, text=True, check=True).stdout
        for package in packages
    )
    names = {word.split()[0] for word in re.split("[,|]", said) if word.strip()}
    return [one for one in packages if one.name in names], [one for one in packages if one.name not in names]


def add(root: Path, packages: list[Package], time_s: int) -> None:
    """Install packages together."""
    with TemporaryDirectory(dir=root / "var/tmp") as folder:
        for package in packages:
            shutil.copyfile(package.kept, Path(folder) / package.kept.name)
        if files := sorted(Path(folder).iterdir()):
            inside(root, time_s, "dpkg", "-i", *(f"/{file.relative_to(root)}" for file in files))


def differences(before: Lock, after: Lock) -> tuple[list[str], list[str]]:
    """The names of the packages that are new or others in a lock, and of those that are gone."""
    files = {package.sha256 for package in before.packages}
    wanted = sorted(package.name for package in after.packages if package.sha256 not in files)
    gone = {package.name for package in before.packages} - {package.name for package in after.packages}
    return wanted, sorted(gone)


def must_hold(root: Path, lock: Lock) -> None:
    """Refuse a root in which other packages are installed than a lock names.

    Raises:
        ImageError: with the packages that differ.
    """
    found = set()
    for paragraph in (root / "var/lib/dpkg/status").read_text().strip().split("\n\n"):
        fields = HeaderParser().parsestr(paragraph)
        if fields["Status"] != "deinstall ok config-files":
            version = fields["Version"].rpartition(":")[2]
            found.add(f"{fields['Package']}_{version}_{fields['Architecture']}.deb")
    if differing := sorted(found ^ {package.kept.name for package in lock.packages}):
        raise ImageError(
            f"the root does not hold what its lock names: {', '.join(differing)}: take new locks, --relock"
        )


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
    unpack(base(recipe.board, recipe.lock), root)
    furnish(recipe, root)


def furnish(recipe: Recipe, root: Path) -> None:
    """Lay what is our own over a root in which all packages are but the product's.

    Raises:
        ImageError: a package took a number for a user that nobody has fixed.
    """
    print(f"image: {recipe.board.name}: the product and its settings", file=sys.stderr, flush=True)
    for name in ("data", "boot/efi"):
        (root / name).mkdir(exist_ok=True)
    for layer in ("rootfs", *recipe.board.loader.layers):
        lay(HERE / layer, root)
    device_program(root, recipe.time_s)
    board_files(recipe.board, root)
    product(recipe, root)
    users.must_be_fixed(root, recipe.board.numbers)
    updates = [str(HERE / "update" / "into"), str(root), recipe.board.name, recipe.version, recipe.keyring]
    subprocess.run(updates, check=True, env=environment(recipe.time_s))
    first_stage(root, recipe.time_s)


def unpack(archive: Path, root: Path) -> None:
    """Unpack what `base` returns."""
    subprocess.run(["tar", "-C", str(root), "--numeric-owner", "-xpf", str(archive)], check=True)


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
    python = (root / "usr/bin/python3").readlink().name
    target = root / "usr/lib/visavis/lib" / python / "site-packages" / "visavis_device"
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


def first_stage(root: Path, time_s: int) -> None:
    """Make what the kernel starts first, now that all of it is in place."""
    for modules in sorted((root / "usr/lib/modules").iterdir()):
        there = (root / "boot" / f"initrd.img-{modules.name}").exists()
        inside(root, time_s, "update-initramfs", "-u" if there else "-c", "-k", modules.name)


def inside(root: Path, time_s: int, *command: str) -> None:
    """Run a program of the root in it, with the kernel's own folders."""
    enter = ["unshare", "--mount", "sh", "-c", ENTER, str(root)]
    subprocess.run([*enter, *command], check=True, env=environment(time_s), stdout=sys.stderr)


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
