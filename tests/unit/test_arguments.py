# SPDX-License-Identifier: Apache-2.0
"""Numbers that are none or out of every range, and paths that name nothing: refused before anything starts."""

from __future__ import annotations

import re

import pytest
from visavis.cli import main

WORKER = ("worker", "--socket", "s", "--backend", "fake")


@pytest.mark.parametrize(
    "words",
    [
        (*WORKER, "--credit", "0"),
        (*WORKER, "--credit", "-1"),
        (*WORKER, "--credit", "99999999999"),
        (*WORKER, "--batch-window-ms", "nan"),
        (*WORKER, "--threads", "-2"),
        (*WORKER, "--score", "nan"),
        (*WORKER, "--iou", "7"),
        (*WORKER, "--kserve-deadline-ms", "inf"),
        ("workers", "2", "--wait-s", "nan"),
        ("fleet", "--wait", "-5"),
        ("update", "gate", "--wait", "soon"),
        ("model", "bench", "--threads", "0"),
        ("model", "bench", "--rounds", "-1"),
        ("model", "bench", "--fps", "nan"),
        ("model", "quantize", "centerface", "--pictures", "x", "--wait-s", "inf"),
        ("model", "quantize", "centerface", "--pictures", "x", "--loss", "nan"),
        ("detect", "x.jpg", "--score", "nan"),
    ],
    ids=" ".join,
)
def test_wrong_numbers_are_wrong_use(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(words)) == 2
    said = capsys.readouterr().err
    assert said.startswith("usage:")
    assert re.search(r"is not a (whole )?(number|percentage) (of at least|from) ", said)


@pytest.mark.parametrize(
    "words",
    [
        ("detect", ""),
        ("detect", "x.jpg", "--draw", ""),
        ("check", ""),
        ("run", "--config="),
        ("update", "keys", ""),
        ("model", "quantize", "centerface", "--pictures", "x", ""),
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_taken_for_the_current_folder(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(words)) == 2
    assert re.search(r"error: argument \S+: is empty, and names no file or folder$", capsys.readouterr().err.strip())
