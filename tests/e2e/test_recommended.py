# SPDX-License-Identifier: Apache-2.0
"""The model "auto" in the whole appliance: daemon and workers have its recommended input, or both that which is set."""

from __future__ import annotations

from pathlib import Path

import pytest
from visavis.models.auto import Recommendation, remember, this_machine

from tests.e2e.conftest import Start
from tests.e2e.test_appliance import DEMO
from tests.waiting import until

AUTO = DEMO + '[detector]\nmodel = "auto"\nbackend = "onnxruntime"\n'


@pytest.mark.parametrize(("settings", "size"), [("", "[320 256]"), ("input = [96, 64]\n", "[96 64]")])
def test_daemon_and_worker_agree(
    settings: str, size: str, start_appliance: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISAVIS_CACHE_DIR", str(tmp_path))
    made = Recommendation(model="centerface", input=(320, 256), threads=1, fps=90.0, here=this_machine())
    remember(made, tmp_path)
    appliance = start_appliance(AUTO + settings)
    appliance.wait_ready()
    until(lambda: appliance.camera("demo")["frames"]["inferred"] > 3, appliance.log.read_text)
    assert appliance.stop() == 0
    log = appliance.log.read_text()
    assert f'input="{size}"' in log
    assert "for this worker" not in log, "the daemon's pictures are of another size than the worker's network"
