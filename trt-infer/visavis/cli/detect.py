# SPDX-License-Identifier: Apache-2.0
"""Find faces in pictures and videos.

Stills run at their own size (each side rounded up to a multiple of 32, at most 1920), so that small faces are found.
Exit 1 when a file could not be read; the others go on. An address is fetched only because you name it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from visavis.backends import Detector, load_detector
from visavis.cli.model import size
from visavis.detections import Detections, Frame
from visavis.errors import VisavisError
from visavis.families import FAMILIES
from visavis.pictures import anonymise, draw, files_of, letterboxed, pictures_of, save
from visavis.settings import DetectorSettings
from visavis.terminal import complain

EXAMPLE = "  visavis detect holiday.jpg --draw out/\n  visavis detect clip.mp4 photos/ --json > faces.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis detect` takes."""
    parser.add_argument("file", nargs="+", metavar="FILE|DIR|URL", help="pictures, videos, folders, http(s) addresses")
    parser.add_argument("--model", default="centerface", metavar="NAME|FILE.onnx", help="default centerface")
    parser.add_argument("--family", choices=sorted(FAMILIES), help="of a FILE.onnx; default: recognised")
    parser.add_argument("--json", action="store_true", help="one object a line for each picture or video frame")
    parser.add_argument("--draw", type=Path, metavar="OUT", help="folder for pictures with boxes")
    parser.add_argument("--anonymize", type=Path, metavar="OUT", help="folder for pictures with pixelated faces")
    parser.add_argument("--input", type=size, metavar="WxH", help="size of the network's input, multiples of 32")
    parser.add_argument("--score", type=_score, default=0.5, help="least score of a face, 0 to 1; default 0.5")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when every file was read, 1 otherwise."""
    try:
        # 0 x 0: one session takes every size, stills of different sizes cost nothing extra.
        detector = load_detector(
            DetectorSettings(model=args.model, backend="onnxruntime", input_width=0, input_height=0, score=args.score)
        )
    except VisavisError as error:
        complain(str(error))
        return error.exit_code
    failed = 0
    for name in _progress(list(files_of(args.file))):
        try:
            _one_file(name, detector, args)
        except VisavisError as error:
            failed += 1
            _report_failure(name, error, args.json)
    return 1 if failed else 0


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _progress(names: list[str]) -> Iterator[str]:
    from tqdm import tqdm  # noqa: PLC0415 (only this command draws a bar)

    yield from tqdm(names, unit="file", file=sys.stderr, disable=not sys.stderr.isatty())


def _one_file(name: str, detector: Detector, args: argparse.Namespace) -> None:
    for number, (stem, picture) in enumerate(pictures_of(name)):
        small, scale = letterboxed(picture, args.input)
        found = detector.detect(small)
        _unscale(found, scale)
        for folder, change in ((args.draw, draw), (args.anonymize, anonymise)):
            if folder is not None:
                save(folder, f"{stem}-{number:06d}" if number else stem, change(picture, found))
        print(_line(name, picture, found, detector.model_id, args.json), flush=True)


def _unscale(found: Detections, scale: float) -> None:
    for field in ("x1", "y1", "x2", "y2", "landmarks"):
        found[field] /= scale


def _line(name: str, picture: Frame, found: Detections, model: str, as_json: bool) -> str:
    height, width = picture.shape[:2]
    faces = [_face(item, width, height) for item in found]
    if as_json:
        return json.dumps({"file": name, "width": width, "height": height, "model": model, "faces": faces})
    places = "".join(f"\n  {face['score']:.2f} at {face['box']}" for face in faces)
    return f"{name}: {len(faces)} face{'s' if len(faces) != 1 else ''}{places}"


def _face(item: Any, width: int, height: int) -> dict[str, Any]:
    x1, y1 = max(float(item["x1"]), 0.0), max(float(item["y1"]), 0.0)
    x2, y2 = min(float(item["x2"]), width), min(float(item["y2"]), height)
    return {
        "box": [round(value, 1) for value in (x1, y1, x2 - x1, y2 - y1)],
        "score": round(float(item["score"]), 4),
        "landmarks": [[round(float(x), 1), round(float(y), 1)] for x, y in item["landmarks"]],
    }


def _report_failure(name: str, error: VisavisError, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": name, "error": str(error)}), flush=True)
    else:
        complain(f"{name}: {error}")
