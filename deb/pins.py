# SPDX-License-Identifier: Apache-2.0
"""Which pins of requirements/ are meant for another Python than the one that runs: pip itself asks only its own."""

from __future__ import annotations

import re

from packaging.markers import Marker


def pins_for(text: str, version: str, machine: str) -> str:
    """The pins of a file that hold for a Python such as 3.10 on a machine such as aarch64, without their conditions."""
    return "\n".join(kept for block in re.split(r"\n(?=[A-Za-z])", text) if (kept := pin_for(block, version, machine)))


def pin_for(block: str, version: str, machine: str) -> str:
    """One pin with its sums, or nothing where its condition does not hold."""
    head, rest = re.fullmatch(r"([^\n]*?)( \\\n.*)?", block.strip(), re.DOTALL).groups("")  # type: ignore[union-attr]
    name, _, condition = head.partition(" ; ")
    there = {"python_version": version, "python_full_version": f"{version}.0", "platform_machine": machine}
    return name + rest if not condition or Marker(condition).evaluate(there) else ""
