# SPDX-License-Identifier: Apache-2.0
"""Check this machine: one line for each thing that visavis needs or can use, and what to do if it is missing.

With --hardware it measures this board for some minutes and writes one file, a report that helps those who have no such
board. It asks nothing, sends nothing, and leaves out names, addresses and serial numbers.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from visavis.atomic import room_or, written_anew
from visavis.cli.arguments import file_path
from visavis.daemon import DEVICE_CONFIG, device_config
from visavis.doctor import Finding, examine
from visavis.errors import VisavisError
from visavis.signals import stopped_as_by_ctrl_c
from visavis.terminal import complain

EXAMPLE = (
    "  visavis doctor\n  visavis doctor --config visavis.toml --json\n  visavis doctor --hardware --output pi5.txt"
)
REPORT = Path("visavis-hardware.txt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis doctor` takes."""
    parser.add_argument(
        "--config",
        type=file_path,
        metavar="FILE",
        help=f"also check this configuration and its brokers (default: {DEVICE_CONFIG}, where it is there)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--hardware", action="store_true", help="measure this board and write a report")
    parser.add_argument(
        "--short", action="store_true", help="with --hardware: take seconds, not minutes; build no TensorRT engine"
    )
    parser.add_argument(
        "--output",
        type=file_path,
        metavar="FILE",
        help=f"with --hardware: write the report here (default {REPORT})",
    )


def run(args: argparse.Namespace) -> int:
    """Exit 0 when nothing fails (warnings are allowed), else 1; 2 for options of a report that nobody asked for.

    Raises:
        VisavisError: the report cannot be written.
    """
    if args.hardware:
        return report(args.output or REPORT, short=args.short)
    if args.short or args.output:
        complain("--short and --output are for a report on this board: add --hardware")
        return 2
    failed = False
    for finding in examine(args.config or device_config()):
        print(json.dumps(finding_json(finding)) if args.json else line(finding), flush=True)
        failed = failed or finding.state == "fail"
    return 1 if failed else 0


def report(file: Path, *, short: bool) -> int:
    """Measure, write, and say where it is; exit 0 also when the board lacks things, for that is what the report tells.

    Raises:
        VisavisError: the file cannot be written.
    """
    from visavis.hardware.report import SHORT, Plan, cleaned, gather, lines, written  # noqa: PLC0415 (slow to import)

    began = time.monotonic()
    with ExitStack() as end:
        end.enter_context(stopped_as_by_ctrl_c())  # the draft of the report goes then, and what was started
        with output(file):
            out = end.enter_context(report_file(file))
        found = cleaned(gather(SHORT if short else Plan(), lambda words: print(f"{clock(began)}  {words}", flush=True)))
        with output(file):
            out.write(written(found).encode())
            end.close()
    print("\n".join(["", *lines(found), "", f"{file} holds all of it. Read it before you send it."]))
    return 0


@contextmanager
def output(file: Path) -> Iterator[None]:
    """Name the report and what moves it where the block cannot write it.

    Raises:
        VisavisError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        remedy = room_or(error, "name another with --output")
        raise VisavisError(f"{file} cannot be written, {error.strerror}", remedy) from error


def report_file(file: Path) -> AbstractContextManager[BinaryIO]:
    """Open what the report goes to: a file keeps its earlier report until the new one is whole, a pipe has none."""
    target = file.resolve()
    return target.open("wb") if target.exists() and not target.is_file() else written_anew(target)


def clock(began_s: float) -> str:
    """Minutes and seconds since then."""
    seconds = int(time.monotonic() - began_s)
    return f"{seconds // 60:2d}:{seconds % 60:02d}"


def line(finding: Finding) -> str:
    """`fail  broker  mosquitto is not installed: apt install mosquitto`."""
    remedy = f": {finding.remedy}" if finding.remedy else ""
    return f"{finding.state:<4}  {finding.subject:<12} {finding.words}{remedy}"


def finding_json(finding: Finding) -> dict[str, str]:
    """The finding as a script reads it."""
    return {"subject": finding.subject, "state": finding.state, "words": finding.words, "remedy": finding.remedy}
