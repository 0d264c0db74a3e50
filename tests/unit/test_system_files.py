# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

from visavis.system_files import all_of, text_of


def test_the_text_is_what_the_file_holds_and_none_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"Jetson\xff\n\0")
    assert text_of(tmp_path / "model") == "Jetson\N{REPLACEMENT CHARACTER}"
    assert text_of(tmp_path / "nothere") == text_of(tmp_path) == ""
    assert text_of("/proc/cpuinfo").count("\n") > 3


def test_what_the_kernel_has_not_now_is_nothing() -> None:
    """An empty pipe that is not waited for answers EAGAIN."""
    empty, other = os.pipe()
    os.set_blocking(empty, False)
    with os.fdopen(empty, "rb", buffering=0) as raw, os.fdopen(other, "wb"):
        assert all_of(raw) == b""
