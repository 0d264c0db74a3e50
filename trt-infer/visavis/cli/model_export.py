# SPDX-License-Identifier: Apache-2.0
"""`visavis model export-triton`: write a model for a Triton server."""

from __future__ import annotations

import argparse
import json
from typing import Any

from visavis.cli.arguments import add_action, count, file_path, size

SUMMARY = "write a model repository for NVIDIA's Triton"
DESCRIPTION = """Write DIR/MODEL/config.pbtxt and DIR/MODEL/1/model.onnx for a Triton server: start it with
--model-repository DIR. Set detector.input of the devices that ask the server to the size of --input."""
EXAMPLE = """\
  visavis model export-triton centerface models/
  visavis model export-triton yunet-n models/ --input 320x256 --batch 16
"""


def add_to(actions: Any) -> None:
    """Declare what `visavis model export-triton` takes."""
    parser = add_action(actions, "export-triton", SUMMARY, EXAMPLE, DESCRIPTION)
    parser.add_argument("model", metavar="NAME|FILE.onnx", help="a model of `visavis model list`, or a file")
    parser.add_argument("folder", type=file_path, metavar="DIR", help="the model repository; created if missing")
    parser.add_argument(
        "--input", type=size, default=(640, 480), metavar="WxH", help="input size, pixels (default 640x480)"
    )
    parser.add_argument("--batch", type=count, default=8, metavar="N", help="largest batch, pictures (default 8)")
    parser.add_argument(
        "--wait-us",
        type=count,
        default=500,
        metavar="US",
        help="how long a picture may wait for others to fill a batch, microseconds (default 500)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Exit 0; errors are told by `visavis model`."""
    from visavis.openinference.triton import export  # noqa: PLC0415 (onnx is slow to import)

    place = export(args.model, args.folder, args.input, args.batch, args.wait_us)
    print(json.dumps({"model": place.name, "path": str(place)}) if args.json else f"{place.name}  {place}")
    return 0
