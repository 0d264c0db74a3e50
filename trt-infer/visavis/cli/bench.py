# SPDX-License-Identifier: Apache-2.0
"""Measure what this machine gives visavis: how long the model takes, then the demo's rates and stages for some seconds.

It needs neither camera nor broker. An appliance that runs here is left alone, but whatever runs makes it slower.
"""

from __future__ import annotations

import argparse
import json
import sys

from visavis.cli.arguments import amount, count
from visavis.own_folder import own_folder

EXAMPLE = """\
  visavis bench
  visavis bench --seconds 60 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis bench` takes."""
    parser.add_argument(
        "--seconds", type=amount, default=10.0, metavar="S", help="how long the demo runs (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=count, default=20, metavar="N", help="frames for each median (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the demo gave results, 1 when it gave none."""
    from visavis.hardware import capture, inference  # noqa: PLC0415 (slow to import)
    from visavis.hardware.report import capture_lines, inference_line  # noqa: PLC0415

    def say(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    timed = inference.inference(args.rounds, say)
    with own_folder(capture.FOLDER_PREFIX) as folder:
        seen = capture.measured(folder, {}, say, capture_s=args.seconds)
    if args.json:
        print(json.dumps({"inference": timed, "capture": seen}))
    else:
        print("\n".join([*(inference_line(one) for one in timed if "ms_p50" in one), *capture_lines(seen)]))
    return 1 if "error" in seen else 0
