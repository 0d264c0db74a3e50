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


class Complaints:
    """Listens to one builder or runtime, and keeps its errors. It must live as long as what it listens to.

    Args:
        trt: the module.
        each_line: gets every line of TensorRT's log; may be called from several threads.
    """

    def __init__(self, trt: TensorRT, each_line: Callable[[str], None] = log.debug) -> None:
        self._trt = trt
        self._heard: list[str] = []
        self.logger = _logger(trt, self._heard, each_line)  # TensorRT itself keeps only a pointer to it

    def start(self, part: Callable[[ILogger], Any]) -> Any:
        """Make a builder or a runtime, which is where TensorRT first asks for CUDA.

        Raises:
            ModelError: TensorRT has none, most often beside a driver that is too old for it.
        """
        try:
            return part(self.logger)
        except TypeError as error:  # all that its Python module says then
            raise ModelError(
                f"TensorRT {self._trt.__version__} cannot start, {self.sentence()}",
                "it must be made for a CUDA that the driver knows: `nvidia-smi` shows which",
            ) from error

    def sentence(self) -> str:
        """The first errors, for one of ours."""
        return sentence(self._heard)


def sentence(complaints: list[str]) -> str:
    """The first of several complaints, for an error."""
    return "; ".join(complaints[:MOST_SENTENCES]) or "without a reason"


def _logger(trt: TensorRT, errors: list[str], each_line: Callable[[str], None]) -> ILogger:
    class Log(trt.ILogger):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: object, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                errors.append(msg.strip())
            each_line(msg)

    return Log()
