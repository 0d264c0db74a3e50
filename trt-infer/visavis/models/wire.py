# SPDX-License-Identifier: Apache-2.0
"""How many parts an ONNX file has, told from its bytes before it is parsed: each may be two bytes and takes a hundred.

Of protobuf's encoding (https://protobuf.dev/programming-guides/encoding) no more than it takes to walk through it.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
# The messages of onnx.proto that hold others: by the numbers of their fields, what these are.
TENSOR, VALUE, ENTRY, SPARSE = "tensor", "value", "entry", "sparse"
MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: ENTRY, 14: ENTRY, 20: "training", 25: "function", 26: ENTRY},
    "training": {1: "graph", 2: "graph", 3: ENTRY, 4: ENTRY},
    "function": {7: "node", 9: ENTRY, 11: "attribute", 12: VALUE, 14: ENTRY},
    "graph": {1: "node", 5: TENSOR, 11: VALUE, 12: VALUE, 13: VALUE, 14: "annotation", 15: SPARSE, 16: ENTRY},
    "node": {5: "attribute", 9: ENTRY, 10: "placement"},
    "placement": {2: "sharding"},
    "sharding": {3: ENTRY, 4: "sharded"},
    "sharded": {2: ENTRY},
    "attribute": {5: TENSOR, 6: "graph", 10: TENSOR, 11: "graph", 14: "type", 15: "type", 22: SPARSE, 23: SPARSE},
    "annotation": {2: ENTRY},
    SPARSE: {1: TENSOR, 2: TENSOR},
    TENSOR: {3: ENTRY, 13: ENTRY, 16: ENTRY},
    VALUE: {2: "type", 4: ENTRY},
    "type": {1: "of_tensor", 4: "of_one", 5: "of_two", 7: ENTRY, 8: "of_tensor", 9: "of_one"},
    "of_tensor": {2: "shape"},
    "of_one": {1: "type"},
    "of_two": {2: "type"},
    "shape": {1: ENTRY},
    ENTRY: {},
}


class Odd(ValueError):
    """This is not protobuf."""


def counted(content: bytes, most: int) -> int:
    """Count the parts of an ONNX file, and stop above `most`.

    Raises:
        Odd: it cannot be walked through.
    """
    count = 0
    waiting = [("model", 0, len(content))]
    while waiting:
        message, start, end = waiting.pop()
        for number, kind, begin, stop in _fields(content, start, end):
            count += 1
            if count > most:
                return count
            if kind == LENGTH and number in MESSAGES[message]:
                waiting.append((MESSAGES[message][number], begin, stop))
    return count


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, kind, and from where to where its value is, of each field."""
    while at < end:
        tag, at = _varint(content, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            begin, (_, stop) = at, _varint(content, at, end)
        elif kind == LENGTH:
            length, begin = _varint(content, at, end)
            stop = begin + length
        elif kind in FIXED:
            begin, stop = at, at + FIXED[kind]
        else:
            raise Odd(f"a field of kind {kind}")
        if stop > end:
            raise Odd("a field that ends behind what it is part of")
        yield number, kind, begin, stop
        at = stop


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise Odd("a number that does not end")
