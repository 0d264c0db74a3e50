# SPDX-License-Identifier: Apache-2.0
"""What is in the archive of an image, as `docker load` gets it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any, NamedTuple


class Image(NamedTuple):
    """The environment that it sets, and the files of all its layers."""

    environment: dict[str, str]
    files: set[str]


def delivered(archive: Path) -> Image:
    """Look into an archive with one image."""
    with tarfile.open(archive) as whole:
        (manifest,) = read(whole, "manifest.json")
        settings = read(whole, manifest["Config"])["config"].get("Env", [])
        layers = [files_of(whole, name) for name in manifest["Layers"]]
    return Image(dict(setting.split("=", 1) for setting in settings), set[str]().union(*layers))


def read(whole: tarfile.TarFile, name: str) -> Any:
    with opened(whole, name) as file:
        return json.load(file)


def files_of(whole: tarfile.TarFile, layer: str) -> set[str]:
    with opened(whole, layer) as file, tarfile.open(fileobj=file) as within:
        return {member.name for member in within if not member.isdir()}


def opened(whole: tarfile.TarFile, name: str) -> Any:
    file = whole.extractfile(name)
    assert file is not None, name
    return file
