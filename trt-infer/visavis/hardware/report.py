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
from visavis.doctor import examine, limits
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
    found: dict[str, Any] = {"schema": SCHEMA, "board": tried(board.board), "system": tried(board.system)}
    found["libraries"] = tried(lambda: board.libraries(_daemon()))
    found["strain_before"] = tried(board.strain)
    say("looking at what visavis needs")
    found["doctor"] = tried(_findings)
    say("looking at cameras")
    found["cameras"] = tried(cameras.cameras)
    unasked = {"built": False, "words": ["not asked for"]}
    found["engine"] = tried(lambda: inference.engine(say)) if plan.engine else unasked
    found["inference"] = tried(lambda: inference.inference(plan.rounds, say))
    found["capture"] = tried(lambda: _captured(plan, say, found))
    found["strain_after"] = tried(board.strain)
    return found


def tried(step: Callable[[], Any]) -> Any:
    """What a step finds, or what is wrong with it: the others are of use without it."""
    try:
        return step()
    except (OSError, ValueError, LookupError, EOFError, ImportError, VisavisError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _findings() -> list[list[str]]:
    return [[one.state, one.subject, one.words] for one in (*examine(None), limits())]


def _captured(plan: Plan, say: Say, found: dict[str, Any]) -> dict[str, Any]:
    seen = found["cameras"] if isinstance(found["cameras"], list) else []
    sources = _sources(seen, found["board"].get("compatible", []))
    with own_folder(capture.FOLDER_PREFIX) as folder:
        return capture.measured(folder, sources, say, capture_s=plan.capture_s, chaos_s=plan.chaos_s)


def cleaned(found: dict[str, Any]) -> dict[str, Any]:
    """Without names, addresses and serial numbers. Versions look like addresses, and boards like users: they stay."""
    clean: dict[str, Any] = personal.without(found, personal.names())
    for part, name in (("system", "packages"), ("board", "compatible"), ("board", "model")):
        if name in found[part]:
            clean[part][name] = found[part][name]
    return clean


def written(found: dict[str, Any]) -> str:
    """The file's text: lines for people first, then JSON."""
    return "\n".join([*lines(found), "", MARK, json.dumps(found, indent=1, ensure_ascii=False), ""])


def lines(found: dict[str, Any]) -> list[str]:
    """What a person wants to know first."""
    parts: dict[str, Callable[[Any], list[str]]] = {
        "board": _board_lines,
        "system": _system_lines,
        "libraries": _libraries_lines,
        "cameras": lambda all_of_them: [_camera_line(one) for one in all_of_them],
        "inference": lambda ways: [inference_line(one) for one in ways],
        "engine": lambda one: [f"engine       {'built in ' + str(one['seconds']) + ' s' if one['built'] else 'none'}"],
        "capture": capture_lines,
    }
    told = [line for name, lines_of in parts.items() for line in _told(name, found[name], lines_of)]
    return [f"visavis hardware report, {time.strftime('%Y-%m-%d')}", "", *told, *_strain_lines(found)]


def _told(name: str, part: Any, lines_of: Callable[[Any], list[str]]) -> list[str]:
    return [f"{name:<12} {part['error']}"] if isinstance(part, dict) and "error" in part else lines_of(part)


def _board_lines(about: dict[str, Any]) -> list[str]:
    words = f"{about['model']}, {about['processor']}, {about['cores']} cores, {about['memory_mib']} MiB"
    return [f"board        {words}"]


def _system_lines(system: dict[str, Any]) -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in system["packages"].items())
    return [
        f"system       {system['os']}, Linux {system['kernel']}, pages of {system['page_bytes']} bytes",
        f"versions     visavis {system['visavis']}, Python {system['python']}, {packages}",
    ]


def _libraries_lines(libraries: dict[str, Any]) -> list[str]:
    there = {True: "there", False: "missing", None: "not known, it takes too long to say"}
    gstreamer = "yes" if libraries["opencv_uses_gstreamer"] else "no"
    return [
        f"OpenCV       {', '.join(libraries['opencv']) or 'not found'}; GStreamer {gstreamer}",
        *(f"elements     {name}: {there[is_there]}" for name, is_there in libraries["gstreamer"].items()),
    ]


def _camera_line(camera: dict[str, Any]) -> str:
    if "error" in camera:
        return f"camera       {camera['node']}: {camera['error']}"
    about = f"camera       {camera['node']} {camera['card']} ({camera['driver']})"
    if camera["part"]:
        return f"{about}: a part of the image processor, not read by itself"
    formats = ", ".join(f"{name} {' '.join(sizes)}" for name, sizes in camera["formats"].items())
    return f"{about}: {formats}"


def _strain_lines(found: dict[str, Any]) -> list[str]:
    """The board before, at the end of the load, and after."""
    during = found["capture"].get("strain")
    looks = {"before": found["strain_before"], "under load": during, "after": found["strain_after"]}
    whole = {when: one for when, one in looks.items() if one and "error" not in one}
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "heat": lambda one: _degrees(one["heat_c"]),
        "clocks": lambda one: f"{max(one['mhz'], default='?')} MHz",
        "throttled": lambda one: one["throttled"],
        "free memory": lambda one: f"{one['free_mib']} MiB",
    }
    return [
        f"{name:<12} {', '.join(f'{words(one)} {when}' for when, one in whole.items())}" for name, words in rows.items()
    ]


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
    usable = [one["node"] for one in found if one.get("formats") and not one["part"]]
    sources = {Path(node).name: f"v4l2:{node}" for node in usable[:MOST_CAMERAS]}
    if any(word.startswith(WITH_RIBBON) for word in compatible):
        sources["csi0"] = "csi:0"
    return sources
