# SPDX-License-Identifier: Apache-2.0
"""A password as mosquitto 2 keeps it, the same at each run so that nothing changes when nothing has changed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

# mosquitto_passwd itself takes 101; each connection of a device costs so many.
ITERATIONS = 20_000
SALT_BYTES = 12


def mosquitto_password(password: str, user: str, place: str) -> str:
    """What follows the colon in mosquitto's password file: PBKDF2 with SHA-512.

    A salt has to differ between users and brokers, and need not be secret: it is made of both names.
    """
    salt = hashlib.sha256(f"visavis\0{place}\0{user}".encode()).digest()[:SALT_BYTES]
    hashed = hashlib.pbkdf2_hmac("sha512", str(password).encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}"


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """The filters by their names in templates."""
        return {"mosquitto_password": mosquitto_password}
