# SPDX-License-Identifier: Apache-2.0
"""What TensorRT says: its log into ours, its complaints into our errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from visavis.engines.api import ILogger, TensorRT
from visavis.errors import ModelError

log = logging.getLogger(__name__)

MOST_SENTENCES = 3


def logger(trt: TensorRT, complaints: list[str], each_line: Callable[[str], None] = log.debug) -> ILogger:
    """A logger for builders and runtimes.

    Args:
        complaints: gets every error.
        each_line: gets every line; may be called from several threads.
    """

    class Log(trt.ILogger):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: object, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                complaints.append(msg.strip())
            each_line(msg)

    return Log()


def started(trt: TensorRT, part: Callable[[ILogger], Any], log_of: ILogger, complaints: list[str]) -> Any:
    """A builder or a runtime, which is where TensorRT first asks for CUDA.

    Raises:
        ModelError: TensorRT has none, most often beside a driver that is too old for it.
    """
    try:
        return part(log_of)
    except TypeError as error:  # all that its Python module says then
        raise ModelError(
            f"TensorRT {trt.__version__} cannot start, {sentence(complaints)}",
            "it must be made for a CUDA that the driver knows: `nvidia-smi` shows which",
        ) from error


def sentence(complaints: list[str]) -> str:
    """The first complaints, for an error."""
    return "; ".join(complaints[:MOST_SENTENCES]) or "without a reason"
