# SPDX-License-Identifier: Apache-2.0
"""Waits until the broker of this machine lets a user in, by a CONNECT of MQTT 3.1.1.

The user comes as JSON on stdin, `{"user": ..., "password": ...}`, which no list of processes shows; without one it is
enough that the broker answers. It is run on the host by whatever python3 is there.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time

CONNECT, CONNACK = 0x10, b"\x20\x02"
CLEAN_SESSION, WITH_PASSWORD, WITH_USER = 0x02, 0x40, 0x80
KEEP_ALIVE_S = 10
ANSWER_S = 5.0


def main(port: int, limit_s: float) -> int:
    """Exit 0 when it lets the user in; 1 with the reason when it does not within `limit_s`."""
    given = json.load(sys.stdin)
    end_s = time.monotonic() + limit_s
    while why := refusal(port, str(given.get("user", "")), str(given.get("password", ""))):
        if time.monotonic() >= end_s:
            print(why, file=sys.stderr)
            return 1
        time.sleep(0.5)
    return 0


def refusal(port: int, user: str, password: str) -> str:
    """Why nobody came in; empty when somebody did."""
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_S) as broker:
            broker.settimeout(ANSWER_S)
            broker.sendall(connect(user, password))
            answer = broker.recv(4, socket.MSG_WAITALL)
    except OSError as error:
        return f"nobody answers at port {port}: {error}"
    if len(answer) < 4 or not answer.startswith(CONNACK):
        return f"who answers at port {port} does not speak MQTT"
    return f"it refuses the user {user} (code {answer[3]})" if answer[3] and user else ""


def connect(user: str, password: str) -> bytes:
    """The packet of a client without a name of its own."""
    flags = CLEAN_SESSION | (WITH_USER | WITH_PASSWORD if user else 0)
    body = word("MQTT") + struct.pack(">BBH", 4, flags, KEEP_ALIVE_S) + word("")
    body += word(user) + word(password) if user else b""
    return bytes([CONNECT]) + length(len(body)) + body


def word(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def length(count: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    return bytes([count]) if count < 0x80 else bytes([count & 0x7F | 0x80]) + length(count >> 7)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
