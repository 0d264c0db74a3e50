# SPDX-License-Identifier: Apache-2.0
"""`model = "auto"`: what `visavis model bench` recommended here; with `precision = "auto"` its precision too.

`<cache_dir>/recommended.json`; it counts as long as the processor and the versions are those that were measured.
"""

from __future__ import annotations

import importlib.metadata
import logging
from pathlib import Path

import msgspec

from visavis import __version__
from visavis.atomic import write_atomically
from visavis.models.processor import processor_name

AUTO = "auto"
OTHERWISE = "centerface"

log = logging.getLogger(__name__)


class Here(msgspec.Struct, frozen=True):
    """What a recommendation depends on."""

    processor: str
    visavis: str
    onnxruntime: str


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
    try:
        runtime = importlib.metadata.version("onnxruntime")
    except importlib.metadata.PackageNotFoundError:
        runtime = ""  # its builds for GPUs have other names
    return Here(processor_name(), __version__, runtime)


def remember(recommendation: Recommendation, cache_dir: Path) -> Path:
    """Keep a recommendation in place of an earlier one; return where.

    Raises:
        OSError: it cannot be written.
    """
    path = _path(cache_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, msgspec.json.format(msgspec.json.encode(recommendation), indent=2))
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


def _found(cache_dir: Path) -> tuple[Recommendation | None, str]:
    """The recommendation and ""; or None and why none counts here."""
    try:
        found = msgspec.json.decode(_path(cache_dir).read_bytes(), type=Recommendation)
    except FileNotFoundError:
        return None, "there is no recommendation yet"
    except (OSError, msgspec.DecodeError) as error:
        return None, f"the recommendation cannot be read ({error})"
    if found.here != this_machine():
        return None, "the recommendation is of another processor or version"
    return found, ""


def _path(cache_dir: Path) -> Path:
    return cache_dir / "recommended.json"
