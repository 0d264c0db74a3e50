# SPDX-License-Identifier: Apache-2.0
"""Which Debian packages go into an image, pinned by their sums, and where they are kept.

A lock file names every package of a board: archive, path in it, SHA-256. An image is made from these files alone: each
is fetched once, compared with its sum and kept; the mirror's lists are only read when a lock is made anew. When a
mirror has dropped a file, Debian's snapshot archive of the lock's date is asked.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from visavis.atomic import write_atomically

from deb import pinned
from deb.kept import CACHE
from image.boards import SUITE, Board
from image.errors import ImageError

MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org")
SNAPSHOT = "http://snapshot.debian.org/archive"
KEPT = CACHE / "debs"
COMPONENTS = "main non-free-firmware"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Package:
    """One line of a lock file."""

    archive: str
    path: str
    sha256: str

    @property
    def kept(self) -> Path:
        """Where the file lies once it was fetched; the sum is part of the name."""
        return KEPT / self.sha256[:16] / self.path.rsplit("/", 1)[-1]

    @property
    def name(self) -> str:
        return self.kept.name.partition("_")[0]


@dataclass(frozen=True)
class Lock:
    """The packages of a board, as they were at a time."""

    date_s: int
    packages: tuple[Package, ...]

    @property
    def hash(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    @property
    def sums(self) -> dict[str, str]:
        """File name of each package -> its SHA-256."""
        return {package.path.rsplit("/", 1)[-1]: package.sha256 for package in self.packages}


def read_lock(file: Path) -> Lock:
    """Read a lock file.

    Raises:
        ImageError: it is missing, or a line is not what `write_lock` writes.
    """
    if not file.exists():
        raise ImageError(f"{file} is missing: make it with --relock, which takes what the mirror has today")
    lines = [line.split() for line in file.read_text().splitlines() if line and not line.startswith("#")]
    try:
        ((_, date_s), *rows) = lines
        return Lock(int(date_s), tuple(Package(*row) for row in rows))
    except (ValueError, TypeError) as error:
        raise ImageError(f"{file} is damaged: restore it, or make it anew with --relock") from error


def write_lock(file: Path, lock: Lock) -> None:
    """Write a lock file, one package a line, so that a change of Debian's can be read in a diff."""
    head = "# Made by --relock: every Debian package of the image, from which archive, and its SHA-256.\n"
    rows = sorted(f"{package.archive} {package.path} {package.sha256}\n" for package in lock.packages)
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{head}date {lock.date_s}\n{''.join(rows)}")


def relock(board: Board, date_s: int, draft: Path) -> Lock:
    """Ask the mirror which packages the board has today. apt chooses them in a folder of its own and installs none."""
    print(f"image: {board.name}: asking {MIRROR} for today's packages", file=sys.stderr, flush=True)
    apt = private_apt(board, draft)
    subprocess.run([*apt, "update", "-q"], check=True, stdout=sys.stderr)
    available = subprocess.run(["apt-cache", *apt[1:], "dumpavail"], capture_output=True, text=True, check=True).stdout
    names = sorted({*essential(available), *board.every_package})
    install = [*apt, "install", "-y", "--print-uris", "--no-install-recommends", *names]
    said = subprocess.run(install, capture_output=True, text=True, check=True).stdout
    lock = Lock(date_s, tuple(parse_uris(said)))
    write_lock(board.lock, lock)
    return lock


def private_apt(board: Board, folder: Path) -> list[str]:
    """apt-get with lists and a state of its own, for another system than this one."""
    for name in (
        "lists/partial",
        "cache/archives/partial",
        "etc/preferences.d",
        "etc/apt.conf.d",
        "etc/sources.list.d",
    ):
        (folder / name).mkdir(parents=True)
    newer = sorted(set(board.newer.values()))
    places = [("debian", SUITE), ("debian", f"{SUITE}-updates"), ("debian-security", f"{SUITE}-security")]
    places += [("debian", suite) for suite in newer]
    lines = [f"deb [signed-by={KEYRING}] {MIRROR}/{archive} {suite} {COMPONENTS}\n" for archive, suite in places]
    (folder / "etc/sources.list").write_text("".join(lines))
    # Of a newer suite come the packages that are asked of it, and what no other has.
    pins = [("*", suite, 100) for suite in newer] + [(name, suite, 990) for name, suite in board.newer.items()]
    pinned = [f"Package: {name}\nPin: release n={suite}\nPin-Priority: {rank}\n\n" for name, suite, rank in pins]
    (folder / "etc/preferences.d/newer").write_text("".join(pinned))
    (folder / "status").touch()
    options = {
        "APT::Architecture": board.architecture,
        "APT::Architectures": board.architecture,
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc": folder / "etc",
        "Acquire::ForceHash": "SHA256",
        "Acquire::Languages": "none",
    }
    return ["apt-get", *(f"-o{name}={value}" for name, value in options.items())]


def essential(available: str) -> Iterator[str]:
    """What no Debian is without."""
    for paragraph in available.split("\n\n"):
        lines = paragraph.splitlines()
        if "Essential: yes" in lines:
            yield from (line.removeprefix("Package: ") for line in lines if line.startswith("Package: "))


def parse_uris(text: str) -> Iterator[Package]:
    """The packages in apt's `--print-uris`: address, file name, size and sum."""
    for address, sum_ in re.findall(r"^'([^']+)' \S+ \d+ SHA256:([0-9a-f]{64})$", text, re.MULTILINE):
        archive, _, path = urllib.parse.unquote(address).removeprefix(f"{MIRROR}/").partition("/")
        yield Package(archive, path, sum_)


def fetch(lock: Lock) -> None:
    """Have every package of a lock on this machine."""
    missing = [package for package in lock.packages if not package.kept.exists()]
    for number, package in enumerate(missing, 1):
        if number % 50 == 1:
            print(f"image: fetching package {number} of {len(missing)}", file=sys.stderr, flush=True)
        keep(package, download(package, lock.date_s))


def download(package: Package, date_s: int) -> bytes:
    """The file's bytes, from the mirror or from the archive of all that ever was.

    Raises:
        ImageError: neither has the file whose sum is in the lock.
    """
    stamp = datetime.fromtimestamp(date_s, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    places = (f"{MIRROR}/{package.archive}", f"{SNAPSHOT}/{package.archive}/{stamp}")
    try:
        return pinned.content([f"{place}/{package.path}" for place in places], package.sha256)
    except pinned.PinnedError as error:
        raise ImageError(f"{package.name}: {error}, or take what the mirror has today with --relock") from error


def keep(package: Package, content: bytes) -> None:
    """Store a package."""
    package.kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(package.kept, content)


def repository(lock: Lock, folder: Path) -> None:
    """Lay the lock's packages out as an archive of their own, which apt then installs from."""
    entries = []
    for package in lock.packages:
        (folder / package.kept.name).symlink_to(package.kept)
        control = subprocess.run(
            ["dpkg-deb", "-f", str(package.kept)], capture_output=True, text=True, check=True
        ).stdout.strip()
        size = package.kept.stat().st_size
        entries.append(f"{control}\nFilename: ./{package.kept.name}\nSize: {size}\nSHA256: {package.sha256}\n")
    index = "\n".join(entries).encode()
    (folder / "Packages").write_bytes(index)
    sums = f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
    # mmdebstrap looks for the essential packages of the suite of this name.
    (folder / "Release").write_text(f"Suite: {SUITE}\nCodename: {SUITE}\n{sums}")


def missing_programs(architecture: str) -> list[str]:
    """What making an image needs and this machine lacks; packages run programs of their own when configured."""
    needed = ("mmdebstrap", "mksquashfs", "mcopy", "mkfs.vfat", "sfdisk", "dpkg-deb", "zstd", "openssl", "arch-test")
    lacks = [name for name in needed if shutil.which(name) is None]
    if not lacks and subprocess.run(["arch-test", architecture], capture_output=True, check=False).returncode != 0:
        return [f"an emulator for programs of {architecture} (qemu-user-static with binfmt_misc)"]
    return lacks
