# SPDX-License-Identifier: Apache-2.0
"""What broker/visavis.conf promises to who subscribes, kept by the real mosquitto with that very file."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.brokers import is_open
from tests.ports import free_port
from tests.repo.test_laws import ROOT
from tests.waiting import until

# As the file says of an hour: five events a second, and as many states.
EVENTS = 5 * 3600
LONGEST_S = 180  # until one who hears nothing more gives up
DEVICE, READER, PASSWORD = "porch", "viewer", "secret"
AWAY = ("-u", READER, "-P", PASSWORD, "-t", "visavis/#", "-q", "1", "-i", "away", "-c")


class Broker:
    """A folder that stands for /etc/mosquitto and /var/lib/mosquitto, and a port."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.saved, self.config = folder / "mosquitto.db", folder / "mosquitto.conf"
        text = (ROOT / "broker/visavis.conf").read_text().replace("listener 1883 ", f"listener {self.port} ")
        (folder / "conf.d").mkdir()
        (folder / "conf.d/visavis.conf").write_text(text.replace("/etc/mosquitto", str(folder)))
        (folder / "visavis.acl").write_bytes((ROOT / "broker/visavis.acl").read_bytes())
        # As root where we are root: the user mosquitto may not look into our folder.
        self.config.write_text(f"user root\npersistence_location {folder}/\ninclude_dir {folder}/conf.d\n")
        (folder / "visavis.passwd").touch(mode=0o600)
        for user in (DEVICE, READER):
            subprocess.run(["mosquitto_passwd", "-b", folder / "visavis.passwd", user, PASSWORD], check=True)

    @contextmanager
    def runs(self) -> Iterator[None]:
        """Until it is killed at the end of the block, as by a power cut."""
        command = ["/usr/sbin/mosquitto", "-c", str(self.config)]
        with (self.folder / "log").open("ab") as log, subprocess.Popen(command, stderr=log) as process:
            try:
                until(lambda: is_open(self.port), "mosquitto does not listen")
                yield
            finally:
                process.kill()

    def subscriber(self, *words: str) -> list[str]:
        """What the one that is away now and then hears before it goes."""
        command = ["mosquitto_sub", "-p", str(self.port), *AWAY, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()

    def publish(self, topic: str, lines: list[str], *words: str) -> None:
        """Send each line as a message, and have each acknowledged."""
        command = ["mosquitto_pub", "-p", str(self.port), "-u", DEVICE, "-P", PASSWORD, "-q", "1", "-l", "-t", topic]
        subprocess.run([*command, *words], input="\n".join(lines) + "\n", text=True, check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_who_was_away_for_an_hour_gets_everything_though_the_broker_was_killed(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    # As long as an event with one face.
    events = [f"event {number} {'x' * 400}" for number in range(EVENTS)]
    states = [f"state {number}" for number in range(EVENTS)]
    with broker.runs():
        broker.subscriber("-E")
        broker.publish(f"visavis/{DEVICE}/door/events", events)
        broker.publish(f"visavis/{DEVICE}/door/faces", states, "-r")
        acknowledged_ns = time.time_ns()
        until(lambda: broker.saved.exists() and broker.saved.stat().st_mtime_ns > acknowledged_ns, "it was saved")
    with broker.runs():
        heard = broker.subscriber("-C", str(2 * EVENTS), "-W", str(LONGEST_S))
    assert len(heard) == 2 * EVENTS, "messages were lost, or came twice"
    in_order = [line for line in heard if line.startswith("event")] == events
    assert in_order
    assert set(heard) == {*events, *states}
