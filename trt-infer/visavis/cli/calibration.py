# SPDX-License-Identifier: Apache-2.0
"""Pictures to calibrate int8 with, as commands take them: files, or a camera of the running daemon."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from visavis.cli.arguments import amount, file_path

if TYPE_CHECKING:
    from visavis.backends import Detector
    from visavis.detections import Frame

SOCKET = Path("/run/visavis/frames.sock")


def add_pictures(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Declare where pictures come from."""
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument(
        "--pictures",
        type=file_path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="folders, pictures or videos with faces, to calibrate int8 with",
    )
    where.add_argument("--from-camera", metavar="ID", help="calibrate with pictures of a camera of the running daemon")
    parser.add_argument(
        "--socket", type=file_path, default=SOCKET, metavar="PATH", help="the daemon's socket (default %(default)s)"
    )
    parser.add_argument(
        "--count", type=_count, default=64, metavar="N", help="pictures to take from the camera (default 64)"
    )
    parser.add_argument(
        "--wait-s", type=amount, default=180.0, metavar="S", help="how long to wait for faces, seconds (default 180)"
    )


def of_camera(args: argparse.Namespace, finder: Detector, stop: threading.Event) -> Iterator[Frame]:
    """Yield (1, H, W, 3) uint8 BGR of the camera that was named, with a face each, of the finder's size.

    Raises:
        ModelError: no daemon is there, it takes no visitor, too few pictures came, or it was told to stop.
    """
    from visavis.errors import DaemonGone, Refused  # noqa: PLC0415 (listing models needs no runtime)
    from visavis.models.borrow import LEAST, Wish, borrowed, without_pictures  # noqa: PLC0415

    least = min(LEAST, args.count)
    wish = Wish(socket=args.socket, camera=args.from_camera, count=args.count, least=least, limit_s=args.wait_s)
    try:
        yield from borrowed(wish, finder, stop)
    except (DaemonGone, Refused) as error:
        raise without_pictures(error, wish) from error


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) >= 2):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pictures, 2 at least")
    return int(text)
