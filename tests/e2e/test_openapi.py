# SPDX-License-Identifier: Apache-2.0
"""The description of the API before independent judges: a validator, and schemathesis on the running device.

`python -m tests.e2e.openapi_run 100` lets schemathesis try for longer; `make chaos` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.e2e.openapi_run import KNOWN_PHASES, Judged, described_device, judge


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    with described_device(tmp_path_factory.mktemp("openapi")) as started:
        yield started


@pytest.fixture(scope="module")
def document(device: Judged) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(device.get("/openapi.json"))
    return found


def test_the_description_is_openapi(document: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_schemathesis_finds_nothing_that_is_not_as_described(device: Judged, document: dict[str, Any]) -> None:
    verdict = judge(device, *KNOWN_PHASES, "--generation-deterministic")
    assert verdict.faults == [], verdict.said
    operations = sum(len(operations) for operations in document["paths"].values())
    assert verdict.operations == operations - 2, verdict.said  # not the description itself, nor inference by version
