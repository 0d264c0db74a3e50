# SPDX-License-Identifier: Apache-2.0
"""Find faces in pictures and videos.

Pictures are searched at their own size, up to 1920 pixels a side, so that small faces are found; larger ones are made
smaller for that. With --anonymize those are searched in parts of their own size, too: what the output shows, the
network has seen, and the work grows with the number of pixels. Not so with --input: faces that it makes too small to be
found stay plain. Results never replace a picture that was given. A file that cannot be read does not stop the others;
the exit code is 1 then. Nothing is fetched from the network but the addresses that you name.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from visavis.albums import Album, anonymise, draw
from visavis.backends import Detector, load_detector
from visavis.cli.arguments import file_path, named, share, size
from visavis.detections import Detections, Frame, landmarks_of
from visavis.errors import PictureError, VisavisError
from visavis.families import FAMILIES
from visavis.free_memory import check_room, side_with_room
from visavis.pictures import LONGEST_SIDE, count_of, files_of, letterboxed, pictures_of
from visavis.scores import HIDES
from visavis.settings import DetectorSettings
from visavis.terminal import complain, plain
from visavis.tiles import apart, parts_of

EXAMPLE = "  visavis detect holiday.jpg --draw out/\n  visavis detect clip.mp4 photos/ --json > faces.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `visavis detect` takes."""
    parser.add_argument(
        "file",
        type=named,
        nargs="+",
        metavar="FILE|DIR|URL",
        help="pictures, videos, folders or http(s) addresses",
    )
    parser.add_argument(
        "--model", default="centerface", metavar="NAME|FILE.onnx", help="the model (default centerface)"
    )
    parser.add_argument(
        "--family", choices=sorted(FAMILIES), help="kind of network in FILE.onnx (default: recognised by its outputs)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each picture or video frame")
    parser.add_argument("--draw", type=file_path, metavar="OUT", help="folder to write pictures with boxes to")
    parser.add_argument(
        "--anonymize", type=file_path, metavar="OUT", help="folder to write pictures with pixelated faces to"
    )
    parser.add_argument(
        "--input",
        type=size,
        metavar="WxH",
        help="input size of the network, multiples of 32 (default: the picture's)",
    )
    parser.add_argument("--score", type=share, default=0.5, help="lowest score of a face, 0 to 1 (default 0.5)")


def run(args: argparse.Namespace) -> int:
    """Exit 0 when every file was read, 1 otherwise, 2 for options that cannot go together."""
    if args.draw and args.anonymize and os.path.realpath(args.draw) == os.path.realpath(args.anonymize):
        complain("--draw and --anonymize need a folder each")
        return 2
    try:
        if args.input is not None:
            check_room("--input {}x{}".format(*args.input), *args.input)
        eye = Eye(_detector(args), args.input)
    except PictureError as error:
        complain(str(error))
        return 2
    except VisavisError as error:
        complain(str(error))
        return error.exit_code
    names = list(files_of(args.file))
    albums = _albums(args, names)
    failed = 0
    with Progress(names) as progress:
        for name in names:
            try:
                _one_file(name, eye, albums, args, progress)
            except VisavisError as error:
                failed += 1
                _report_failure(name, error, args.json, progress)
            progress.end_file(name)
    return 1 if failed else 0


def _detector(args: argparse.Namespace) -> Detector:
    # 0 x 0: one session takes every size, stills of different sizes cost nothing extra.
    return load_detector(
        DetectorSettings(
            model=args.model,
            family=args.family or "",
            backend="onnxruntime",
            input_width=0,
            input_height=0,
            score=min(args.score, HIDES) if args.anonymize else args.score,
        )
    )


class Eye:
    """Finds faces in pictures of any size, at that of the network's input or at their own."""

    def __init__(self, detector: Detector, size_px: tuple[int, int] | None) -> None:
        self.model = detector.model_id
        self._detector, self._size_px = detector, size_px

    def faces(self, name: str, picture: Frame) -> Detections:
        """In pixels of the picture.

        Raises:
            PictureError: there is no memory for its size.
        """
        small, scales = letterboxed(picture, self._size_px)
        return _in_picture(self._detector.detect(small), scales, picture)

    def looks(self, name: str, picture: Frame) -> list[Detections]:
        """Find faces as `faces` does, and where that sees a large picture smaller, in parts of its own size as well.

        Returns:
            What each look found, in pixels of the picture: first the whole.

        Raises:
            PictureError: there is no memory for a part.
        """
        height, width = picture.shape[:2]
        found = [self.faces(name, picture)]
        if self._size_px is not None or max(height, width) <= LONGEST_SIDE:
            return found
        for rows, columns in parts_of(width, height, side_with_room(LONGEST_SIDE)):
            part = self.faces(name, picture[rows, columns])
            found.append(_moved(part, columns.start, rows.start))
        return found


Change = Callable[[Frame, Detections], Frame]


def _albums(args: argparse.Namespace, names: list[str]) -> list[tuple[Album, Change]]:
    wanted = ((args.draw, draw), (args.anonymize, anonymise))
    return [(Album(folder, names), change) for folder, change in wanted if folder is not None]


class Progress:
    """A bar on a terminal that counts pictures and video frames; nothing elsewhere."""

    def __init__(self, names: list[str]) -> None:
        from tqdm import tqdm  # noqa: PLC0415 (only this command draws a bar)

        seen = sys.stderr.isatty()
        self._counts = {name: count_of(name) for name in names} if seen else {}
        total = sum(self._counts[name] for name in names) if seen else None
        self._bar = tqdm(total=total, unit="frame", file=sys.stderr, disable=not seen)
        self._done = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def print(self, line: str) -> None:
        """Print a result above the bar, and count its frame."""
        with self._bar.external_write_mode(file=sys.stdout):
            print(line, flush=True)
        self._done += 1
        self._bar.update(1)

    def complain(self, sentence: str) -> None:
        """Print an error above the bar."""
        with self._bar.external_write_mode(file=sys.stderr):
            complain(sentence)

    def end_file(self, name: str) -> None:
        """Count what a failed file left out, or take back what a video had announced too little."""
        self._bar.update(self._counts.get(name, self._done) - self._done)
        self._done = 0


def _one_file(
    name: str, eye: Eye, albums: list[tuple[Album, Change]], args: argparse.Namespace, progress: Progress
) -> None:
    for stem, picture in pictures_of(name):
        looks = eye.looks(name, picture) if args.anonymize else [eye.faces(name, picture)]
        told = apart([found[found["score"] >= args.score] for found in looks])
        found = np.concatenate(looks)  # hidden is also what is told as part of a larger face
        for album, change in albums:
            album.keep(stem, change(picture, found if change is anonymise else told))
        progress.print(_line(name, picture, told, eye.model, args.json))


def _in_picture(found: Detections, scales: tuple[float, float], picture: Frame) -> Detections:
    """In pixels of the picture, without what was found in the black beside it."""
    for fields, scale in zip((("x1", "x2"), ("y1", "y2")), scales, strict=True):
        for field in fields:
            found[field] /= scale
    found["landmarks"] /= scales
    height, width = picture.shape[:2]
    inside: Detections = found[(found["x1"] < width) & (found["y1"] < height)]
    return inside


def _moved(found: Detections, right: int, down: int) -> Detections:
    for fields, distance in ((("x1", "x2"), right), (("y1", "y2"), down)):
        for field in fields:
            found[field] += distance
    found["landmarks"] += (right, down)
    return found


def _line(name: str, picture: Frame, found: Detections, model: str, as_json: bool) -> str:
    height, width = picture.shape[:2]
    faces = [_face(item, width, height) for item in found]
    if as_json:
        return json.dumps({"file": name, "width": width, "height": height, "model": model, "faces": faces})
    places = "".join(f"\n  {face['score']:.2f} at {face['box']}" for face in faces)
    return f"{plain(name)}: {len(faces)} face{'s' if len(faces) != 1 else ''}{places}"


def _face(item: Any, width: int, height: int) -> dict[str, Any]:
    x1, y1 = max(float(item["x1"]), 0.0), max(float(item["y1"]), 0.0)
    x2, y2 = min(float(item["x2"]), width), min(float(item["y2"]), height)
    face: dict[str, Any] = {
        "box": [round(value, 1) for value in (x1, y1, x2 - x1, y2 - y1)],
        "score": round(float(item["score"]), 4),
    }
    points = [[round(x, 1), round(y, 1)] for x, y in landmarks_of(item)]
    return {**face, "landmarks": points} if points else face


def _report_failure(name: str, error: VisavisError, as_json: bool, progress: Progress) -> None:
    if as_json:
        progress.print(json.dumps({"file": name, "error": str(error)}))
    else:
        progress.complain(str(error) if name in str(error) else f"{name}: {error}")
