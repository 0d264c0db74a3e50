# SPDX-License-Identifier: Apache-2.0
"""What is said when an appliance starts: where its page is, here and for phones, and what shows its detections."""

from __future__ import annotations

import socket
import sys
from urllib.parse import urlsplit

from visavis.addresses import MQTT_PORTS, host_of
from visavis.config_gen import Config
from visavis.figures import EVERYWHERE, page_address
from visavis.topics_gen import detections_topic

# What mosquitto_sub speaks.
OVER_TCP = ("mqtt", "mqtts")
# An address of documentation: only which of our own addresses leads there is asked; nothing is sent.
SOMEWHERE_ELSE = ("192.0.2.1", 9)
LOOPBACK = "127."


def greet(config: Config) -> None:
    """Say where to look."""
    here = page_address(config.web)
    if config.camera:
        print(f"picture     {here}{elsewhere(config)}")
    if config.mqtt.url:
        topic = detections_topic(config.mqtt.prefix, config.device.id, "+")
        print(f"detections  {subscribe_command(config.mqtt.url, topic)}")
    print(f"try         {here}try")
    if config.web.https and is_everywhere(config.web.listen):
        greet_phones(phone_address(config))
    print("stop        Ctrl-C", flush=True)


def is_everywhere(listen: str) -> bool:
    """Whether the page answers at every address of this machine."""
    return listen.rpartition(":")[0] in EVERYWHERE


def elsewhere(config: Config) -> str:
    """What follows the address of this machine for those who sit at another one."""
    port = config.web.listen.rpartition(":")[2]
    return f"  and port {port} at this machine's name" if is_everywhere(config.web.listen) else ""


def greet_phones(address: str) -> None:
    """Say what a phone opens, and show it as a QR code where somebody looks at a terminal."""
    print(f"phones      {address}  (the browser warns once: this device signs for itself)")
    if sys.stdout.isatty():
        import segno  # noqa: PLC0415 - nobody else needs it

        segno.make(address, micro=False).terminal(compact=True)


def phone_address(config: Config) -> str:
    """The page to try, as other machines of this network reach it."""
    port = config.web.listen.rpartition(":")[2]
    return f"https://{own_address() or config.device.id + '.local'}:{port}/try"


def own_address() -> str | None:
    """This machine's IPv4 address in its network; None when it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(SOMEWHERE_ELSE)
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith(LOOPBACK) else address


def subscribe_command(url: str, topic: str) -> str:
    """What shows the detections in a terminal; for a WebSocket, which mosquitto_sub does not speak, where they are."""
    broker = urlsplit(url)
    if broker.scheme not in OVER_TCP:
        return f"'{topic}' at {url}"
    return f"mosquitto_sub -h {host_of(broker)} -p {broker.port or MQTT_PORTS[broker.scheme]} -t '{topic}'"
