# SPDX-License-Identifier: Apache-2.0
"""What a system is: RAUC's own configuration, of this device or in an image, read for its board and version."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from pathlib import Path

from visavis.errors import UpdateError
from visavis.programs import ran

SYSTEM_CONF = Path("/etc/rauc/system.conf")
COMMAND_LINE = Path("/proc/cmdline")
# In the same words, where the boot loader says nothing and the first stage has found it out (Jetson).
FIRST_STAGE = Path("/run/visavis-slot")
PREFIX = "visavis-"


@dataclass(frozen=True)
class System:
    """The running system: what bundles have to say, and how old they may be."""

    compatible: str
    version: str

    @property
    def board(self) -> str:
        """One of `visavis.update.boards.BOARDS`."""
        return self.compatible.removeprefix(PREFIX)


def read_system(file: Path = SYSTEM_CONF) -> System:
    """Read RAUC's configuration of this device.

    Raises:
        UpdateError: there is none, so this is not an image of ours, or it lacks what we need.
    """
    try:
        text = file.read_text("utf-8", "replace")
    except OSError as error:
        raise UpdateError(
            f"{file} cannot be read ({error.strerror}): this system has no slots to update",
            "a system installed from packages is updated with apt",
        ) from error
    return _system(text, str(file))


def system_in(root: Path) -> System:
    """What the system in a root image will be once it runs.

    Raises:
        UpdateError: it is no root image of ours, or squashfs-tools are missing.
    """
    file = str(SYSTEM_CONF).removeprefix("/")
    try:
        done = ran(["unsquashfs", "-cat", str(root), file])
    except FileNotFoundError as error:
        raise UpdateError(
            "unsquashfs, which reads images, is not installed", "sudo apt install squashfs-tools"
        ) from error
    if done.returncode != 0 or not done.stdout:
        raise UpdateError(f"{root} is no root image of visavis", "name build/image/BOARD/rootfs.squashfs")
    return _system(done.stdout, f"{file} in {root}")


def _system(text: str, where: str) -> System:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        return System(parser["system"]["compatible"], parser["system"]["min-bundle-version"])
    except (configparser.Error, KeyError) as error:
        raise UpdateError(f"{where} is not as an image of visavis has it: {error}") from error


def running_slot(command_line: Path = COMMAND_LINE, first_stage: Path = FIRST_STAGE) -> str:
    """A or B, as the boot loader told the kernel, or the first stage found out.

    Raises:
        UpdateError: neither says so.
    """
    told = command_line.read_text("ascii", "replace")
    told += first_stage.read_text("ascii", "replace") if first_stage.exists() else ""
    found = re.search(r"\brauc\.slot=(\S+)", told)
    if not found:
        raise UpdateError(f"{command_line} has no rauc.slot=: this system was not booted from a slot")
    return found[1]
