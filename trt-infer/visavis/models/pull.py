# SPDX-License-Identifier: Apache-2.0
"""Fetches the original of a model: goes on where it was cut off, and keeps nothing but the exact file.

`<cache_dir>/originals/<name>-<sum>.onnx`, and a `.part` beside it while it is fetched.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from visavis import __version__
from visavis.addresses import BAD_ADDRESS, in_ascii
from visavis.atomic import NO_ROOM, NoPlainFile, no_link
from visavis.errors import ModelError
from visavis.models.cache import locked
from visavis.models.manifest import Entry, entries, pulled_path, read_limited
from visavis.settings import default_cache_dir

# progress(bytes so far, bytes in all)
Progress = Callable[[int, int], None]
CHUNK_BYTES = 64 * 1024
SILENCE_LIMIT_S = 30
# In a row without a byte, and in all.
MOST_FRUITLESS = 3
MOST_CONNECTIONS = 100
PARTIAL, RANGE_REFUSED = 206, 416
OTHER_SOURCE = "choose another source (--from)"


class CutOff(Exception):
    """The connection ended before the file did; what came is kept."""


def _silent(_so_far: int, _in_all: int) -> None:
    """Nobody watches."""


def pull(model: str, cache_dir: Path | None = None, source: str = "", progress: Progress = _silent) -> Path:
    """Fetch the original of a model of the manifest, unless it is already here.

    Args:
        model: a name in the manifest.
        cache_dir: where it is kept; None for the usual place.
        source: a file or an http(s) address instead of the manifest's; the sum must be the same.
        progress: called with the bytes so far and in all.

    Returns:
        Where the verified file is.

    Raises:
        ModelError: unknown name, not reachable, not the file that the manifest names, or refused for what is in it.
    """
    entry = _entry(model)
    path = pulled_path(model, entry, cache_dir or default_cache_dir())
    try:
        with locked(path):
            if not _is(path, entry):
                _fetch(model, entry, source or entry.url, path, progress)
    except OSError as error:
        remedy = f"remove {error.filename}" if isinstance(error, NoPlainFile) else ""
        raise ModelError(f"cannot keep model {model} in {path.parent}, {error.strerror or error}", remedy) from error
    return path


def _entry(model: str) -> Entry:
    known = entries()
    if model not in known:
        raise ModelError(f"no model is called {model!r}", f"choose from {', '.join(known)}")
    if not known[model].url:
        raise ModelError(f"model {model} comes inside the package {known[model].package}", "there is nothing to fetch")
    return known[model]


def _fetch(model: str, entry: Entry, source: str, path: Path, progress: Progress) -> None:
    part = path.with_suffix(".part")
    if "://" in source:
        _check_address(source)
        _download(source, part, entry.bytes, progress)
    else:
        _copy(Path(source), part)
    _believe(model, entry, source, part)
    part.replace(path)
    _settle(path.parent)
    progress(entry.bytes, entry.bytes)


def _check_address(address: str) -> None:
    try:
        scheme = urlsplit(address).scheme
    except ValueError as error:
        raise ModelError(f"cannot fetch {address}, {error}", OTHER_SOURCE) from error
    if scheme not in ("http", "https"):
        raise ModelError(f"cannot fetch {address}, only http and https are supported", OTHER_SOURCE)


def _download(address: str, part: Path, size: int, progress: Progress) -> None:
    fruitless = 0
    for connection in range(MOST_CONNECTIONS):
        before = _size(part)
        if before == size:
            return
        try:
            _one_connection(address, part, size, progress)
        except urllib.error.HTTPError as error:
            reason = f"the server answered {error.code} {error.reason}"
            raise ModelError(f"cannot fetch {address}, {reason}", OTHER_SOURCE) from error
        except (CutOff, OSError, http.client.HTTPException) as error:
            if isinstance(error, NoPlainFile) or (isinstance(error, OSError) and error.errno in NO_ROOM):
                raise  # no other connection mends that
            fruitless = 0 if _size(part) > before else fruitless + 1
            if fruitless == MOST_FRUITLESS or connection == MOST_CONNECTIONS - 1:
                kept = f"run it again, it goes on after {_size(part)} of {size} bytes"
                raise ModelError(f"cannot fetch {address}, {_reason(error)}", kept) from error
        except BAD_ADDRESS as error:
            raise ModelError(f"cannot fetch {address}, {_reason(error)}", OTHER_SOURCE) from error


def _one_connection(address: str, part: Path, size: int, progress: Progress) -> None:
    with _opened(address, _size(part)) as answer, open(part, "ab", opener=no_link) as file:
        start = file.tell() if answer.status == PARTIAL else 0
        if answer.length is not None and start + answer.length != size:
            raise ModelError(
                f"{address} has {start + answer.length} bytes, not the {size} of the manifest", OTHER_SOURCE
            )
        file.truncate(start)  # a server that knows no ranges sends everything again
        for chunk in iter(lambda: answer.read(CHUNK_BYTES), b""):
            file.write(chunk)
            progress(file.tell(), size)
            if file.tell() > size:
                part.unlink()
                raise ModelError(f"{address} has more than the {size} bytes of the manifest", OTHER_SOURCE)
        if file.tell() < size:
            raise CutOff("the connection ended early")


def _opened(address: str, start: int) -> Any:
    """Ask for the rest of a file; for all of it when the server cannot go on there."""
    agent = {"User-Agent": f"visavis/{__version__}"}
    request = urllib.request.Request(in_ascii(address), headers=agent)  # noqa: S310 (checked)
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = urllib.request.urlopen(request, timeout=SILENCE_LIMIT_S)  # noqa: S310 (http(s) only, see _fetch)
    except urllib.error.HTTPError as error:
        if error.code == RANGE_REFUSED and start:
            return _opened(address, 0)
        raise
    if answer.status == PARTIAL and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        answer.close()
        return _opened(address, 0)
    return answer


def _copy(source: Path, part: Path) -> None:
    content = read_limited(source)
    with open(part, "wb", opener=no_link) as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            part.unlink(missing_ok=True)
            raise


def _believe(model: str, entry: Entry, source: str, part: Path) -> None:
    """Refuse, and remove, what is not exactly the file of the manifest or what no runtime should see."""
    # onnx takes 150 ms to import: only who fetches pays that.
    from visavis.models.identify import checked_against  # noqa: PLC0415

    with open(part, "rb", opener=no_link) as file:
        content = file.read(entry.bytes + 1)
        os.fsync(file.fileno())
    found = hashlib.sha256(content).hexdigest()
    try:
        if found != entry.sha256:
            raise ModelError(
                f"{source} is not the {model} that the manifest names (sha256 {found}, expected {entry.sha256})",
                "nothing was kept; try again or choose another source",
            )
        checked_against(entry, content, model)
    except ModelError:
        part.unlink()
        raise


def _is(path: Path, entry: Entry) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256


def _size(part: Path) -> int:
    return part.lstat().st_size if part.exists() else 0


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason) or type(reason).__name__
