# SPDX-License-Identifier: Apache-2.0
"""Where a model repository is written, whatever a file is called; a real Triton reads one in tests/kserve."""

from __future__ import annotations

from pathlib import Path

import pytest
from visavis.errors import ModelError
from visavis.openinference.triton import export

from tests.unit.model_files import scrfd_like


@pytest.mark.parametrize("name", ["..", "a\nmax_batch_size: 1", "-x", "a" * 200])
def test_a_files_name_that_is_no_plain_one_leads_nowhere(name: str, tmp_path: Path) -> None:
    file = tmp_path / "in" / f"{name}.onnx"
    file.parent.mkdir()
    file.write_bytes(scrfd_like())
    before = set(tmp_path.rglob("*"))
    with pytest.raises(ModelError, match="cannot be a folder of a model repository: give the file a plain name"):
        export(str(file), tmp_path / "repository", (64, 64), 1, 0)
    assert set(tmp_path.rglob("*")) == before


def test_a_plain_name_is_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "My_Faces-2.1.onnx"
    file.write_bytes(scrfd_like())
    place = export(str(file), tmp_path / "repository", (64, 64), 1, 0)
    assert place == tmp_path / "repository" / "My_Faces-2.1"
    assert (place / "config.pbtxt").read_text().startswith("# Written by")
