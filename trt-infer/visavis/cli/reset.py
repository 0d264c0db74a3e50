# SPDX-License-Identifier: Apache-2.0
"""Reset a device that was flashed with an image: at its next start it removes settings, accounts, history and keys.

The installed system stays.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visavis.errors import ResetError
from visavis.signals import stopped_as_by_ctrl_c
from visavis.terminal import complain

EXAMPLE = """  visavis reset --factory           asks, then starts the device again
  visavis reset --factory --yes     does not ask"""
IMAGE_MARK = Path("/usr/lib/visavis-image/board")
WISH = Path("/boot/efi/factory-reset")
QUESTION = "Settings, accounts, history and keys of this device are removed for good, and it starts again. Type yes: "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis reset` takes."""
    parser.add_argument(
        "--factory", action="store_true", required=True, help="required: remove everything that the device has stored"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def run(args: argparse.Namespace) -> int:
    """Leave the wish on the boot partition and start again; 1 if its owner thinks better of it.

    Raises:
        ResetError: this is not a flashed device, its boot partition cannot be written, or it does not start again.
    """
    if not IMAGE_MARK.exists():
        raise ResetError(
            "this system was not flashed from an image of visavis", "apt purge visavis removes the package"
        )
    if not args.yes and not confirmed():
        print("Nothing was changed.")
        return 1
    with stopped_as_by_ctrl_c(), kept_only_if_granted(WISH):
        wish(WISH)
        print("The device starts again and is as new then.", flush=True)
        start_again()
    return 0


@contextmanager
def kept_only_if_granted(file: Path) -> Iterator[None]:
    """Take the wish back when the block does not end well: left there, it would come true at any later power cut."""
    granted = False
    try:
        yield
        granted = True
    except KeyboardInterrupt:
        complain("nothing is removed: the wish is taken back, though the device may start again")
        raise
    finally:
        if not granted and file.exists():
            withdraw(file)


def start_again() -> None:
    """Restart the device.

    Raises:
        ResetError: it does not.
    """
    code = subprocess.run(["systemctl", "reboot"], check=False).returncode
    if code != 0:
        raise ResetError(
            f"nothing was removed, since the device does not start again: systemctl reboot ended with {code}",
            "mend what it says above, and ask again",
        )


def confirmed() -> bool:
    print(QUESTION, end="", flush=True)
    return sys.stdin.buffer.readline().strip() == b"yes"  # whatever else was typed, in whatever encoding, is a no


def wish(file: Path) -> None:
    """Write the file that the next start looks for; it is on the disk when this returns."""
    try:
        with file.open("w") as out:
            os.fsync(out.fileno())
    except OSError as error:
        raise ResetError(
            f"{file} cannot be written: {error.strerror}", "run it as root on the device itself"
        ) from error


def withdraw(file: Path) -> None:
    """Remove the wish; it is gone from the disk when this returns."""
    try:
        file.unlink()
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ResetError(
            f"{file} cannot be removed: {error.strerror}",
            "remove it yourself: left there, it comes true at the next start",
        ) from error
