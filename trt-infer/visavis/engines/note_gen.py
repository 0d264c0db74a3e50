# SPDX-License-Identifier: Apache-2.0
# Generated from contracts/note.toml by contracts/generate.py: do not edit.
"""The note that a builder of engines leaves for the daemon."""

from __future__ import annotations

from typing import Literal

import msgspec

# From the folder of worker.socket.
FILE = "notes/engine.json"
# bytes of the file; a longer one is not read
MOST_BYTES = 8192
# how often a running build renews its note
BEAT_MS = 2000
# a note about a build that is older than this belongs to a build that was killed
STALE_MS = 20000
# Characters at most.
TEXTS = {"model": 64, "phase": 120, "error": 1000}


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """One object in JSON."""

    schema: int  # version of this file
    state: Literal["building", "failed"]  # an engine is being built, or TensorRT cannot be used
    model: str  # the model's name
    precision: Literal["", "fp16", "fp32", "int8"]  # of the engine; empty while it is not known yet
    percent: int  # how much of the build is done
    phase: str  # what the builder is doing, in TensorRT's words
    began_ns: int  # CLOCK_MONOTONIC when the build began or failed
    told_ns: int  # CLOCK_MONOTONIC when this was written
    error: str  # why it failed, with the remedy; empty while the build runs
