# SPDX-License-Identifier: Apache-2.0
"""Check a configuration file: every problem with its file, line, key and remedy.

The daemon is the one reader of configurations; this command asks it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from visavis.daemon import ask_daemon

EXAMPLE = "  visavis check /etc/visavis/config.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis check` takes."""
    parser.add_argument("file", type=Path, help="the configuration, TOML; conf.d/*.toml beside it is read too")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the configuration is good, 2 when it is not."""
    return ask_daemon("-config", str(args.file), "-check").returncode
