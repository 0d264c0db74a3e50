# SPDX-License-Identifier: Apache-2.0
"""The store in which UEFI firmware of QEMU keeps its variables, for what other firmware would write there."""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

AUTHENTICATED = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
STORE, HEADER = struct.Struct("<16sIBBHI"), struct.Struct("<HBBIQ16sIII16s")
STARTS, ADDED = 0x55AA, 0x3F
LASTING = 7  # kept over restarts, for the firmware and for the system


def put(store: Path, name: str, vendor: str, value: bytes) -> None:
    """Write a variable, or give it another value of the same length."""
    content = bytearray(store.read_bytes())
    (length,) = struct.unpack_from("<H", content, 48)  # of the header of the volume in which the store lies
    guid, *_ = STORE.unpack_from(content, length)
    assert uuid.UUID(bytes_le=guid) == AUTHENTICATED, f"{store} holds no variables as they are known here"
    encoded, owner = f"{name}\0".encode("utf-16-le"), uuid.UUID(vendor).bytes_le
    at = length + STORE.size
    while struct.unpack_from("<H", content, at)[0] == STARTS:
        _, state, *_, name_size, size, its_owner = HEADER.unpack_from(content, at)
        value_at = at + HEADER.size + name_size
        if state == ADDED and its_owner == owner and content[at + HEADER.size : value_at] == encoded:
            assert size == len(value)
            break
        at = (value_at + size + 3) & ~3
    else:
        head = HEADER.pack(STARTS, ADDED, 0, LASTING, 0, bytes(16), 0, len(encoded), len(value), owner)
        content[at : at + len(head) + len(encoded)] = head + encoded
        value_at = at + len(head) + len(encoded)
    content[value_at : value_at + len(value)] = value
    store.write_bytes(content)
