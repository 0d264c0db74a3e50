# SPDX-License-Identifier: Apache-2.0
"""What schemathesis cannot know about this device: its cameras, what a picture is, and that some answers never end.

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS), in a process of its own.
"""

from __future__ import annotations

import base64
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import HookContext

from tests.e2e.bombs import photo

CAMERAS = ["door", "robot"]
PICTURES = {
    "image/jpeg": photo(".jpg", width=320, height=240),
    "image/png": photo(".png", width=320, height=240),
    "image/webp": photo(".webp", width=320, height=240),
}
# The longest of all to try, and the same handler as without a version.
TRIED_ALREADY = "/v2/models/{model}/versions/{version}/infer"
ENDLESS = "multipart/x-mixed-replace"
FIRST_BYTES = 8  # of the first boundary: a camera may have no picture


def pictures(kind: str) -> st.SearchStrategy[bytes]:
    """Whole pictures, their beginnings, and anything."""
    whole = PICTURES[kind]
    cut = st.integers(0, len(whole)).map(lambda length: whole[:length])
    return st.one_of(st.just(whole), cut, st.binary(max_size=512))


for kind in PICTURES:
    schemathesis.openapi.media_type(kind, pictures(kind))


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Name the cameras that there are, and give JSON a real picture: otherwise all would be 404 and 422."""
    del raw_schema["paths"][TRIED_ALREADY]
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if (parameter["in"], parameter["name"]) == ("path", "id"):
                    parameter["schema"] = {"enum": CAMERAS}
    picture = base64.b64encode(PICTURES["image/jpeg"]).decode()
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [picture]}
    for path, example in (("detect", {"image": picture}), ("infer", {"inputs": [image]})):
        for operations in (found for route, found in raw_schema["paths"].items() if route.endswith(f"/{path}")):
            operations["post"]["requestBody"]["content"]["application/json"]["example"] = example


@schemathesis.hook
def before_call(context: HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    kwargs["hooks"] = {"response": only_the_beginning}


def only_the_beginning(response: requests.Response, **_: Any) -> None:
    """Read as much of an answer without end as shows that it has begun."""
    if not response.headers.get("Content-Type", "").startswith(ENDLESS):
        return
    response._content = response.raw.read(FIRST_BYTES)
    response.close()
