# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what the other tests stand on is the real thing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from tests.tensorrt import core


def test_the_module_is_nvidias_own(trt: Any) -> None:
    assert trt.__version__ == "11.4.0.106"
    assert trt.Builder.__module__ == "tensorrt_bindings.tensorrt"


def test_the_core_behind_it_builds_an_engine(trt: Any) -> None:
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    network.mark_output(network.add_identity(network.add_input("x", trt.DataType.FLOAT, (1, 3))).get_output(0))
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    assert plan.nbytes > 1_000


@pytest.mark.usefixtures("real_core")
def test_a_process_of_its_own_finds_it_too() -> None:
    command = [sys.executable, "-c", "import tensorrt; print(tensorrt.__version__)"]
    answer = subprocess.run(command, env=core.environment(), capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "11.4.0.106"


def test_the_products_own_environment_has_no_tensorrt() -> None:
    command = [sys.executable, "-c", "import importlib.util as u; print(u.find_spec('tensorrt_bindings'))"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "None"
    assert importlib.util.find_spec("tensorrt_libs") is None
