# SPDX-License-Identifier: Apache-2.0
"""Packages for another Python hold what is pinned for it."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement

from deb.kept import REPOSITORY
from deb.pins import pins_for

RUNTIME = (REPOSITORY / "requirements" / "runtime.txt").read_text()
TEXT = """\
numpy==2.2.6 ; python_full_version < '3.11' \\
    --hash=sha256:aa
numpy==2.4.6 ; python_full_version >= '3.11' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via opencv
tqdm==4.67.1
"""


def test_a_condition_is_asked_of_the_other_python() -> None:
    old, new = pins_for(TEXT, "3.10", "aarch64"), pins_for(TEXT, "3.13", "aarch64")
    assert "numpy==2.2.6 \\\n    --hash=sha256:aa" in old
    assert "2.4.6" not in old
    assert "numpy==2.4.6 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc" in new
    assert "2.2.6" not in new
    assert "tqdm==4.67.1" in old
    assert "tqdm==4.67.1" in new


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_each_package_is_pinned_once_for_each_python(version: str) -> None:
    names = [
        Requirement(pin).name for pin in re.findall(r"(?m)^([A-Za-z][^ \n]*)", pins_for(RUNTIME, version, "x86_64"))
    ]
    assert len(names) == len(set(names))
    assert {"numpy", "onnxruntime", "msgspec"} <= set(names)
