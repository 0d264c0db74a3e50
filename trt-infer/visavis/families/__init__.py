# SPDX-License-Identifier: Apache-2.0
"""How a model's outputs become faces: one table of families. Adding one is a file here and a line in `FAMILIES`."""

from __future__ import annotations

from collections.abc import Mapping

from visavis.families import centerface, scrfd, ultraface, yunet
from visavis.families.family import Family, Shape

FAMILIES: dict[str, Family] = {
    "centerface": centerface.FAMILY,
    "yunet": yunet.FAMILY,
    "ultraface": ultraface.FAMILY,
    "scrfd": scrfd.FAMILY,
}


def recognised(outputs: Mapping[str, Shape]) -> Family | None:
    """Return the family of a model with these outputs (name -> shape, 0 = any), None when there is none."""
    return next((family for family in FAMILIES.values() if family.fits(outputs)), None)
