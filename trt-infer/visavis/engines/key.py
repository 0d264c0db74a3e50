# SPDX-License-Identifier: Apache-2.0
"""What an engine is for. An engine built for anything else is never loaded."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

# Part of every key: raise when the same model and precision become another network.
RECIPE = 1

Precision = Literal["fp32", "fp16", "int8"]


class Gpu(msgspec.Struct, frozen=True):
    """A GPU as engines know it: its name and its compute capability, for example "Orin" and (8, 7)."""

    name: str
    capability: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.name} (sm_{self.capability[0]}{self.capability[1]})"


class Profile(msgspec.Struct, frozen=True):
    """How many pictures one run takes: at least, for best speed, at most."""

    least: int = 1
    best: int = 1
    most: int = 1

    def __str__(self) -> str:
        return f"{self.least}/{self.best}/{self.most}"


ONE_PICTURE = Profile()


class EngineKey(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an engine depends on; `model_sha256` is that of the prepared model."""

    model: str
    model_sha256: str
    tensorrt: str
    gpu: Gpu
    precision: Precision
    profile: Profile = ONE_PICTURE
    recipe: int = RECIPE

    @property
    def file_name(self) -> str:
        """The model and precision for people, then the hash of everything."""
        digest = hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]
        return f"{self.model}-{self.precision}-{digest}.engine"
