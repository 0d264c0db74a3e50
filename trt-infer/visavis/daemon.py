# SPDX-License-Identifier: Apache-2.0
"""The Go daemon as seen from Python: where its program is, and the effective configuration that it reads for us."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from visavis.config_gen import Config
from visavis.errors import VisavisError
from visavis.signals import STOP_SIGNALS

PROGRAM = "visavis-capture"
DEVICE_CONFIG = Path("/etc/visavis/config.toml")


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


def device_config() -> Path | None:
    """The configuration of this device, None where it has none."""
    return DEVICE_CONFIG if DEVICE_CONFIG.exists() else None


def ask_daemon(*words: str, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run visavis-capture with these words, to its end; `options` are those of subprocess.run.

    Raises:
        DaemonMissing: it is not here, or cannot be started on this machine.
        KeyboardInterrupt: it was told to stop, as a terminal and systemd tell each process of a group.
    """
    program = daemon_program()
    try:
        answer = subprocess.run([program, *words], check=False, close_fds=False, **options)  # /dev/fd/63 is one of ours
    except OSError as error:
        remedy = "is it for another processor? Build it here with `make setup`, or install the package visavis"
        raise DaemonMissing(f"{program} cannot be started, {error.strerror}", remedy) from error
    if -answer.returncode in STOP_SIGNALS:
        raise KeyboardInterrupt
    return answer


def effective_config(file: Path | None, environment: Mapping[str, str], *, for_worker: bool = False) -> Config:
    """Read file, conf.d and environment with the daemon's own eyes.

    Args:
        file: the configuration, or None for the defaults.
        environment: holds the VISAVIS_* overrides.
        for_worker: whether files with secrets are left alone, because this user may not read them.

    Raises:
        ConfigRefused: with every problem, one a line.
        DaemonMissing, KeyboardInterrupt: as `ask_daemon`.
    """
    words = ["-effective"] + (["-config", str(file)] if file else []) + (["-for-worker"] if for_worker else [])
    answer = ask_daemon(*words, env=environment, capture_output=True)
    if answer.returncode != 0:
        raise ConfigRefused(last_words(answer))
    return msgspec.json.decode(answer.stdout, type=Config)


def last_words(answer: subprocess.CompletedProcess[bytes]) -> str:
    """What a daemon's program said before it failed; how it ended, if it said nothing."""
    said = answer.stderr.decode(errors="replace").strip()
    if said or answer.returncode >= 0:
        return said or f"{PROGRAM} ended with {answer.returncode} and said nothing"
    name = signal.strsignal(-answer.returncode) or f"signal {-answer.returncode}"
    return f"{PROGRAM} was ended by the system: {name}"
