# SPDX-License-Identifier: Apache-2.0
"""`trt`: the real TensorRT module. Where no core exists for the machine, what needs it is skipped, with the reason."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import Any

import pytest

from tests.tensorrt import core


@pytest.fixture(scope="session")
def real_core() -> None:
    """Compile the shim, once."""
    reason = core.why_not()
    if reason:
        warnings.warn(f"tests/tensorrt is mostly skipped: {reason}", stacklevel=1)
        pytest.skip(reason)
    core.build_shim()


@pytest.fixture(scope="session")
def trt(real_core: None) -> Any:
    """The module as the product imports it. Gone from the path again, so that other tests find a machine without."""
    before = list(sys.path)
    core.take_part()
    try:
        return importlib.import_module("tensorrt")
    finally:
        sys.path[:] = before
        sys.modules.pop("tensorrt", None)
        del os.environ["VISAVIS_TEST_TENSORRT"]
