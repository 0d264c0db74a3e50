# SPDX-License-Identifier: Apache-2.0
"""Real mosquittos for tests: one that takes everybody, one that wants a password."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import until

USER, PASSWORD = "visavis", "right"


@contextmanager
def mosquitto(
    folder: Path, port: int, *, password: str = "", tls: bool = False, more: Sequence[str] = ()
) -> Iterator[None]:
    """Run one on loopback while the block runs.

    Args:
        folder: for its files; with `tls`, broker.pem in it is the certificate that a client must trust.
        port: where it listens.
        password: USER's, and nobody else comes in; "" lets everybody in.
        tls: it speaks TLS.
        more: further lines of its configuration.
    """
    # As root where we are root: the user mosquitto may not look into our folder.
    lines = ["user root", f"listener {port} 127.0.0.1", f"allow_anonymous {str(not password).lower()}"]
    if password:
        passwords = folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), USER, password], check=True)
        lines.append(f"password_file {passwords}")
    if tls:
        lines += certificate(folder)
    lines += more
    config = folder / "mosquitto.conf"
    config.write_text("\n".join(lines) + "\n")
    command = ["/usr/sbin/mosquitto", "-c", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: is_open(port), "mosquitto does not listen")
            yield
        finally:
            end_mosquitto(process)


def end_mosquitto(process: subprocess.Popen[Any]) -> None:
    """End a mosquitto in order. It forgets what it is told in the midst of its start, so it is told until it hears."""

    def ended() -> bool:
        process.terminate()
        return process.poll() is not None

    until(ended, "mosquitto does not end")


def certificate(folder: Path) -> list[str]:
    """Make the broker's certificate; the lines of mosquitto's configuration that name it."""
    key, pem = folder / "broker.key", folder / "broker.pem"
    self_signed(pem, key)
    return [f"certfile {pem}", f"keyfile {key}"]


def self_signed(pem: Path, key: Path) -> None:
    """Make a certificate for 127.0.0.1 that signs itself, and its key."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={pem.stem}", "-days", "2"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(pem)]
    subprocess.run(command, check=True, capture_output=True)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def publish(port: int, topic: str, payload: str, *words: str) -> None:
    """Send one message with the real mosquitto_pub."""
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-t", topic, "-m", payload, *words]
    subprocess.run(command, check=True)
