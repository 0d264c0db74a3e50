# SPDX-License-Identifier: Apache-2.0
"""How many parts an ONNX file has, told from its bytes before it is parsed: each may be two bytes and takes a hundred.

Of protobuf's encoding (https://protobuf.dev/programming-guides/encoding) no more than it takes to walk through it.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
# By numbers of onnx.proto's fields: graph of a model, nodes of a graph, attributes of a node, weights of a graph.
INSIDE: dict[tuple[int, ...], tuple[int, ...]] = {(): (7,), (7,): (1, 5), (7, 1): (5,), (7, 1, 5): (), (7, 5): ()}


class Odd(ValueError):
    """This is not protobuf."""


def counted(content: bytes, most: int) -> int:
    """Count the parts of an ONNX file, and stop above `most`.

    Raises:
        Odd: it cannot be walked through.
    """
    count = 0
    waiting: list[tuple[tuple[int, ...], int, int]] = [((), 0, len(content))]
    while waiting:
        path, start, end = waiting.pop()
        for number, kind, begin, stop in _fields(content, start, end):
            count += 1
            if count > most:
                return count
            if kind == LENGTH and number in INSIDE[path]:
                waiting.append(((*path, number), begin, stop))
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
