# SPDX-License-Identifier: Apache-2.0
"""As much of protobuf's wire format as four small messages need.

Written here because the alternative costs more: the package protobuf, with generated code that works with one of its
major versions only. https://protobuf.dev/programming-guides/encoding is the whole specification.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_VARINT_BYTES = 10
WIDTH = {FIXED64: 8, FIXED32: 4}


class Malformed(ValueError):
    """These bytes are no message."""


def varint(value: int) -> bytes:
    """Encode a number; a negative one takes ten bytes."""
    value &= 2**64 - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def head(number: int, length: int) -> bytes:
    """What stands before `length` bytes of field `number`."""
    return varint(number << 3 | BYTES) + varint(length)


def field(number: int, content: bytes | str) -> bytes:
    """Encode a string, bytes or a message as field `number`."""
    raw = content.encode() if isinstance(content, str) else content
    return head(number, len(raw)) + raw


def numbers(number: int, values: Sequence[int]) -> bytes:
    """Encode a list of whole numbers as field `number`."""
    return field(number, b"".join(map(varint, values)))


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number and value: an int for a varint, else the bytes.

    Raises:
        Malformed: the bytes are no message.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        length, at = _varint(message, at) if kind == BYTES else (WIDTH.get(kind), at)
        if length is None or at + length > len(message):
            raise Malformed(f"a field of kind {kind} ends behind the message")
        yield tag >> 3, message[at : at + length]
        at += length


def signed(values: Sequence[int | memoryview]) -> list[int]:
    """The whole numbers of a repeated int64 field, packed or not.

    Raises:
        Malformed: the bytes are no numbers.
    """
    found: list[int] = []
    for value in values:
        at = 0
        if isinstance(value, int):
            found.append(value)
            continue
        while at < len(value):
            one, at = _varint(value, at)
            found.append(one)
    return [one - 2**64 if one >= 2**63 else one for one in found]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for position, byte in enumerate(message[at : at + MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return value & (2**64 - 1), at + position + 1
    raise Malformed("a number does not end")
