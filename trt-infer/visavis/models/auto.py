# SPDX-License-Identifier: Apache-2.0
"""`model = "auto"`: what `visavis model bench` recommended here, at its precision and threads where these are not set.

`<cache_dir>/recommended.json`; it counts as long as the processor and the release are those that were measured. The
daemon reads it too (go-capture/internal/config/recommended.go), for the input: the size of what it draws into the ring.
Both judge by the same, so what only one of them can know, such as the version of onnxruntime, is no part of it.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from visavis import __version__
from visavis.atomic import write_atomically
from visavis.models.processor import processor_name

AUTO = "auto"
OTHERWISE = "centerface"
# The daemon is another user.
FOR_ALL = 0o644

log = logging.getLogger(__name__)


class Here(msgspec.Struct, frozen=True):
    """What a recommendation depends on."""

    processor: str
    visavis: str


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """The model to take, the precision, size (width, height) and number of threads at which it reached `fps`."""

    model: str
    precision: str = "fp32"
    input: tuple[int, int]
    threads: int
    fps: float
    here: Here


def this_machine() -> Here:
    """What recommendations of today depend on."""
    return Here(processor_name(), __version__)


def remember(recommendation: Recommendation, cache_dir: Path) -> Path:
    """Keep a recommendation in place of an earlier one; return where.

    Raises:
        OSError: it cannot be written.
    """
    path = _path(cache_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, msgspec.json.format(msgspec.json.encode(recommendation), indent=2), FOR_ALL)
    return path


def recommended_model(cache_dir: Path) -> str:
    """The name of the recommended model; OTHERWISE, with a hint in the log, when none counts here."""
    name, reason = recommended(cache_dir)
    if reason:
        log.warning('model "auto" is %s, %s: `visavis model bench` measures and makes one', name, reason)
    return name


def recommended(cache_dir: Path) -> tuple[str, str]:
    """The name of the recommended model and ""; or OTHERWISE and why none counts here."""
    found, reason = _found(cache_dir)
    return (found.model if found else OTHERWISE), reason


def recommended_precision(cache_dir: Path) -> str:
    """In what the recommended model reached its rate; "fp32" when none counts here."""
    found, _ = _found(cache_dir)
    return found.precision if found else "fp32"


def recommended_threads(cache_dir: Path, size_px: tuple[int, int], precision: str) -> int | None:
    """How many the recommended model needs for its rate; None when none counts here, or it runs at another input.

    Args:
        cache_dir: where the recommendation is.
        size_px: width and height of the input at which it runs.
        precision: the one that is set; another than was measured needs threads of its own.
    """
    found, _ = _found(cache_dir)
    as_measured = found is not None and found.input == size_px and precision in (AUTO, found.precision)
    return found.threads if found and as_measured else None


def _found(cache_dir: Path) -> tuple[Recommendation | None, str]:
    """The recommendation and ""; or None and why none counts here."""
    try:
        found = msgspec.json.decode(_path(cache_dir).read_bytes(), type=Recommendation)
    except FileNotFoundError:
        return None, "there is no recommendation yet"
    except (OSError, msgspec.DecodeError) as error:
        return None, f"the recommendation cannot be read ({error})"
    if found.here != this_machine():
        return None, "the recommendation is of another processor or release"
    return found, ""


def _path(cache_dir: Path) -> Path:
    return cache_dir / "recommended.json"
