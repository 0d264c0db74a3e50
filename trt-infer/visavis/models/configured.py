# SPDX-License-Identifier: Apache-2.0
"""Whether workers can load the model that a configuration names: said once, at the start, not by each of them."""

from __future__ import annotations

from pathlib import Path

from visavis.config_gen import Detector
from visavis.daemon import ConfigRefused
from visavis.errors import ModelError, VisavisError
from visavis.models.manifest import check_at_hand

# Backends that run the model on the processor, whatever else a machine has, and in no other precision than is set.
ON_PROCESSOR = ("onnxruntime", "kserve")


class WrongSize(VisavisError):
    """The model is there and cannot take pictures of detector.input, whoever's workers load it."""

    kind = "setting"
    exit_code = 2


def check_model(detector: Detector, cache_dir: Path | None = None) -> None:
    """Look whether workers with this cache, by default those of this user, would find the model.

    Nothing of it is read, but for its int8 form.

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
    if detector.precision == "int8" and detector.backend in ON_PROCESSOR:
        check_int8(detector, cache_dir)


def check_int8(detector: Detector, cache_dir: Path | None = None) -> None:
    """Look whether workers would find the form of the model that the processor runs in int8.

    Raises:
        ConfigRefused: they would not, and only pictures make one; the backend "auto" goes on without it.
    """
    # Families and NumPy, as below.
    from visavis.models.quantized import quantized_model  # noqa: PLC0415

    try:
        quantized_model(detector.model, *detector.input, cache_dir)
    except ModelError as error:
        instead = ", so the processor runs it in fp32" if detector.backend == "auto" else ""
        raise ConfigRefused(f"detector.precision: {error.sentence}{instead}", error.remedy) from error


def _check_size(family: str, size_px: tuple[int, int]) -> None:
    # The families take NumPy with them: who has no model here does without.
    from visavis.families import FAMILIES  # noqa: PLC0415

    try:
        FAMILIES[family].check_size(family, *size_px)
    except ModelError as error:
        raise WrongSize(f"detector.input: {error.sentence}", error.remedy) from error
