# SPDX-License-Identifier: Apache-2.0
"""Whether workers can load the model that a configuration names: said once, at the start, not by each of them."""

from __future__ import annotations

from pathlib import Path

from visavis.config_gen import Detector
from visavis.daemon import ConfigRefused
from visavis.errors import ModelError, VisavisError
from visavis.models.manifest import check_at_hand


class WrongSize(VisavisError):
    """The model is there and cannot take pictures of detector.input, whoever's workers load it."""

    kind = "setting"
    exit_code = 2


def check_model(detector: Detector, cache_dir: Path | None = None) -> None:
    """Look whether workers with this cache, by default those of this user, would find the model; nothing of it is read.

    Raises:
        ConfigRefused: they would not.
        WrongSize: they would, and it cannot take the size of the input.
    """
    if detector.backend == "fake":  # it has none; kserve has one in reserve, whatever its server has
        return
    try:
        entry = check_at_hand(detector.model, cache_dir)
    except ModelError as error:
        raise ConfigRefused(f"detector.model: {error.sentence}", error.remedy) from error
    if entry is not None:
        _check_size(entry.family, detector.input)


def _check_size(family: str, size_px: tuple[int, int]) -> None:
    # The families take NumPy with them: who has no model here does without.
    from visavis.families import FAMILIES  # noqa: PLC0415

    try:
        FAMILIES[family].check_size(family, *size_px)
    except ModelError as error:
        raise WrongSize(f"detector.input: {error.sentence}", error.remedy) from error
