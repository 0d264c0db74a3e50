# SPDX-License-Identifier: Apache-2.0
"""What every test gets: a state folder of its own, so that no event of one appliance reaches another's broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite(
    "tests.unit.detector_conformance"
)  # its assertions say what they compared, as those of test files do

# An example that syncs a file on a busy disk takes longer than any limit: time is measured in benchmarks, not here.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="module")
def modules_own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For appliances that a module shares: modules of other processes run beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISAVIS_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_STATE_DIR", str(tmp_path_factory.mktemp("state")))
