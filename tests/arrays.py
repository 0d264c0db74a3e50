# SPDX-License-Identifier: Apache-2.0
"""An array in an annotation: any shape, any type; NumPy 2.2, the last one for Python 3.10, wants both to be said."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
