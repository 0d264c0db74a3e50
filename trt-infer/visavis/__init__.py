# SPDX-License-Identifier: Apache-2.0
"""visavis: face detection as an appliance. This package holds everything about models and everything a person types."""

from __future__ import annotations

import os

__version__ = "0.1.0"

# The exit code of what Ctrl-C or another word to stop has ended; here, for it is needed before anything else is loaded.
ENDED_BY_CTRL_C = 130

# onnxruntime tells its makers about machine and models unless this stands before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
