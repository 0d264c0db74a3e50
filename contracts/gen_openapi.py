# SPDX-License-Identifier: Apache-2.0
"""From schemas/: the schemas that /openapi.json refers to, as Go embeds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Schemas of what is sent over HTTP and its WebSockets.
SERVED = ("cameras", "detected", "detections", "event", "problem", "pushed", "status")
# What a file says about itself; inside another document an $id would change where references lead.
OF_A_FILE = ("$schema", "$id", "$comment")

GO = """\
// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/schemas by contracts/generate.py. DO NOT EDIT.

package web

// answerSchemas are components/schemas of the OpenAPI document.
const answerSchemas = `{{
{members}
}}`
"""


def outputs(root: Path) -> dict[Path, str | bytes]:
    """The generated file and its text, not yet formatted."""
    schemas = {name: _schema(root / "contracts" / "schemas" / f"{name}.schema.json") for name in SERVED}
    schemas["camera"] = _taken_out(schemas["cameras"]["properties"]["cameras"], "camera")
    members = ",\n".join(f"{json.dumps(name)}: {json.dumps(schemas[name])}" for name in sorted(schemas))
    if "`" in members:
        raise ValueError("contracts/schemas: a backtick would end the string in Go; use other quotes")
    return {root / "go-capture/internal/web/schemas_gen.go": GO.format(members=members)}


def _schema(path: Path) -> dict[str, Any]:
    return {key: value for key, value in json.loads(path.read_text()).items() if key not in OF_A_FILE}


def _taken_out(array: dict[str, Any], name: str) -> dict[str, Any]:
    """The items of an array, which refers to them from now on: one of them is answered too."""
    items: dict[str, Any] = array["items"]
    array["items"] = {"$ref": f"#/components/schemas/{name}"}
    return items
