# SPDX-License-Identifier: Apache-2.0
"""What this device is: RAUC's own configuration, read for its board and version, and the slot that runs."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from pathlib import Path

from visavis.errors import UpdateError

SYSTEM_CONF = Path("/etc/rauc/system.conf")
COMMAND_LINE = Path("/proc/cmdline")
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
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text())
        return System(parser["system"]["compatible"], parser["system"]["min-bundle-version"])
    except OSError as error:
        raise UpdateError(
            f"{file} cannot be read ({error.strerror}): this system has no slots to update",
            "a system installed from packages is updated with apt",
        ) from error
    except (configparser.Error, KeyError) as error:
        raise UpdateError(f"{file} is not as an image of visavis has it: {error}") from error


def running_slot(command_line: Path = COMMAND_LINE) -> str:
    """A or B, as the boot loader told the kernel.

    Raises:
        UpdateError: it told nothing.
    """
    found = re.search(r"\brauc\.slot=(\S+)", command_line.read_text())
    if not found:
        raise UpdateError(f"{command_line} has no rauc.slot=: this system was not booted from a slot")
    return found[1]
