# SPDX-License-Identifier: Apache-2.0
"""Makes an image that is written onto a card or a disk: `make image BOARD=rpi5`, or whichever board it is for.

Debian's packages come from the board's lock file, the product from the package that `make deb` makes. The same commit
makes the same bytes. It needs root, because programs of the new system run while it is put together.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from deb import sbom
from deb.build import SYSTEMS, commit_time_s, current_version, package
from deb.bundled import PartError
from deb.kept import REPOSITORY
from image import HERE, disk, root
from image.boards import BOARDS, SUITE, Board
from image.errors import ImageError
from image.packages import missing_programs, read_lock, relock

OUT = REPOSITORY / "build" / "image"
CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
EXAMPLE = """examples:
  make image BOARD=generic-amd64                     an image for a PC or a virtual machine with UEFI firmware
  make image BOARD=generic-arm64                     the same for arm64; elsewhere an emulator runs what has to run
  make image BOARD=rpi5                              a card for a Raspberry Pi 5; rpi4 for a Pi 4
  make image BOARD=generic-amd64 KEYRING=keys.pem    it takes updates that are signed with these keys
  PYTHONPATH=firmware-image python -m image.build --board generic-amd64 --relock
                                                     take today's packages of Debian into its lock file
"""


def main() -> int:
    """Make what the command line names; prints the image's path."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--board", choices=BOARDS, required=True, help="the hardware that it is for")
    parser.add_argument("--keyring", type=Path, help="public certificates; updates must be signed by one of them")
    parser.add_argument("--relock", action="store_true", help="only write the lock file anew, with today's packages")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the results (build/image)")
    wanted = parser.parse_args()
    try:
        print(run(wanted))
    except (ImageError, PartError) as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    return 0


def run(wanted: argparse.Namespace) -> Path:
    """Do what was asked and return the file that came of it."""
    board = BOARDS[wanted.board]
    if wanted.relock:
        with TemporaryDirectory() as draft:
            relock(board, int(time.time()), Path(draft))
        return board.lock
    check(board, wanted.keyring)
    version, lock = current_version(), read_lock(board.lock)
    product = package(SYSTEMS[SUITE, board.architecture], version)
    time_s = max(commit_time_s(), trusted_from_s(wanted.keyring))
    recipe = root.Recipe(board, lock, product, version, time_s, str(wanted.keyring or ""))
    return make(recipe, wanted.out / board.name)


def check(board: Board, keyring: Path | None) -> None:
    """Say at once what would fail in ten minutes.

    Raises:
        ImageError: this machine or this user makes no images, or there is no such keyring.
    """
    if missing := missing_programs(board.architecture):
        raise ImageError(f"missing: {', '.join(missing)}; `scripts/setup.sh vm` installs that")
    if os.geteuid() != 0:
        raise ImageError("an image is put together by root: run it with sudo, or in a container")
    if keyring and not keyring.is_file():
        raise ImageError(f"--keyring: {keyring} is not a file: name the certificates that updates are signed with")


def trusted_from_s(keyring: Path | None) -> int:
    """When all certificates of `keyring` count, in seconds since 1970: a device without a clock starts at that time.

    Raises:
        ImageError: it is no text, or holds something that is no certificate.
    """
    try:
        certificates = CERTIFICATE.findall(keyring.read_text()) if keyring else []
    except UnicodeDecodeError as error:
        raise ImageError(f"--keyring: {keyring} is no text: name a file of certificates in PEM") from error
    return max((_begins_s(one) for one in certificates), default=0)


def _begins_s(certificate: str) -> int:
    command = ["openssl", "x509", "-noout", "-startdate"]
    done = subprocess.run(command, input=certificate, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageError(f"--keyring holds a certificate that openssl cannot read: {done.stderr.strip()}")
    return int(ssl.cert_time_to_seconds(done.stdout.strip().removeprefix("notBefore=")))


def make(recipe: root.Recipe, out: Path) -> Path:
    """Make all files of a board's image in `out` and return the image itself.

    Raises:
        ImageError: something does not fit its partition, or a package is not as the lock names it.
    """
    board = recipe.board
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with TemporaryDirectory(dir=out) as work:
        tree = Path(work) / "root"
        tree.mkdir()
        root.make(recipe, tree)
        contents = partitions(recipe, tree, out)
    image = out / f"visavis-{board.name}.img"
    disk.assemble(board.table, contents, image)
    contents["first"].unlink()
    compress(image)
    return image


def partitions(recipe: root.Recipe, tree: Path, out: Path) -> dict[str, Path]:
    """Write what the partitions of a board hold, of a whole root, and the list of its parts; content -> its file.

    Raises:
        ImageError: something does not fit its partition.
    """
    board = recipe.board
    contents = {"root": out / "rootfs.squashfs", "first": out / "first.fat"}
    about = sbom.product(f"visavis-{board.name}", recipe.version)
    parts = sbom.of_system(tree, about, recipe.lock.sums, recipe.time_s)
    (tree / sbom.INSIDE).write_bytes(parts)
    (out / "sbom.cdx.json").write_bytes(parts)
    partition(recipe, "first", {**board.loader.first_files(tree), **owners_files()}, contents["first"])
    if files := board.loader.slot_files(tree, board.options):
        contents["boot"] = out / f"boot.{board.loader.slot_format}"
        partition(recipe, "boot", files, contents["boot"])
    root.clean(tree)
    print(f"image: {board.name}: compressing the root file system", file=sys.stderr, flush=True)
    root.squash(tree, contents["root"], recipe.time_s)
    disk.must_fit(board.table, contents)
    return contents


def owners_files() -> dict[str, bytes]:
    """What the owner finds on the first partition of every board."""
    return {path.name: path.read_bytes() for path in sorted((HERE / "esp").iterdir())}


def partition(recipe: root.Recipe, filled_with: str, files: dict[str, bytes], image: Path) -> None:
    """Write a small partition of the board's table."""
    label = {"first": "VISAVIS", "boot": "VISAVISBOOT"}[filled_with]
    write = disk.WRITERS["fat" if filled_with == "first" else recipe.board.loader.slot_format]
    about = disk.FileSystem(recipe.board.name, label, recipe.board.table.size_of(filled_with), recipe.time_s)
    with TemporaryDirectory(dir=image.parent) as folder:
        disk.write_files(files, Path(folder))
        write(about, Path(folder), image)


def compress(image: Path) -> None:
    """Beside the image, the file that one sends around."""
    print("image: compressing the image", file=sys.stderr, flush=True)
    subprocess.run(["zstd", "-q", "-f", "-T0", "-3", str(image)], check=True)


if __name__ == "__main__":
    sys.exit(main())
