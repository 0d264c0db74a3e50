# SPDX-License-Identifier: Apache-2.0
"""A model repository for NVIDIA's Triton: one folder with the prepared model and what Triton must know about it.

`<folder>/<name>/config.pbtxt` and `<folder>/<name>/1/model.onnx`. The file takes any number of pictures, so that Triton
may put those of several devices together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import onnx

from visavis.atomic import write_atomically
from visavis.errors import ModelError
from visavis.families import FAMILIES
from visavis.models.manifest import original
from visavis.models.prepare import prepare

VERSION = "1"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# Whatever the umask is: Triton runs as another user, in its container and as a service.
OPEN_FOLDER, OPEN_FILE = 0o755, 0o644
CONFIG = """\
# Written by `visavis model export-triton`: serves pictures of {width}x{height}.
name: {quoted}
backend: "onnxruntime"
max_batch_size: {batch}
input [
  {{ name: "image" data_type: TYPE_UINT8 dims: [ {height}, {width}, 3 ] }}
]
output [
{outputs}
]
dynamic_batching {{
  max_queue_delay_microseconds: {wait_us}
}}
instance_group [
  {{ kind: KIND_AUTO count: 1 }}
]
"""
OUTPUT = "  {{ name: {name} data_type: TYPE_FP32 dims: [ {dims} ] }}"


def export(model: str, folder: Path, size: tuple[int, int], batch: int, wait_us: int) -> Path:
    """Write `model` into a model repository; one that is there already is replaced.

    Args:
        model: a name of the manifest, or a FILE.onnx.
        folder: the model repository.
        size: width and height of the pictures, pixels.
        batch: the most pictures that Triton may put together.
        wait_us: how long Triton may wait for more of them, microseconds.

    Returns:
        The folder of the model.

    Raises:
        ModelError: the model cannot be used or prepared, or the files cannot be written.
    """
    source = original(model)
    if not NAME.fullmatch(source.name):  # of a file, which may be called in any way
        raise ModelError(f"{source.name!r} cannot be a folder of a model repository", "give the file a plain name")
    content = prepare(source, *size, batch=0)
    shapes = FAMILIES[source.entry.family].shapes(*size)
    names = [one.name for one in onnx.load_from_string(content).graph.output]
    words = CONFIG.format(
        quoted=json.dumps(source.name),
        width=size[0],
        height=size[1],
        batch=batch,
        wait_us=wait_us,
        # Not strict: an SCRFD may have no landmarks, so fewer outputs.
        outputs=",\n".join(_output(name, shape[1:]) for name, shape in zip(names, shapes, strict=False)),
    )
    place = folder / source.name
    try:
        _make_open(place / VERSION)
        write_atomically(place / VERSION / "model.onnx", content, OPEN_FILE)
        # Last: Triton takes no folder without it.
        write_atomically(place / "config.pbtxt", words.encode(), OPEN_FILE)
    except OSError as error:
        raise ModelError(f"cannot write {place}, {error.strerror}", "name another folder") from error
    return place


def _make_open(folder: Path) -> None:
    """Make a folder and what is missing above it; other users may enter these. Of those there, the owner decides."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)  # another export may be as far
        one.chmod(one.stat().st_mode | OPEN_FOLDER)  # beside what it has of the folder above it, such as its group


def _output(name: str, sides: Sequence[int]) -> str:
    # JSON's way to quote a string is that of protobuf's text format too.
    return OUTPUT.format(name=json.dumps(name), dims=", ".join(map(str, sides)))
