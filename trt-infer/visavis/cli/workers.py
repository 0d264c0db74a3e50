# SPDX-License-Identifier: Apache-2.0
"""See how many workers infer, or change it while the appliance runs; no request and no viewer notices.

It talks to the `visavis run` of the same user on this machine and returns when the workers are there. What a worker has
in its hands when it has to go is answered first. Workers also join by themselves: `visavis worker --socket ...` beside
any daemon. The next start of `visavis run` takes detector.workers of the configuration again.
"""

from __future__ import annotations

import argparse
import time

import msgspec

from visavis.cli.arguments import amount
from visavis.crew import Crew, Member, Request, ask, find
from visavis.ring_gen import MAX_WORKERS
from visavis.terminal import complain

EXAMPLE = "  visavis workers\n  visavis workers 4\n  visavis workers 2 --device porch --json"
PERIOD_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis workers` takes."""
    parser.add_argument("count", nargs="?", type=count, help=f"how many from now on, 1 to {MAX_WORKERS}")
    parser.add_argument("--device", help="device id, where several `visavis run` are running")
    parser.add_argument("--wait-s", type=amount, default=60.0, help="how long they may take (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one object")


def count(text: str) -> int:
    """Decode a number of workers."""
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MAX_WORKERS):
        raise argparse.ArgumentTypeError(f"{text!r} workers are not possible: choose 1 to {MAX_WORKERS}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print the workers, after the change: exit 0; 1 when nothing runs, or they are not there in time."""
    path = find(args.device)
    crew = ask(path, Request(args.count))
    end_s = time.monotonic() + args.wait_s
    while args.count is not None and not crew.settled():
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
        print(msgspec.json.encode(crew).decode())
        return
    print(f"{crew.device}: {crew.wanted} kept by `visavis run`, {len(crew.workers)} connected")
    for member in crew.workers:
        print(line(member))


def line(member: Member) -> str:
    """`  worker-1    busy  centerface@onnxruntime    11.8 ms a frame, 1234 frames`."""
    runs = f"{member.model}@{member.backend}"
    figures = f"{member.service_ms:6.1f} ms a frame, {member.frames} frames"
    return f"  {member.name:<12}{member.state:<7}{runs:<26}{figures}"
