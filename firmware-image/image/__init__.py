# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
