# SPDX-License-Identifier: Apache-2.0
"""What each model finds on the labelled pictures may only get better than ratchet.toml says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.accuracy.labelled import SIZES, models, scored

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RATCHET: dict[str, Any] = tomllib.loads(Path(__file__).with_name("ratchet.toml").read_text(encoding="utf-8"))
ROUNDING = 0.0006


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("model", models())
def test_no_model_finds_less_or_more_that_is_wrong(model: str, size: str, tmp_path: Path) -> None:
    reached, wanted = scored(model, size, tmp_path), RATCHET[model][size]
    assert reached.labels == wanted["labels"]
    assert reached.hits >= wanted["hits"]
    assert reached.found - reached.hits <= wanted["found"] - wanted["hits"]
    assert reached.average_precision >= wanted["average_precision"] - ROUNDING


def test_every_model_has_its_line() -> None:
    assert {(model, size) for model, sizes in RATCHET.items() for size in sizes} == {
        (model, size) for model in models() for size in SIZES
    }
