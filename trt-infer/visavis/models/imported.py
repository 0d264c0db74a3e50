# SPDX-License-Identifier: Apache-2.0
"""Models that a person brought: kept beside the fetched ones, known by a name of their own.

`<cache_dir>/originals/<name>-<sum>.onnx`, and `<name>.json` with its entry.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from visavis.atomic import clear_drafts, write_atomically
from visavis.errors import ModelError
from visavis.models.auto import AUTO
from visavis.models.cache import locked
from visavis.models.manifest import Entry, entries, pulled_path

# What stands behind a name in that of its file.
SUM = "[0-9a-f]" * 16
# Longer ones are cut in the status and in messages (ring.model_at); a configuration takes them all the same.
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,19}")


def checked_name(name: str) -> str:
    """Return `name` if a model may have it.

    Raises:
        ModelError: it holds what a configuration does not take, or is that of a model of the manifest.
    """
    if not NAME.fullmatch(name):
        raise ModelError(f"a model cannot be called {name!r}", "use 1 to 20 of a-z 0-9 . _ - (--name)")
    if name.endswith(".onnx"):
        raise ModelError(f"a model cannot be called {name!r}, that is a file", "choose another (--name)")
    if name == AUTO:
        raise ModelError(f"a model cannot be called {name!r}, that is the recommended one", "choose another (--name)")
    if name in entries():
        raise ModelError(f"{name} is a model of the manifest", "choose another name (--name)")
    return name


def keep(name: str, entry: Entry, content: bytes, cache_dir: Path) -> Path:
    """Keep a model under `name`, in place of one that had it before; return where its file is.

    Raises:
        ModelError: a name that it may not have, or it cannot be written.
    """
    path = pulled_path(checked_name(name), entry, cache_dir)
    beside = path.with_name(f"{name}.json")
    try:
        # By the name, not by the file: another file under this name at once would remove ours, and we its.
        with locked(beside):
            for names in (f"{name}-{SUM}.onnx", beside.name):
                clear_drafts(path.parent, names)
            write_atomically(path, content)
            # The entry last: a name without its file is never known.
            write_atomically(beside, msgspec.json.format(msgspec.json.encode(entry), indent=2))
            for other in path.parent.glob(f"{name}-{SUM}.onnx"):
                if other != path:
                    other.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"cannot keep model {name} in {path.parent}, {error.strerror}") from error
    return path
