# SPDX-License-Identifier: Apache-2.0
"""What contracts/ring.toml becomes: Go, Python, a page of tables and golden bytes."""

from __future__ import annotations

from pathlib import Path

from contracts import ring_docs, ring_go, ring_python, ring_spec, ring_vectors


def outputs(root: Path) -> dict[Path, str | bytes]:
    """Every file that ring.toml defines, by its path; the text is not formatted yet.

    Raises:
        ring_spec.SpecError: the layout is refused.
    """
    spec = ring_spec.load(root / "contracts" / "ring.toml")
    made: dict[Path, str | bytes] = {
        root / "go-capture" / "internal" / "ring" / "layout_gen.go": ring_go.module(spec),
        root / "trt-infer" / "visavis" / "ring_gen.py": ring_python.module(spec),
        root / "docs" / "reference" / "ring.md": ring_docs.page(spec),
    }
    return made | ring_vectors.vectors(spec, root / "contracts" / "vectors")
