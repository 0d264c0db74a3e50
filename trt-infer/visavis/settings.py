# SPDX-License-Identifier: Apache-2.0
"""What a worker and its detector are told at start: plain values, decoded once, never changed."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

SYSTEM_CACHE = Path("/var/cache/visavis")
# As contracts/config.toml has them.
BACKENDS = ("auto", "tensorrt", "onnxruntime", "kserve", "fake")
PRECISIONS = ("auto", "fp32", "fp16", "int8")
# Of a network's input, pixels.
LARGEST_SIDE = 8192


def default_cache_dir() -> Path:
    """Where prepared models live: $VISAVIS_CACHE_DIR, else the system's cache if writable, else the user's.

    A user without a home, as in a container that runs as any number, gets the system's cache: what cannot be kept
    there is prepared in memory, and that is said.
    """
    named = os.environ.get("VISAVIS_CACHE_DIR")
    if named:
        return Path(named)
    if os.access(SYSTEM_CACHE, os.W_OK):
        return SYSTEM_CACHE
    own = os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own) / "visavis"
    try:
        return Path.home() / ".cache" / "visavis"
    except RuntimeError:
        return SYSTEM_CACHE


class DetectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which model runs where. `input_width` and `input_height` are pixels of the network's input.

    `batch` is how many pictures the network may get at once, where the backend can.

    `family` is what a model file of one's own must be; empty to recognise it. `kserve_...` say where the model
    server of the backend kserve is; a file is None for the system's certificates and for no token. `engine_note` is
    where a daemon looks for how far the build of an engine is; None where there is no daemon.
    """

    model: str = "centerface"
    family: str = ""
    backend: str = "auto"
    precision: str = "auto"
    batch: int = 1
    input_width: int = 640
    input_height: int = 480
    threads: int = 1
    score: float = 0.5
    iou: float = 0.3
    cache_dir: Path = msgspec.field(default_factory=default_cache_dir)
    fake_service_ms: float = 5.0
    engine_note: Path | None = None
    kserve_url: str = ""
    kserve_ca: Path | None = None
    kserve_token_file: Path | None = None
    kserve_deadline_ms: float = 120.0


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: the daemon's socket, its own name for logs and status, and how many leases it wants to hold.

    `batch_window_ms` is how long a frame waits for others to make a batch. `register_ring` lets a GPU read rings where
    they lie. `fallback` says that it was to run on a GPU, where earlier starts failed.
    """

    socket: Path
    name: str = "worker"
    credit: int = 1
    batch_window_ms: float = 0.0
    register_ring: bool = False
    fallback: bool = False
    detector: DetectorSettings = msgspec.field(default_factory=DetectorSettings)
