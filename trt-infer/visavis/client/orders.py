# SPDX-License-Identifier: Apache-2.0
"""Commands to a camera, and whether they were obeyed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TypeAlias

from visavis.client.connection import Broker, Inbox, Link, Silent
from visavis.client.messages import Reading, read
from visavis.errors import VisavisError
from visavis.topics_gen import set_topic, snapshot_topic, state_topic, status_topic

REMEDY = "is the device on, and does it obey this one? See its mqtt.commands, and its journal for why it refused"
SNAPSHOT_REMEDY = f"has the camera snapshots = true, without which it sends no picture? Else {REMEDY}"

Value: TypeAlias = bool | float | str


class NotObeyed(VisavisError):
    """The device did not do what a command asked for; it may be away, take no commands, or refuse this one."""

    kind = "not_obeyed"


def word(value: Value) -> str:
    """The payload of a command: ON and OFF, a number, or the word itself."""
    if isinstance(value, bool):
        return "ON" if value else "OFF"
    return f"{value:g}" if isinstance(value, (int, float)) else value


def same(told: str, wanted: str) -> bool:
    """Whether a state is the wanted one; 0.5 and 0.50 are the same number."""
    try:
        return float(told) == float(wanted)
    except ValueError:
        return told == wanted


def set_and_wait(broker: Broker, place: tuple[str, str, str], name: str, value: Value, timeout_s: float) -> None:
    """Publish `set/<name>` and return when the device's state says so.

    What the broker has kept of a device that is away is no answer: that device has not heard the command.

    Args:
        place: prefix, device and camera.

    Raises:
        NotObeyed: the state did not become that in time.
    """
    wanted, (prefix, device, _) = word(value), place
    told: dict[str, bool] = {}

    def obeyed(reading: Reading) -> bool:
        if reading.name == "status":
            told["there"] = reading.value
        elif told.get("there", True) or not reading.message.retained:
            told["state"] = same(reading.value, wanted)
        return told.get("state", False) and told.get("there", True)

    # The status goes first, so that it is told before the state.
    answers = status_topic(prefix, device), state_topic(*place, name)
    _ask(broker, (set_topic(*place, name), wanted), answers, obeyed, timeout_s)


def press(broker: Broker, place: tuple[str, str, str], timeout_s: float) -> bytes:
    """Ask for a picture and return it, as JPEG.

    Raises:
        NotObeyed: none came in time.
    """
    order, answers = (set_topic(*place, "snapshot"), "press"), (snapshot_topic(*place),)
    try:
        reading = _ask(broker, order, answers, lambda reading: not reading.message.retained, timeout_s)
    except NotObeyed as error:
        raise NotObeyed(error.sentence, SNAPSHOT_REMEDY) from error
    return reading.message.payload


def _ask(
    broker: Broker,
    order: tuple[str, str],
    answers: Sequence[str],
    done: Callable[[Reading], bool],
    timeout_s: float,
) -> Reading:
    command, payload = order
    inbox = Inbox()
    with Link(broker, dict.fromkeys(answers, 1), inbox.take) as link:
        link.wait_subscribed(timeout_s)
        link.publish(command, payload)
        end_s = monotonic() + timeout_s
        try:
            for message in inbox.read(link, threading.Event(), timeout_s):
                reading = read(message)
                if reading and reading.value is not None and done(reading):
                    return reading
                if monotonic() > end_s:
                    break
        except Silent:
            pass  # said below, in words about the command
    raise NotObeyed(f"{command} {payload} was not obeyed within {timeout_s:g} s", REMEDY)
