# SPDX-License-Identifier: Apache-2.0
"""Plays the scripted scenes to the trackers of the package `trackers`. Runs in the folder of tracks.py's own making.

Reads scenes as `trackscenes -print` writes them; writes {tracker: {scene: [[number of each box] of each frame]}}, where
0 is none.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import supervision as sv
import trackers

# Each as its authors set it, but told what ours is told: the rate, three frames to confirm, a second until lost, and
# that boxes are sure from 0.5 on.
TOLD = {"lost_track_buffer": 30, "minimum_consecutive_frames": 3}
SURE = {"track_activation_threshold": 0.5, "high_conf_det_threshold": 0.5}
RIVALS: dict[str, Any] = {
    "SORT": lambda fps: trackers.SORTTracker(frame_rate=fps, track_activation_threshold=0.5, **TOLD),
    "ByteTrack": lambda fps: trackers.ByteTrackTracker(frame_rate=fps, **TOLD, **SURE),
    "OC-SORT": lambda fps: trackers.OCSORTTracker(frame_rate=fps, high_conf_det_threshold=0.5, **TOLD),
    "C-BIoU": lambda fps: trackers.CBIoUTracker(frame_rate=fps, **TOLD, **SURE),
    "BoT-SORT": lambda fps: trackers.BoTSORTTracker(frame_rate=fps, enable_cmc=False, **TOLD, **SURE),
}


def play(tracker: Any, scene: dict[str, Any]) -> list[list[int]]:
    """The numbers that a tracker gives to all boxes of a scene."""
    answers = []
    for frame in scene["frames"]:
        boxes = np.array(frame["boxes"], dtype=np.float32).reshape(-1, 5)
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1)
        seen = sv.Detections(xyxy=corners, confidence=boxes[:, 4], data={"index": np.arange(len(boxes))})
        answers.append(numbers(tracker.update(seen, timestamp=frame["seconds"]), len(boxes)))
    return answers


def numbers(found: Any, boxes: int) -> list[int]:
    """One number for each box in the order they were given; their trackers begin at 0, ours at 1."""
    given = [0] * boxes
    if len(found):
        for index, number in zip(found.data["index"], found.tracker_id, strict=True):
            given[int(index)] = max(int(number) + 1, 0)
    return given


def main() -> None:
    """Play every scene to every rival."""
    scenes = [json.loads(line) for line in sys.stdin]
    frames = sum(len(scene["frames"]) for scene in scenes)
    answers = {}
    for name, make in RIVALS.items():
        began = time.perf_counter()
        answers[name] = {scene["name"]: play(make(scene["fps"]), scene) for scene in scenes}
        print(f"{name}: {(time.perf_counter() - began) / frames * 1e3:.2f} ms a frame", file=sys.stderr)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
