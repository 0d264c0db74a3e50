# SPDX-License-Identifier: Apache-2.0
"""What the role's tasks and templates cannot say themselves: settings as TOML, and what a device tells of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 (nothing is opened here)


def visavis_toml(value: Any) -> str:
    """A value as TOML writes it: numbers, truth, text, lists and inline tables.

    Raises:
        ValueError: there is no such thing in TOML.
    """
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {visavis_toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(visavis_toml(one) for one in value) + "]"
    if value is None or not isinstance(value, (bool, int, float, str)):
        raise ValueError(f"{value!r} cannot be written in TOML: give it a value or leave the setting out")
    return _as_json(value)


def visavis_page(settings: Mapping[str, Any]) -> str:
    """Where a device with these settings has its page, as seen from itself."""
    web = settings.get("web") or {}
    host, _, port = str(web.get("listen", "127.0.0.1:8080")).rpartition(":")
    scheme = "https" if web.get("https") or web.get("cert") else "http"
    return f"{scheme}://{ANY_ADDRESS.get(host, host)}:{port}"


def visavis_handed_secrets(unit: str, store: str) -> list[str]:
    """Names of the secrets in folder `store` that a unit file hands over as credentials of the same name."""
    return re.findall(rf"^LoadCredential=([^:/\n]+):{re.escape(store)}/\1$", unit, re.MULTILINE)


def visavis_named_secrets(config: str) -> list[str]:
    """Names of the credentials that a configuration reads."""
    return re.findall(r'"credential:([^"]+)"', config)


def visavis_unaccounted(cameras: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of the cameras in a device's status that have captured frames of which nothing else is told."""
    told = {one["id"]: one["frames"] for one in cameras}
    return [
        name
        for name, frames in told.items()
        if frames["captured"] != frames["inferred"] + frames["in_flight"] + sum(frames["dropped"].values())
    ]


def _key(name: Any) -> str:
    return str(name) if BARE_KEY.fullmatch(str(name)) else _as_json(str(name))


def _as_json(value: bool | float | str) -> str:
    """What JSON writes is TOML too, as long as no character is written as two halves or, DEL, as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by their names in templates."""
        return {
            "visavis_toml": visavis_toml,
            "visavis_page": visavis_page,
            "visavis_key": _key,
            "visavis_handed_secrets": visavis_handed_secrets,
            "visavis_named_secrets": visavis_named_secrets,
            "visavis_unaccounted": visavis_unaccounted,
        }
