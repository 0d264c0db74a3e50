# SPDX-License-Identifier: Apache-2.0
"""Whether workers will find the model that a configuration names: said once, at the start, not by each of them."""

from __future__ import annotations

from pathlib import Path

from visavis.config_gen import Detector
from visavis.daemon import ConfigRefused
from visavis.errors import ModelError
from visavis.models.manifest import check_at_hand

# A server's models are its own affair, and the fake has none.
ELSEWHERE = ("kserve", "fake")


def check_model(detector: Detector, cache_dir: Path | None = None) -> None:
    """Look whether workers with this cache, by default those of this user, would find the model; nothing of it is read.

    Raises:
        ConfigRefused: they would not.
    """
    if detector.backend in ELSEWHERE:
        return
    try:
        check_at_hand(detector.model, cache_dir)
    except ModelError as error:
        raise ConfigRefused(f"detector.model: {error.sentence}", error.remedy) from error
