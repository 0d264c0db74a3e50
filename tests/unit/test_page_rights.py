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
        assert arrives(tmp_path, SHIPPED + added, (writer, reader), topic, 30)
        assert not arrives(tmp_path, SHIPPED, (writer, reader), topic, 1)


def test_nobody_but_a_device_has_the_rights_of_one() -> None:
    """A pattern holds for every user; what it gives must be taken from those who are no device."""
    pages = [block.text for block in blocks("acl")]
    users = {line.split()[1] for text in [SHIPPED, *pages] for line in text.splitlines() if line.startswith("user ")}
    assert users == {"homeassistant", "viewer", "nodered", "zigbee2mqtt", "logger", "porch"}
    given = [
        line.split()[2] for line in SHIPPED.splitlines() if line.startswith(("pattern write", "pattern readwrite"))
    ]
    for user in users - {"porch"}:
        sections = "\n".join([SHIPPED, *pages]).split("\nuser ")
        own = "\n".join(section for section in sections if section.partition("\n")[0] == user)
        free = ["homeassistant/+/visavis_%u/#"] if user == "homeassistant" else []  # it may write all of that
        for topic in given:
            assert (f"topic deny {topic.replace('%u', user)}" in own) == (topic not in free)


def arrives(folder: Path, rights: str, users: tuple[str, str], topic: str, limit_s: int) -> bool:
    """Whether a broker with these rights brings what one user publishes to the other within the limit."""
    (folder / "passwords").touch()
    for name in USERS:
        subprocess.run(["mosquitto_passwd", "-b", str(folder / "passwords"), name, name], check=True)
    (folder / "acl").write_text(rights)
    port, (writer, reader) = free_port(), users
    with mosquitto(folder, port, more=[f"password_file {folder}/passwords", f"acl_file {folder}/acl"]):
        publish(port, topic, "here", "-u", writer, "-P", writer, "-q", "1", "-r")
        limits, login = ["-C", "1", "-W", str(limit_s)], ["-u", reader, "-P", reader]
        hears = ["mosquitto_sub", "-p", str(port), "-t", topic, *limits, *login]
        return subprocess.run(hears, capture_output=True, check=False).stdout == b"here\n"
