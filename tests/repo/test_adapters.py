# SPDX-License-Identifier: Apache-2.0
"""What we ship for other programs speaks of topics, fields and metrics that there are.

`make test-adapters` runs it in those programs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from contracts.toml_file import read_toml
from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT

SHIPPED = ROOT / "adapters"
METRICS = {f"visavis_{one['name']}": one for one in read_toml(ROOT / "contracts/metrics.toml")["metric"]}
# What Prometheus adds to each series, and what histograms have.
ADDED = {"instance", "job", "le"}


def is_topic(topic: str) -> bool:
    """Whether a topic, or a pattern, is one of contracts/mqtt.toml."""
    templates = [one["template"] for one in read_toml(ROOT / "contracts/mqtt.toml")["topic"]]
    forms = [re.sub(r"\\\{\w+\\\}", "[a-z0-9_+-]+", re.escape(template)) for template in templates]
    return any(re.fullmatch(form, topic) for form in forms)


def shown(page: str, note: str) -> str:
    (found,) = (b.text for b in blocks("toml", "yaml", "python") if b.page.name == page and b.note == note)
    return found


def test_node_red_listens_to_topics_that_there_are() -> None:
    flows = json.loads((SHIPPED / "node-red-flows.json").read_text())
    topics = [node["topic"] for node in flows if node["type"] == "mqtt in"]
    assert len(topics) >= 3
    assert [topic for topic in topics if not is_topic(topic)] == []


def test_the_nodes_that_the_page_names_are_there() -> None:
    names = {node.get("name") for node in json.loads((SHIPPED / "node-red-flows.json").read_text())}
    assert {"broker", "within the last minute", "at most one in ten minutes", "what happens"} <= names


def test_telegraf_reads_topics_and_fields_that_there_are(tmp_path: Path) -> None:
    file = tmp_path / "telegraf.conf"
    file.write_text(shown("telegraf.md", "telegraf.conf"))
    consumers = read_toml(file)["inputs"]["mqtt_consumer"]
    topics = [topic for consumer in consumers for topic in consumer["topics"]]
    assert [topic for topic in topics if not is_topic(topic)] == []
    (events,) = (consumer["json_v2"][0] for consumer in consumers if "json_v2" in consumer)
    fields = schema("event")["properties"]
    for entry in events["tag"] + events["field"]:
        name, _, inner = entry["path"].partition(".")
        assert name in fields
        assert not inner or inner in fields[name]["properties"]
        assert entry.get("optional", False) is (name not in schema("event")["required"])


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / f"contracts/schemas/{name}.schema.json").read_text())
    return found


def questions() -> list[str]:
    """Everything that is asked of Prometheus: by alerts, by the dashboard, by pages."""
    rules = yaml.safe_load((SHIPPED / "visavis-rules.yml").read_text())["groups"][0]["rules"]
    panels = json.loads((SHIPPED / "grafana-dashboard.json").read_text())["panels"]
    shown_there = [target["expr"] for panel in panels for target in panel["targets"]]
    return [rule["expr"] for rule in rules] + shown_there + [block.text for block in blocks("promql")]


@pytest.mark.parametrize("question", questions())
def test_prometheus_is_asked_for_metrics_and_labels_that_there_are(question: str) -> None:
    names = {name.removesuffix("_bucket") for name in re.findall(r"\bvisavis_\w+", question)}
    assert names <= METRICS.keys()
    labels = {label for name in names for label in METRICS[name]["labels"]} | ADDED
    matched = re.findall(r'(\w+)=~?"', question)
    grouped = [word for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", question) for word in group.split(", ")]
    assert {*matched, *grouped} <= labels


def test_the_page_tells_each_alert() -> None:
    rules = yaml.safe_load((SHIPPED / "visavis-rules.yml").read_text())["groups"][0]["rules"]
    page = (ROOT / "docs/how-to/prometheus.md").read_text()
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == [rule["alert"] for rule in rules]
