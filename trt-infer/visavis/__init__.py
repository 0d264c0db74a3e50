# SPDX-License-Identifier: Apache-2.0
"""visavis: face detection as an appliance. This package holds everything about models and everything a person types."""

from __future__ import annotations

__version__ = "0.1.0"
