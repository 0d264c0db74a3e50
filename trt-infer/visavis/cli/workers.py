# SPDX-License-Identifier: Apache-2.0
"""Show how many workers infer, or change their number while visavis runs. Clients and viewers do not notice.

It talks to the `visavis run` of the same user on this machine, and returns once the workers are ready. A worker that
has to go finishes its frames first. The change lasts until `visavis run` ends; set detector.workers in the
configuration to keep it. Another way to add a worker, to any daemon, is `visavis worker --socket ...`.
"""

from __future__ import annotations

import argparse
import time

import msgspec

from visavis.cli.arguments import amount
from visavis.crew import Crew, Member, Request, ask, find
from visavis.ring_gen import MAX_WORKERS
from visavis.terminal import ascii_json, complain, plain

EXAMPLE = "  visavis workers\n  visavis workers 4\n  visavis workers 2 --device porch --json"
PERIOD_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis workers` takes."""
    parser.add_argument(
        "count", nargs="?", type=count, help=f"new number of workers, 1 to {MAX_WORKERS} (without it: show them)"
    )
    parser.add_argument("--device", help="device id; needed if more than one `visavis run` is running")
    parser.add_argument(
        "--wait-s", type=amount, default=60.0, metavar="S", help="give up after so many seconds (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def count(text: str) -> int:
    """Decode a number of workers."""
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MAX_WORKERS):
        raise argparse.ArgumentTypeError(f"{text!r} workers are not possible: choose 1 to {MAX_WORKERS}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print the workers, after the change: exit 0; 1 when nothing runs, or they are not there in time."""
    path = find(args.device)
    crew = before = ask(path, Request())
    if args.count is not None:
        crew = ask(path, Request(args.count))
    end_s = time.monotonic() + args.wait_s
    while args.count is not None and not crew.settled(before):
        if time.monotonic() > end_s:
            complain(f"not there after {args.wait_s:.0f} s: see the terminal of `visavis run` for why")
            show(args, crew)
            return 1
        time.sleep(PERIOD_S)
        crew = ask(path, Request())
    show(args, crew)
    return 0


def show(args: argparse.Namespace, crew: Crew) -> None:
    """Print one object, or a line for each worker."""
    if args.json:
        print(ascii_json(msgspec.json.encode(crew).decode()))
        return
    print(f"{plain(crew.device)}: {crew.wanted} kept by `visavis run`, {len(crew.workers)} connected")
    for member in crew.workers:
        print(plain(line(member)))


def line(member: Member) -> str:
    """`  worker-1    busy  centerface@onnxruntime    11.8 ms a frame, 1234 frames`."""
    runs = f"{member.model}@{member.backend}"
    figures = f"{member.service_ms:6.1f} ms a frame, {member.frames} frames"
    return f"  {member.name:<12}{member.state:<7}{runs:<26}{figures}"
