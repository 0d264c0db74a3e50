# SPDX-License-Identifier: Apache-2.0
"""From config.toml: the Go structs and their table of keys, the Python structs, docs/reference/config.md."""

from __future__ import annotations

from pathlib import Path

from contracts import config_docs, config_go, config_python, config_spec


def outputs(root: Path) -> dict[Path, str | bytes]:
    """The generated files and their texts, not yet formatted."""
    sections = config_spec.load(root / "contracts" / "config.toml")
    return {
        root / "go-capture/internal/config/config_gen.go": config_go.source(sections),
        root / "trt-infer/visavis/config_gen.py": config_python.source(sections),
        root / "docs/reference/config.md": config_docs.page(sections),
    }
