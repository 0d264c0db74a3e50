# SPDX-License-Identifier: Apache-2.0
"""What `visavis run` tells before it follows the daemon."""

from __future__ import annotations

import pytest
from visavis.appliance import subscribe_command


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqtt://box", "mosquitto_sub -h box -p 1883 -t 'a/b'"),
        ("mqtts://box:7", "mosquitto_sub -h box -p 7 -t 'a/b'"),
        ("wss://box/mqtt", "'a/b' at wss://box/mqtt"),
    ],
)
def test_the_greeting_fits_the_broker(url: str, said: str) -> None:
    assert subscribe_command(url, "a/b") == said
