# SPDX-License-Identifier: Apache-2.0
"""The names of TensorRT's types, for annotations: a test looks up every attribute of such a value in the real API.

TensorRT itself is not there on most machines, so for the type checker all of them are Any.
"""

from __future__ import annotations

from typing import Any

TensorRT = Any  # the module
Builder = Any
IBuilderConfig = Any
ICudaEngine = Any
IExecutionContext = Any
ILogger = Any
INetworkDefinition = Any
OnnxParser = Any
ParserError = Any
Runtime = Any


def major(trt: TensorRT) -> int:
    """8, 10 or 11: what the API branches on."""
    return int(str(trt.__version__).partition(".")[0])
