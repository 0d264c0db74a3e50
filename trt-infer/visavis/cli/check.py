# SPDX-License-Identifier: Apache-2.0
"""Check a configuration file: print every problem with file, line and key, and how to mend it.

Exit 2 when there is one. A model that you do not have is only a warning, since workers that run as another user may
have it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from visavis.daemon import ConfigRefused, ask_daemon, effective_config
from visavis.models.configured import check_model
from visavis.terminal import complain

EXAMPLE = "  visavis check /etc/visavis/config.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis check` takes."""
    parser.add_argument("file", type=Path, help="the configuration (TOML); files in conf.d/ beside it are read too")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the configuration is good, 2 when it is not."""
    code = ask_daemon("-config", str(args.file), "-check").returncode
    if code == 0:
        warn_of_model(args.file)
    return code


def warn_of_model(file: Path) -> None:
    """Say when workers of this user would not find the model of a good configuration."""
    detector = effective_config(file, os.environ).detector
    try:
        check_model(detector)
    except ConfigRefused as error:
        complain(f"warning, {file}: {error}; workers of another user may have it")
