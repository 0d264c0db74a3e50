# SPDX-License-Identifier: Apache-2.0
"""The rights that pages tell to add to those of visavis-broker are enough for what the pages do, and wanted for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.brokers import mosquitto, publish
from tests.ports import free_port
from tests.repo.pages import blocks
from tests.repo.test_laws import ROOT

SHIPPED = (ROOT / "broker/visavis.acl").read_text()
USERS = ("porch", "homeassistant", "viewer", "nodered", "zigbee2mqtt")


@pytest.mark.parametrize(
    ("page", "writer", "topic", "readers"),
    [
        ("frigate.md", "porch", "frigate/events", ("homeassistant", "viewer")),
        ("node-red.md", "nodered", "zigbee2mqtt/hall/set", ("zigbee2mqtt",)),
        ("node-red.md", "nodered", "home/notify", ("viewer",)),
        ("node-red.md", "nodered", "home/visits", ("viewer",)),
    ],
)
def test_what_a_page_publishes_arrives_with_its_rights(
    page: str, writer: str, topic: str, readers: tuple[str, ...], tmp_path: Path
) -> None:
    (added,) = (block.text for block in blocks("acl") if block.page.name == page)
    for reader in readers:
        assert arrives(tmp_path, SHIPPED + added, (writer, reader), topic)
        assert not arrives(tmp_path, SHIPPED, (writer, reader), topic)


def arrives(folder: Path, rights: str, users: tuple[str, str], topic: str) -> bool:
    """Whether a broker with these rights brings what one user publishes to the other."""
    (folder / "passwords").touch()
    for name in USERS:
        subprocess.run(["mosquitto_passwd", "-b", str(folder / "passwords"), name, name], check=True)
    (folder / "acl").write_text(rights)
    port, (writer, reader) = free_port(), users
    with mosquitto(folder, port, more=[f"password_file {folder}/passwords", f"acl_file {folder}/acl"]):
        publish(port, topic, "here", "-u", writer, "-P", writer, "-q", "1", "-r")
        hears = ["mosquitto_sub", "-p", str(port), "-t", topic, "-C", "1", "-W", "1", "-u", reader, "-P", reader]
        return subprocess.run(hears, capture_output=True, check=False).stdout == b"here\n"
