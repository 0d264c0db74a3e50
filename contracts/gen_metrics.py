# SPDX-License-Identifier: Apache-2.0
"""From metrics.toml: the names in Go, and docs/reference/metrics.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from contracts.toml_file import read_toml

GO_HEAD = """\
// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/metrics.toml by contracts/generate.py. DO NOT EDIT.

package metric

"""
DOCS_HEAD = """\
<!-- Generated from contracts/metrics.toml by contracts/generate.py: do not edit. -->
# Metrics

`GET /metrics` answers in the text format of Prometheus. Where there are logins, it needs an account that may see all
cameras ([Prometheus](../how-to/prometheus.md) shows how to make one). All figures of one scrape are of one instant: for
each camera `visavis_frames_captured_total` is the sum of the frames that were inferred, are in flight, or were dropped.
Beside these metrics there are the usual ones of Go and of the process (`go_*`, `process_*`).
"""
TABLE = """
## {about}

| metric | kind | labels | |
|---|---|---|---|
"""
KINDS = {"counter": "_total", "gauge": "", "histogram": "_seconds"}


@dataclass(frozen=True)
class Metric:
    """One metric; `name` is without the prefix."""

    name: str
    about: str
    kind: str
    labels: list[str]
    doc: str

    @property
    def go_name(self) -> str:
        """`zone_entered_total` becomes ZoneEnteredTotal."""
        return "".join(word.capitalize() for word in self.name.split("_"))


def outputs(root: Path) -> dict[Path, str | bytes]:
    """The generated files and their texts, not yet formatted.

    Raises:
        ValueError: a name that Prometheus' conventions do not allow for its kind, or one that comes twice.
    """
    metrics = [Metric(**entry) for entry in read_toml(root / "contracts" / "metrics.toml")["metric"]]
    _check(metrics)
    tables = [_table(about, list(some)) for about, some in groupby(metrics, lambda metric: metric.about)]
    return {
        root / "go-capture/internal/metric/metrics_gen.go": GO_HEAD + "\n".join(map(_go, metrics)),
        root / "docs/reference/metrics.md": DOCS_HEAD + "".join(tables),
    }


def _check(metrics: list[Metric]) -> None:
    names = [metric.name for metric in metrics]
    for metric in metrics:
        fits = re.fullmatch(r"[a-z][a-z_]*", metric.name) and metric.name.endswith(KINDS[metric.kind])
        if not fits or names.count(metric.name) > 1:
            raise ValueError(f"metrics.toml: {metric.name} comes twice, or is no name for a {metric.kind}")


def _table(about: str, metrics: list[Metric]) -> str:
    return TABLE.format(about=about) + "".join(map(_row, metrics))


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `visavis_{metric.name}` | {metric.kind} | {labels} | {metric.doc} |\n"


def _go(metric: Metric) -> str:
    labels = ", ".join(f'"{label}"' for label in metric.labels)
    return f"""\
// {metric.go_name}: {metric.doc}
var {metric.go_name} = Metric{{Name: "visavis_{metric.name}", Help: "{metric.doc}", Labels: []string{{{labels}}}}}
"""
