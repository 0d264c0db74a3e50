# SPDX-License-Identifier: Apache-2.0
"""The processor under us: what it is called, and whether it multiplies bytes fast."""

from __future__ import annotations

import platform

from visavis.system_files import text_of

# A container may hide it: an unknown processor without the instructions.
CPUINFO = "/proc/cpuinfo"
# VNNI on x86, dot product on ARM: without them int8 gains little over float32.
DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "asimddp"}
# ARM names no model, but these two numbers say the same.
NAMES = ("model name", "CPU implementer", "CPU part")


def processor_name(cpuinfo: str | None = None) -> str:
    """What the processor is called, with the machine's kind; `cpuinfo` as Linux shows it, None for this machine's."""
    found = _fields(text_of(CPUINFO) if cpuinfo is None else cpuinfo)
    return " ".join([platform.machine(), *(found[name] for name in NAMES if name in found)])


def has_dot_products(cpuinfo: str | None = None) -> bool:
    """Whether it has instructions that add up products of bytes."""
    found = _fields(text_of(CPUINFO) if cpuinfo is None else cpuinfo)
    return bool(DOT_PRODUCTS & set((found.get("flags") or found.get("Features", "")).split()))


def _fields(cpuinfo: str) -> dict[str, str]:
    """The fields of the first processor."""
    pairs = (line.partition(":") for line in cpuinfo.strip().split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
