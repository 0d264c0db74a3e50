# SPDX-License-Identifier: Apache-2.0
"""The Go daemon as seen from Python: where its program is, and the effective configuration that it reads for us."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from visavis.config_gen import Config
from visavis.errors import VisavisError

PROGRAM = "visavis-capture"


class DaemonMissing(VisavisError):
    """The daemon's program is not on this machine."""


class ConfigRefused(VisavisError):
    """The daemon refused the configuration; its words hold file, line, key and remedy."""

    exit_code = 2


def daemon_program() -> str:
    """The path of visavis-capture: $VISAVIS_CAPTURE, a checkout's build folder, or PATH.

    Raises:
        DaemonMissing: none of the three has it.
    """
    checkout = Path(__file__).resolve().parents[2] / "build" / PROGRAM
    candidates = (os.environ.get("VISAVIS_CAPTURE"), str(checkout), PROGRAM)
    for candidate in candidates:
        found = shutil.which(candidate) if candidate else None
        if found:
            return found
    raise DaemonMissing(f"{PROGRAM} is not here: in a checkout run `make setup`, elsewhere install the package visavis")


def effective_config(file: Path | None, environment: Mapping[str, str], *, for_worker: bool = False) -> Config:
    """Read file, conf.d and environment with the daemon's own eyes.

    Args:
        file: the configuration, or None for the defaults.
        environment: holds the VISAVIS_* overrides.
        for_worker: whether files with secrets are left alone, because this user may not read them.

    Raises:
        ConfigRefused: with every problem, one a line.
    """
    command = [daemon_program(), "-effective"] + (["-config", str(file)] if file else [])
    command += ["-for-worker"] if for_worker else []
    answer = subprocess.run(command, env=environment, capture_output=True, check=False)
    if answer.returncode != 0:
        raise ConfigRefused(answer.stderr.decode(errors="replace").strip())
    return msgspec.json.decode(answer.stdout, type=Config)
