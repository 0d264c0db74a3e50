# SPDX-License-Identifier: Apache-2.0
"""What a model file is, by its inputs and outputs: one that no manifest knows, or one that a manifest describes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from visavis.errors import ModelError
from visavis.families import FAMILIES, recognised
from visavis.models.inspection import described, inspected, outputs_of, picture_input, shape_of
from visavis.models.manifest import Entry


def checked_against(entry: Entry, content: bytes, name: str) -> None:
    """Refuse a file whose input or outputs are not those that the manifest names.

    Raises:
        ModelError: they are not, or the file is refused for other reasons.
    """
    model = inspected(content, name)
    for what, found, named in (
        ("input", list(shape_of(picture_input(model))), entry.input),
        ("outputs", {key: list(shape) for key, shape in outputs_of(model).items()}, entry.outputs),
    ):
        if found != named:
            raise ModelError(f"model {name} is refused, its {what} {found} should be {named}", "fetch it again")


def identified(content: bytes, path: Path, family: str = "") -> Entry:
    """Describe a file as the manifest would.

    Args:
        content: the whole file.
        path: for errors.
        family: the family that it must be of; empty to recognise it.

    Raises:
        ModelError: the file is refused, or its outputs are of no family, or not of the one asked for.
    """
    model = inspected(content, str(path))
    outputs = outputs_of(model)
    wanted = {family: FAMILIES[family]} if family else FAMILIES
    found = recognised(outputs)
    if found is None or found.name not in wanted:
        forms = "; ".join(f"{name}, {one.form}" for name, one in wanted.items())
        kind = family or "model of a known family"
        raise ModelError(f"{path} is not a {kind}, it has outputs {described(outputs)}", f"wanted is {forms}")
    return Entry(
        family=found.name,
        licence="unknown",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        input=list(shape_of(picture_input(model))),
        outputs={name: list(shape) for name, shape in outputs.items()},
    )
