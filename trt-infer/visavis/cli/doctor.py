# SPDX-License-Identifier: Apache-2.0
"""Look over this machine: one line for each thing that visavis needs or can use, with the remedy if it is missing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from visavis.doctor import Finding, examine

EXAMPLE = "  visavis doctor\n  visavis doctor --config /etc/visavis/config.toml --json"
MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis doctor` takes."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="also check what this configuration names")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when nothing fails (warnings are allowed), else 1."""
    failed = False
    for finding in examine(args.config):
        print(json.dumps(finding_json(finding)) if args.json else line(finding), flush=True)
        failed = failed or finding.state == "fail"
    return 1 if failed else 0


def line(finding: Finding) -> str:
    """`FAIL  broker  mosquitto is not installed: apt install mosquitto`."""
    remedy = f": {finding.remedy}" if finding.remedy else ""
    return f"{MARKS[finding.state]}  {finding.subject:<12} {finding.words}{remedy}"


def finding_json(finding: Finding) -> dict[str, str]:
    """The finding as a script reads it."""
    return {"subject": finding.subject, "state": finding.state, "words": finding.words, "remedy": finding.remedy}
