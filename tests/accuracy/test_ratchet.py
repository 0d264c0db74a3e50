# SPDX-License-Identifier: Apache-2.0
"""What each model finds on the labelled pictures may only get better than ratchet.toml says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from visavis.errors import ModelError
from visavis.models.accuracy import Accuracy
from visavis.models.processor import has_dot_products

from contracts.toml_file import decode_toml, read_toml
from deb.kept import REPOSITORY
from deb.packing import git
from tests.accuracy.labelled import (
    SIZES,
    models,
    scored,
    scored_in_half,
    scored_in_int8,
    scored_in_int8_for_tensorrt,
)

FILE = "tests/accuracy/ratchet.toml"
RATCHET: dict[str, Any] = read_toml(REPOSITORY / FILE)
ROUNDING = 0.0006
SCORED: dict[str, Callable[[str, str, Path], Accuracy]] = {
    "fp32": scored,
    "fp16": scored_in_half,
    "int8": scored_in_int8,
    "int8-tensorrt": scored_in_int8_for_tensorrt,
}
# Their convolutions are all small: docs/design/tensorrt.md says why those stay as they are.
NOT_WORTH_IT = {("int8-tensorrt", model) for model in ("yunet-n", "yunet-s")}
EACH = [(precision, model) for precision in SCORED for model in models() if (precision, model) not in NOT_WORTH_IT]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("precision", "model"), EACH)
def test_no_model_finds_less_or_more_that_is_wrong(precision: str, model: str, size: str, tmp_path: Path) -> None:
    if precision.startswith("int8") and not has_dot_products():
        pytest.skip("this processor adds products of bytes with saturation: int8 has other figures here")
    reached, wanted = SCORED[precision](model, size, tmp_path), RATCHET[precision][model][size]
    assert reached.labels == wanted["labels"]
    assert reached.hits >= wanted["hits"]
    assert reached.found - reached.hits <= wanted["found"] - wanted["hits"]
    assert reached.average_precision >= wanted["average_precision"] - ROUNDING


def test_every_model_has_its_line() -> None:
    assert each_line(RATCHET).keys() == {(*each, size) for each in EACH for size in SIZES}


@pytest.mark.parametrize(("precision", "model"), sorted(NOT_WORTH_IT))
def test_what_has_no_line_cannot_have_one(precision: str, model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing in this model is worth quantising"):
        SCORED[precision](model, "320x256", tmp_path)


@pytest.mark.parametrize("model", models())
@pytest.mark.parametrize("size", SIZES)
def test_half_precision_loses_nothing(model: str, size: str) -> None:
    """A thousandth is allowed, and there are fewer faces than that."""
    assert RATCHET["fp16"][model][size] == RATCHET["fp32"][model][size]


def test_no_line_was_ever_made_worse() -> None:
    """From each commit of the file to the next, and to what lies here."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("without the history of the repository nobody knows what stood there before")
    commits = git("log", "--reverse", "--format=%h", "--", FILE).split()
    versions = {commit: decode_toml(git("show", f"{commit}:{FILE}")) for commit in commits} | {"here": RATCHET}
    by_precision = [(commit, table) for commit, table in versions.items() if "fp32" in table]
    for (_, before), (commit, now) in pairwise(by_precision):
        for line in each_line(before).keys() & each_line(now).keys():
            old, new = each_line(before)[line], each_line(now)[line]
            assert not worse(old, new), f"{line} in {commit}: {old} became {new}"


def worse(old: dict[str, float], new: dict[str, float]) -> bool:
    return (
        new["labels"] < old["labels"]
        or new["hits"] < old["hits"]
        or new["found"] - new["hits"] > old["found"] - old["hits"]
        or new["average_precision"] < old["average_precision"]
    )


def test_a_worse_line_is_seen() -> None:
    line = {"labels": 18, "hits": 17, "found": 19, "average_precision": 0.9}
    assert not worse(line, line)
    for worse_by in ({"hits": 16, "found": 18}, {"found": 20}, {"average_precision": 0.89}, {"labels": 17}):
        assert worse(line, line | worse_by)


def each_line(table: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, float]]:
    return {
        (precision, model, size): figures
        for precision, part in table.items()
        for model, sizes in part.items()
        for size, figures in sizes.items()
    }
