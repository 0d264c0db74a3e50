# SPDX-License-Identifier: Apache-2.0
"""What every backend must do, for kserve too: tests/unit/detector_conformance.py with a server, and without."""

from __future__ import annotations

import pytest
from visavis.backends import Detector, Waiting

from tests.kserve.conftest import Asking
from tests.kserve.servers import Served
from tests.ports import free_port
from tests.unit.detector_conformance import DetectorConformance


@pytest.fixture(params=["http", "grpc", "nobody"])
def detector(request: pytest.FixtureRequest, kserve: Served, asking: Asking) -> Detector:
    alone = request.param == "nobody"
    return asking(f"http://127.0.0.1:{free_port()}" if alone else kserve.url(request.param))


class TestKserve(DetectorConformance):
    """Over both wires, and where nobody answers."""


def test_the_worker_tells_it_how_long_an_answer_is_of_use(detector: Detector) -> None:
    assert isinstance(detector, Waiting)
