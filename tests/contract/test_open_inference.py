# SPDX-License-Identifier: Apache-2.0
"""The Go code of contracts/open_inference.proto is what protoc makes of it."""

from __future__ import annotations

from contracts.inference import GENERATED, generated


def test_the_go_code_is_in_step_with_its_proto() -> None:
    assert GENERATED.read_text() == generated(), "stale: python contracts/inference.py"
