# SPDX-License-Identifier: Apache-2.0
"""What TensorRT says: its log into ours, its complaints into our errors."""

from __future__ import annotations

import logging
from collections.abc import Callable

from visavis.engines.api import ILogger, TensorRT

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


def sentence(complaints: list[str]) -> str:
    """The first complaints, for an error."""
    return "; ".join(complaints[:MOST_SENTENCES]) or "without a reason"
