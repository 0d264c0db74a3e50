# SPDX-License-Identifier: Apache-2.0
"""One line of figures for each camera, and one for an engine, the heat, a broker or another part with news."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from visavis.loopback import get

if TYPE_CHECKING:  # it needs packages, without which updates must work
    from visavis.config_gen import Web

TIMEOUT_S = 1.0
EVERYWHERE = ("", "0.0.0.0", "[::]")  # noqa: S104 - nothing is bound here


def page_address(web: Web) -> str:
    """Where this machine reaches the page of a daemon, which may listen at every address."""
    host, _, port = web.listen.rpartition(":")
    here = f"127.0.0.1:{port}" if host in EVERYWHERE else web.listen
    return f"{'https' if web.https else 'http'}://{here}/"


def figures(address: str, token: str = "") -> list[str]:
    """One line a camera, or none while the daemon does not answer yet.

    Args:
        address: of the page, as `page_address` gives it.
        token: of somebody who may see all cameras, where logins are wanted.
    """
    status = daemon_status(address, token)
    if status is None:
        return []
    cameras = [camera_line(camera) for camera in status["cameras"]]
    others = [*engine_lines(status.get("engine")), *heat_lines(status["thermal"]), *broker_lines(status["broker"])]
    return [*cameras, *client_lines(status), *others, *part_lines(status["parts"])]


def daemon_status(address: str, token: str = "", timeout_s: float = TIMEOUT_S) -> dict[str, Any] | None:
    """The daemon's /api/v1/status, or None while it does not answer; the first arguments as for `figures`."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with get(f"{address}api/v1/status", timeout_s, headers) as answer:
            found: dict[str, Any] = json.load(answer)
    except (OSError, HTTPException, ValueError):
        return None
    return found


def camera_line(camera: dict[str, Any]) -> str:
    """`door  online  30.0 fps, inferred 29.8  2 faces  13.4 ms to MQTT (p99 19.0)  dropped 3`, or why it is lost."""
    if camera["state"] == "lost":
        return f"{camera['id']:<11} {camera['state']:<9}{camera.get('error', '')}".rstrip()
    total = camera["latency_ms"]["total"]
    dropped = sum(camera["frames"]["dropped"].values())
    faces = f"{camera['faces']:2d}" if camera["detecting"] else " –"
    return (
        f"{camera['id']:<11} {camera['state']:<9}{camera['fps']:5.1f} fps, inferred {camera['fps_inferred']:5.1f}  "
        f"{faces} faces  {total['p50']:6.1f} ms to MQTT (p99 {total['p99']:.1f})  dropped {dropped}"
    )


def client_lines(status: dict[str, Any]) -> list[str]:
    """`clients     answered 12, refused 3, 1 stream open`; nothing beside cameras while no client has come."""
    clients = status["clients"]
    if status["cameras"] and not clients["received"]:
        return []
    refused, streams = sum(clients["refused"].values()), clients["streams"]
    plural = "" if streams == 1 else "s"
    return [f"{'clients':<12}answered {clients['answered']}, refused {refused}, {streams} stream{plural} open"]


def engine_lines(engine: dict[str, Any] | None) -> list[str]:
    """`engine      building  centerface fp16  42 %  Timing layers`, or why there is none; nothing most of the time."""
    if engine is None:
        return []
    told = f"{engine['model']} {engine['precision']}  {engine['percent']} %  {engine['phase']}"
    return [f"{'engine':<12}{engine['state']:<9} {engine.get('error') or told}"]


def heat_lines(thermal: dict[str, Any]) -> list[str]:
    """`heat        81.2 °C   workers work 63 % of the time until it is cooler`; none while it is not too hot."""
    if not thermal["slowed"]:
        return []
    hot = f"{thermal['temperature_c']:.1f} °C" if "temperature_c" in thermal else "unknown"
    return [f"{'heat':<12}{hot:<9} workers work {100 * thermal['share']:.0f} % of the time until it is cooler"]


def broker_lines(broker: dict[str, Any]) -> list[str]:
    """`broker      away     connect to mqtt://...: connection refused: check mqtt.url, ...`; none while all is well."""
    if broker["connected"] or not broker.get("error"):
        return []
    return [f"{'broker':<12}{'away':<9}{broker['error']}"]


def part_lines(parts: list[dict[str, Any]]) -> list[str]:
    """`fault       history: history cannot use its disk, ...: no space left on device`; none while all is well."""
    return [f"{'fault':<12}{part['name']}: {part['error']}" for part in parts if part.get("error")]
