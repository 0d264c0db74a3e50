# SPDX-License-Identifier: Apache-2.0
"""Workers are found to be killed on any kernel, and a report without a kill does not read as a good one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from visavis.hardware import capture
from visavis.hardware.report import capture_lines
from visavis.system_files import text_of


def test_parts_are_found_by_a_kernel_without_lists_of_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one without CONFIG_PROC_CHILDREN."""
    monkeypatch.setattr(capture, "text_of", lambda file: "" if Path(file).name == "children" else text_of(file))
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        found = capture.Appliance.children(cast(capture.Appliance, SimpleNamespace(process=parent)))
        subprocess.run(["kill", str(child)], check=True)
    assert found == [child]


def test_a_report_without_a_kill_says_so() -> None:
    kills = {"kills": 0, "without_recovery": 0, "recovery_s_most": 0.1, "adds_up": True}
    found: dict[str, Any] = {"cameras": {}, "memory_mib": {}, "handoff_to_stream": 1.0, "kills": kills}
    assert capture_lines(found)[-1].startswith("kills        NONE")
    assert capture_lines({**found, "kills": {**kills, "kills": 2}})[-1].endswith(
        "2, 0 without recovery, longest 0.1 s, frames add up"
    )
