# SPDX-License-Identifier: Apache-2.0
"""What each model finds on the labelled pictures may only get better than ratchet.toml says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from visavis.models.accuracy import Accuracy
from visavis.models.processor import has_dot_products

from contracts.toml_file import read_toml
from tests.accuracy.labelled import SIZES, models, scored, scored_in_int8

RATCHET: dict[str, Any] = read_toml(Path(__file__).with_name("ratchet.toml"))
ROUNDING = 0.0006
SCORED: dict[str, Callable[[str, str, Path], Accuracy]] = {"fp32": scored, "int8": scored_in_int8}


@pytest.mark.parametrize("precision", SCORED)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("model", models())
def test_no_model_finds_less_or_more_that_is_wrong(model: str, size: str, precision: str, tmp_path: Path) -> None:
    if precision == "int8" and not has_dot_products():
        pytest.skip("this processor adds products of bytes with saturation: int8 has other figures here")
    reached, wanted = SCORED[precision](model, size, tmp_path), RATCHET[precision][model][size]
    assert reached.labels == wanted["labels"]
    assert reached.hits >= wanted["hits"]
    assert reached.found - reached.hits <= wanted["found"] - wanted["hits"]
    assert reached.average_precision >= wanted["average_precision"] - ROUNDING


def test_every_model_has_its_line() -> None:
    lines = {(precision, *line) for precision, part in RATCHET.items() for line in lines_of(part)}
    assert lines == {(precision, model, size) for precision in SCORED for model in models() for size in SIZES}


def lines_of(part: dict[str, Any]) -> list[tuple[str, str]]:
    return [(model, size) for model, sizes in part.items() for size in sizes]
