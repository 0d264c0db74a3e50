# SPDX-License-Identifier: Apache-2.0
"""`python -m visavis.cli` is the same as `visavis`."""

from __future__ import annotations

import sys

from visavis.cli import main

sys.exit(main())
