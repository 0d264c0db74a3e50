# SPDX-License-Identifier: Apache-2.0
"""Whether TensorRT and the GPU can be used, tried in a process of its own: what fails there takes nobody else down."""

from __future__ import annotations

import sys

import msgspec

from visavis import programs

LIMIT_S = 60.0
LOOK_AT_GPU = "look at `dmesg` and `nvidia-smi`, on a Jetson at `tegrastats`"


class Answer(msgspec.Struct, frozen=True):
    """What was found; or, with `usable` False, what fails and what to do about it."""

    usable: bool
    words: str
    remedy: str = ""


def asked() -> Answer:
    """Try it; takes seconds where there is a GPU, and never longer than LIMIT_S."""
    said = programs.asked([sys.executable, "-m", __name__], LIMIT_S)
    if said.code is None:
        return Answer(usable=False, words=f"TensorRT {said.why}", remedy=LOOK_AT_GPU)
    try:
        return msgspec.json.decode(said.text, type=Answer)
    except msgspec.DecodeError:
        words = f"TensorRT takes its process down, which ended with {said.code}"
        return Answer(usable=False, words=words, remedy=LOOK_AT_GPU)


def main() -> None:
    """Print the answer."""
    from visavis.backends import tensorrt  # noqa: PLC0415 (the door to TensorRT)
    from visavis.errors import ModelError  # noqa: PLC0415

    try:
        answer = Answer(usable=True, words=tensorrt.look())
    except ModelError as error:
        answer = Answer(usable=False, words=error.sentence, remedy=error.remedy)
    print(msgspec.json.encode(answer).decode())


if __name__ == "__main__":
    main()
