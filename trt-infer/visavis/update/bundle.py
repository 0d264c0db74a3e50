# SPDX-License-Identifier: Apache-2.0
"""Make a signed bundle of a root image: what a device is updated with.

Only RAUC's format `verity` is made: each block is checked when it is read, before a device writes it. The same image
and time make the same payload; the signature and the salt of the block sums differ from run to run.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from visavis.errors import UpdateError
from visavis.programs import ran
from visavis.update import keys
from visavis.update.boards import BOARDS, WITH_BOOT_PARTITION, compatible
from visavis.update.said import last_line
from visavis.update.system import System
from visavis.update.versions import key


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle: for which board, which version, and an image for each class of slots."""

    board: str
    version: str
    built_at: datetime
    images: dict[str, Path] = field(default_factory=dict)

    def manifest(self) -> str:
        """RAUC's manifest.

        Raises:
            UpdateError: the board or the version is none, or an image is missing.
        """
        if self.board not in BOARDS:
            raise UpdateError(f"there is no board {self.board!r}", f"use one of {', '.join(BOARDS)}")
        if BOARDS[self.board] in WITH_BOOT_PARTITION and "boot" not in self.images:
            raise UpdateError(f"a slot of {self.board} has a boot partition too", "give its image with --boot BOOT.img")
        key(self.version)
        built = self.built_at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines = ["[update]", f"compatible={compatible(self.board)}", f"version={self.version}", f"build={built}"]
        lines += [f"description=visavis {self.version} for {self.board}", "", "[bundle]", "format=verity"]
        for slot_class in self.images:
            lines += ["", f"[image.{slot_class}]", f"filename={slot_class}.img"]
        return "\n".join(lines) + "\n"


def must_say(board: str, version: str, root: Path, image: System) -> None:
    """Refuse to call an image what it does not call itself: devices compare bundles with what their system says.

    Raises:
        UpdateError: it is for another board, or of another version.
    """
    if image.compatible != compatible(board):
        raise UpdateError(f"{root} was made for {image.board}, not for {board}", f"use --board {image.board}")
    if key(image.version) != key(version):
        raise UpdateError(
            f"{root} is version {image.version}, not {version}, and devices go by that",
            "leave --version out, or make the image anew with the version wanted in pyproject.toml",
        )


def make_bundle(contents: Contents, signed_with: Path, bundle: Path) -> None:
    """Write `bundle`, signed with the keys in the folder `signed_with`.

    Raises:
        UpdateError: something is missing, there already, or refused by rauc.
    """
    manifest = contents.manifest()
    must_be_there(
        *contents.images.values(), signed_with / keys.KEY, signed_with / keys.CERTIFICATE, signed_with / keys.CA
    )
    if bundle.exists():
        raise UpdateError(f"{bundle} is there already", "remove it first, or name another file")
    with TemporaryDirectory(dir=bundle.parent) as draft:
        content = Path(draft) / "content"
        content.mkdir()
        (content / "manifest.raucm").write_text(manifest)
        for slot_class, image in contents.images.items():
            _link_or_copy(image, content / f"{slot_class}.img")
        age(content, contents.built_at)
        made = Path(draft) / "bundle.raucb"
        _rauc(content, signed_with, made, contents.built_at)
        made.rename(bundle)


def must_be_there(*files: Path) -> None:
    """Name the first file that is missing.

    Raises:
        UpdateError: one is.
    """
    for file in files:
        if not file.is_file():
            remedy = "make keys with `visavis update keys DIR`" if file.suffix in (".key", ".pem") else ""
            raise UpdateError(f"{file} is not there", remedy)


def _link_or_copy(image: Path, place: Path) -> None:
    """A copy, because its time is changed; a file system that can shares the blocks."""
    command = ["cp", "--reflink=auto", "--sparse=always", str(image), str(place)]
    done = ran(command)
    if done.returncode != 0:
        remedy = "it needs room for a copy of the image beside the bundle"
        raise UpdateError(f"{image} cannot be copied: {last_line(done.stderr)}", remedy)


def age(content: Path, built_at: datetime) -> None:
    """Give every file the same time and mode, whoever makes the bundle."""
    when_s = built_at.timestamp()
    for path in [*content.iterdir(), content]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (when_s, when_s))


def _rauc(content: Path, signed_with: Path, bundle: Path, built_at: datetime) -> None:
    if shutil.which("rauc") is None:
        raise UpdateError("rauc, which makes bundles, is not installed", "sudo apt install rauc squashfs-tools")
    squash = "-comp zstd -Xcompression-level 15 -all-root -no-progress -processors 1"
    command = ["rauc", "bundle", f"--cert={signed_with / keys.CERTIFICATE}", f"--key={signed_with / keys.KEY}"]
    command += [f"--keyring={signed_with / keys.CA}", f"--mksquashfs-args={squash}", str(content), str(bundle)]
    # mksquashfs takes this time for what is newer, as the manifest is to which rauc has added its sums.
    done = ran(command, variables={"SOURCE_DATE_EPOCH": str(int(built_at.timestamp()))})
    if done.returncode != 0:
        raise UpdateError(f"rauc cannot make {bundle.name}: {last_line(done.stderr)}")
