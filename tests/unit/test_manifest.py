# SPDX-License-Identifier: Apache-2.0
"""The manifest says what is true of the files, and a file that is something else is never used."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from visavis.errors import ModelError
from visavis.families import FAMILIES
from visavis.models.identify import checked_against, identified
from visavis.models.manifest import at_hand, entries, original, pulled_path

from tests.unit.model_files import original_file, provided, scrfd_like

FETCHED = [model for model, entry in entries().items() if entry.url]


@pytest.mark.parametrize("model", entries())
def test_an_entry_says_what_its_file_is(model: str) -> None:
    entry, content = entries()[model], original_file(model).read_bytes()
    assert len(content) == entry.bytes
    assert hashlib.sha256(content).hexdigest() == entry.sha256
    checked_against(entry, content, model)
    assert identified(content, Path(f"{model}.onnx")).family == entry.family


@pytest.mark.parametrize("model", FETCHED)
def test_an_address_is_that_of_one_commit(model: str) -> None:
    assert re.fullmatch(r"https://[\w./-]+/[0-9a-f]{40}/[\w./-]+\.onnx", entries()[model].url)


def test_every_entry_names_a_family_a_licence_and_one_source() -> None:
    for model, entry in entries().items():
        assert entry.family in FAMILIES, model
        assert entry.licence in ("MIT", "Apache-2.0"), model
        assert bool(entry.url) != bool(entry.package and entry.file), model


def test_a_model_that_was_not_fetched_is_an_error_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="model yunet-n is not on this machine: visavis model pull yunet-n"):
        original("yunet-n", cache_dir=tmp_path)


def test_a_fetched_file_with_a_byte_changed_is_refused(tmp_path: Path) -> None:
    path = pulled_path("yunet-n", entries()["yunet-n"], tmp_path)
    path.parent.mkdir()
    path.write_bytes(scrfd_like())
    with pytest.raises(ModelError, match=r"is not the yunet-n that the manifest names.*visavis model pull yunet-n"):
        original("yunet-n", cache_dir=tmp_path)


def test_only_what_is_here_is_at_hand(tmp_path: Path) -> None:
    assert at_hand(tmp_path) == ["centerface"]
    provided("yunet-s", tmp_path)
    assert at_hand(tmp_path) == ["centerface", "yunet-s"]


def test_a_name_that_nobody_knows_is_refused_with_the_choice() -> None:
    with pytest.raises(ModelError, match=r"choose from centerface, yunet-n.*or `visavis model import FILE\.onnx`$"):
        original("nobody")


def test_a_name_of_another_family_than_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="centerface is of the family centerface, not yunet: leave --family out"):
        original("centerface", "yunet", tmp_path)


def test_a_manifest_that_says_something_unknown_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text('[m]\nfamily = "yunet"\nsecret = 1\n')
    with pytest.raises(ModelError, match="cannot read the list of models"):
        entries(path)
