# SPDX-License-Identifier: Apache-2.0
"""`visavis model import`: look over a model file of one's own, try it, and keep it under a name."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from visavis.cli.arguments import add_action, file_path, named
from visavis.errors import ModelError
from visavis.families import FAMILIES
from visavis.models.manifest import Entry, Original, read_limited
from visavis.own_folder import own_folder, written_to
from visavis.settings import default_cache_dir

SUMMARY = "add a model file of your own, under a name"
DESCRIPTION = """Check an ONNX file, recognise its family by its outputs, prepare it, and keep it under a name for
`model = "..."` in [detector] of the configuration. With --picture it must also find a face in that picture. A file that
fails is not kept."""
EXAMPLE = """\
  visavis model import scrfd_500m.onnx --family scrfd --picture people.jpg
  visavis model import my_yunet.onnx --name yunet-mine --licence MIT
"""
FOLDER_PREFIX = "visavis-tried-"


def add_to(actions: Any) -> None:
    """Declare what `visavis model import` takes."""
    parser = add_action(actions, "import", SUMMARY, EXAMPLE, DESCRIPTION)
    parser.add_argument("file", type=file_path, metavar="FILE.onnx", help="the model")
    parser.add_argument(
        "--family", choices=sorted(FAMILIES), default="", help="kind of network (default: recognised by its outputs)"
    )
    parser.add_argument("--name", default="", help="name to keep it under (default: the file's, in lower case)")
    parser.add_argument(
        "--licence", default="unknown", help="licence of the weights, shown by `visavis model list` (default: unknown)"
    )
    parser.add_argument("--picture", type=named, metavar="FILE|URL", help="try the model: it must find a face in this")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Exit 0; errors are told by `visavis model`."""
    import msgspec  # noqa: PLC0415 (beside the imports below: listing models needs neither)

    from visavis.models.identify import identified  # noqa: PLC0415
    from visavis.models.imported import checked_name, keep  # noqa: PLC0415
    from visavis.models.normalisation import words  # noqa: PLC0415
    from visavis.models.prepare import own_normalisation  # noqa: PLC0415

    name = checked_name(args.name or re.sub(r"[^a-z0-9._-]+", "-", args.file.stem.lower()).strip("-._"))
    content = read_limited(args.file)
    entry: Entry = msgspec.structs.replace(identified(content, args.file, args.family), licence=args.licence)
    faces = _tried(name, content, args.picture)
    path = keep(name, entry, content, default_cache_dir())
    own = words(own_normalisation(Original(name=name, entry=entry, content=content, sha256=entry.sha256)))
    fields = {"model": name, "family": entry.family, "path": str(path), "sha256": entry.sha256, "faces": faces}
    fields["normalises"] = own or None
    told = [name, entry.family, str(path)]
    told += [f"normalises {own} by itself"] if own else []
    told += [f"{faces} faces found" if args.picture else "not tried on a face: name a --picture"]
    print(json.dumps(fields) if args.json else "  ".join(told))
    return 0


def _tried(name: str, content: bytes, picture: str | None) -> int:
    """Prepare and run a model beside the cache; return the number of faces in the picture, 0 without one."""
    from visavis.bench.models import detector  # noqa: PLC0415
    from visavis.pictures import letterboxed, pictures_of  # noqa: PLC0415

    with own_folder(FOLDER_PREFIX) as folder:
        path = folder / f"{name}.onnx"
        with written_to(folder):
            path.write_bytes(content)
        finder = detector(str(path), (0, 0), cache_dir=folder)
        if not picture:
            return 0
        _, frame = next(pictures_of(picture))
        boxed, _ = letterboxed(frame, None)
        count = finder.detect(boxed).size
    if count == 0:
        raise ModelError(
            f"{name} finds no face in {picture}", "was it trained for faces, and for this family's colours?"
        )
    return int(count)
