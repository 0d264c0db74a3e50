# SPDX-License-Identifier: Apache-2.0
"""The whole report: gathered step by step, cleaned, and written as one file that a person and a program can read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from visavis.daemon import daemon_program
from visavis.doctor import examine
from visavis.errors import VisavisError
from visavis.hardware import board, cameras, capture, inference, personal
from visavis.own_folder import own_folder

SCHEMA = 1
MARK = "----- the same for programs -----"
MOST_CAMERAS = 4
# On these boards a sensor on the ribbon cable is tried too, whether or not one is there.
WITH_RIBBON = ("raspberrypi", "nvidia,")

Say = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How long each part takes."""

    capture_s: float = 10.0
    chaos_s: float = 60.0
    rounds: int = 50
    engine: bool = True


SHORT = Plan(capture_s=3.0, chaos_s=3.0, rounds=5, engine=False)


def gather(plan: Plan, say: Say) -> dict[str, Any]:
    """Look and measure; nothing is asked and nothing is sent. What fails stands in the report, too."""
    say("looking at the board")
    found: dict[str, Any] = {"schema": SCHEMA, "board": board.board(), "system": board.system()}
    found["libraries"] = board.libraries(_daemon())
    found["doctor"] = [[one.state, one.subject, one.words] for one in examine(None)]
    found["heat_before_c"], found["free_before_mib"] = board.heat(), board.free_mib()
    found["cameras"] = cameras.cameras()
    found["engine"] = inference.engine(say) if plan.engine else {"built": False, "words": ["not asked for"]}
    found["inference"] = inference.inference(plan.rounds, say)
    with own_folder(capture.FOLDER_PREFIX) as folder:
        sources = _sources(found["cameras"], found["board"]["compatible"])
        found["capture"] = capture.measured(folder, sources, say, capture_s=plan.capture_s, chaos_s=plan.chaos_s)
    found["heat_after_c"], found["free_after_mib"] = board.heat(), board.free_mib()
    return found


def cleaned(found: dict[str, Any]) -> dict[str, Any]:
    """Without names, addresses and serial numbers. Versions of packages look like addresses and stay."""
    clean: dict[str, Any] = personal.without(found, personal.names())
    clean["system"]["packages"] = found["system"]["packages"]
    return clean


def written(found: dict[str, Any]) -> str:
    """The file's text: lines for people first, then JSON."""
    return "\n".join([*lines(found), "", MARK, json.dumps(found, indent=1, ensure_ascii=False), ""])


def lines(found: dict[str, Any]) -> list[str]:
    """What a person wants to know first."""
    about, system, libraries = found["board"], found["system"], found["libraries"]
    return [
        f"visavis hardware report, {time.strftime('%Y-%m-%d')}",
        "",
        f"board        {about['model']}, {about['processor']}, {about['cores']} cores, {about['memory_mib']} MiB",
        f"system       {system['os']}, Linux {system['kernel']}, pages of {system['page_bytes']} bytes",
        f"versions     visavis {system['visavis']}, Python {system['python']}, "
        + ", ".join(f"{name} {version}" for name, version in system["packages"].items()),
        f"OpenCV       {', '.join(libraries['opencv']) or 'not found'}; GStreamer "
        + ("yes" if libraries["opencv_uses_gstreamer"] else "no"),
        *(f"elements     {name}: {'there' if there else 'missing'}" for name, there in libraries["gstreamer"].items()),
        *(_camera_line(one) for one in found["cameras"]),
        *(inference_line(one) for one in found["inference"]),
        f"engine       {'built in ' + str(found['engine']['seconds']) + ' s' if found['engine']['built'] else 'none'}",
        *capture_lines(found["capture"]),
        f"heat         {_degrees(found['heat_before_c'])} before, {_degrees(found['heat_after_c'])} after",
        f"free memory  {found['free_before_mib']} MiB before, {found['free_after_mib']} MiB after",
    ]


def _camera_line(camera: dict[str, Any]) -> str:
    if "error" in camera:
        return f"camera       {camera['node']}: {camera['error']}"
    formats = ", ".join(f"{name} {' '.join(sizes)}" for name, sizes in camera["formats"].items())
    return f"camera       {camera['node']} {camera['card']} ({camera['driver']}): {formats}"


def inference_line(one: dict[str, Any]) -> str:
    """How long the model takes in a backend and precision, or why it does not run there."""
    took = f"{one['ms_p50']} ms (p95 {one['ms_p95']})" if "ms_p50" in one else one["error"]
    return f"inference    {one['backend']} {one['precision']} {one['input'][0]}x{one['input'][1]}: {took}"


def capture_lines(found: dict[str, Any]) -> list[str]:
    """What came of each camera, and what it took."""
    if "error" in found:
        return [f"capture      {found['error']}"]
    cameras = [
        f"capture      {name}: {one['state']} {one['size']}, {one['fps']} fps, inferred {one['fps_inferred']}, "
        f"hand-off {one['handoff_ms_p50']} ms {one['error']}".rstrip()
        for name, one in found["cameras"].items()
    ]
    return [
        *cameras,
        f"memory       {', '.join(f'{name} {mib} MiB' for name, mib in found['memory_mib'].items())}",
        f"hand-off     {found['handoff_to_stream']} of a unix socket's time",
        *([_kills_line(found["kills"])] if "kills" in found else []),
    ]


def _kills_line(kills: dict[str, Any]) -> str:
    if not kills["kills"]:
        return "kills        NONE: no worker was found, so nothing is known of recovery"
    return (
        f"kills        {kills['kills']}, {kills['without_recovery']} without recovery, "
        f"longest {kills['recovery_s_most']} s, frames {'add up' if kills['adds_up'] else 'DO NOT ADD UP'}"
    )


def _degrees(zones: dict[str, float]) -> str:
    return f"{max(zones.values()):.1f} °C" if zones else "unknown"


def _daemon() -> str:
    try:
        return daemon_program()
    except VisavisError:
        return "visavis-capture"  # `doctor` says in the same report that it is missing


def _sources(found: list[dict[str, Any]], compatible: list[str]) -> dict[str, str]:
    usable = [one["node"] for one in found if one.get("formats")]
    sources = {Path(node).name: f"v4l2:{node}" for node in usable[:MOST_CAMERAS]}
    if any(word.startswith(WITH_RIBBON) for word in compatible):
        sources["csi0"] = "csi:0"
    return sources
