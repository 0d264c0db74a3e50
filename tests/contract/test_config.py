# SPDX-License-Identifier: Apache-2.0
"""Settings, topics and payloads as Python sees them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from visavis import config_gen, topics_gen
from visavis.config_gen import Config

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_FILES = sorted((ROOT / "contracts/schemas").glob("*.json"))
SCHEMAS = {path.name.split(".")[0]: json.loads(path.read_text()) for path in SCHEMA_FILES}
GOLDEN = (ROOT / "contracts/config-golden/effective.json").read_bytes()
STAGES: dict[str, Any] = {"capture": 0.4, "queue": 0.9, "handoff": 0.1, "infer": 11.8, "publish": 0.2, "total": 13.4}
CORNERS = [[0.1, 0.2], [0.9, 0.2], [0.9, 0.9]]
DROPPED: dict[str, Any] = {"superseded": 3, "no_slot": 0, "aborted": 0, "abandoned": 0}
FACE: dict[str, Any] = {
    "box": [412.0, 80.5, 96.2, 121.7],
    "score": 0.97,
    "landmarks": [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]],
}
FOR_HOME: dict[str, Any] = {
    "device": {
        "identifiers": ["visavis_porch"],
        "name": "porch", "manufacturer": "visavis", "model": "visavis", "sw_version": "1",
    },
    "origin": {"name": "visavis", "sw_version": "1"},
    "availability": [{"topic": "visavis/porch/status"}],
    "availability_mode": "all",
    "qos": 1,
}  # fmt: skip
FACES_FOR_HOME = {
    "unique_id": "visavis/porch/door_faces",
    "default_entity_id": "sensor.porch_door_faces",
    "name": "door faces",
    "state_topic": "visavis/porch/door/faces",
}
FRIGATE_LOOK: dict[str, Any] = {"box": [10, 20, 41, 61], "area": 1271, "region": [0, 0, 640, 480], "score": 0.8}
FRIGATE_OBJECT: dict[str, Any] = {
    **FRIGATE_LOOK,
    "id": "1795550400.123000-w2y6r1",
    "camera": "door",
    "frame_time": 1795550400.5,
    "snapshot": FRIGATE_LOOK | {"frame_time": 1795550400.5, "attributes": []},
    "label": "face",
    "sub_label": None,
    "top_score": 0.8,
    "false_positive": False,
    "start_time": 1795550400.123,
    "end_time": None,
    "ratio": 0.76,
    "current_zones": ["step"],
    "entered_zones": ["step"],
    "thumbnail": None,
    "has_snapshot": True,
    "has_clip": False,
    "active": True,
    "stationary": False,
    "motionless_count": 0,
    "position_changes": 0,
    "attributes": {},
    "current_attributes": [],
    "current_estimated_speed": 0,
    "average_estimated_speed": 0,
    "velocity_angle": 0,
    "recognized_license_plate": None,
    "recognized_license_plate_score": None,
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "frigate_event": {"type": "new", "before": FRIGATE_OBJECT, "after": FRIGATE_OBJECT},
    "frigate_stats": {
        "cameras": {
            "door": {
                "camera_fps": 30.0,
                "process_fps": 20.0,
                "skipped_fps": 10.0,
                "detection_fps": 20.0,
                "detection_enabled": True,
                "pid": 7,
                "capture_pid": 7,
            }
        },
        "detectors": {"visavis": {"inference_speed": 11.8, "detection_start": 0, "pid": 7}},
        "detection_fps": 20.0,
        "cpu_usages": {},
        "gpu_usages": {},
        "processes": {},
        "service": {
            "uptime": 60,
            "version": "0.1.0",
            "latest_version": "0.1.0",
            "storage": {},
            "temperatures": {"hottest": 48.5},
            "last_updated": 1795550400,
        },
    },
    "detections": {
        "schema": 1,
        "device": "porch",
        "camera": "door",
        "frame": 1234,
        "captured_at": "2026-11-24T20:00:00.123Z",
        "width": 1280,
        "height": 720,
        "model": "centerface",
        "faces": [FACE | {"track": 17}],
        "latency_ms": STAGES,
        "dropped": DROPPED,
    },
    "detected": {
        "schema": 1,
        "device": "porch",
        "frame": 7,
        "captured_at": "2026-11-24T20:00:00.123Z",
        "width": 1280,
        "height": 720,
        "model": "centerface",
        "faces": [FACE],
        "latency_ms": STAGES,
        "dropped": DROPPED,
        "dropped_frames": [5, 6],
    },
    "info": {
        "schema": 1,
        "version": "0.1.0",
        "model": "centerface",
        "backend": "onnxruntime",
        "precision": "fp32",
        "fallback": False,
        "workers": 1,
        "cameras": ["door"],
        "url": "",
        "brokers": {"mqtt": True, "mqtt_second": False},
    },
    "stats": {
        "schema": 1,
        "cameras": {
            "door": {
                "fps_captured": 30.0,
                "fps_inferred": 29.9,
                "dropped": DROPPED,
                "latency_ms_p50": STAGES,
                "latency_ms_p99": STAGES,
            }
        },
        "memory_bytes": 50_000_000,
    },
    "event": {
        "schema": 1,
        "type": "entered",
        "id": "01KAX3V8N0Q4Y7ZJ2M5R6S8T9V",
        "visit": "01KAX3V8MZQ4Y7ZJ2M5R6S8T9V",
        "camera": "door",
        "track": 17,
        "zone": "step",
        "started_at": "2026-11-24T20:00:00.123Z",
        "best": {"box": [1, 2, 3, 4], "score": 0.9},
    },
    "status": {
        "device": "porch",
        "version": "0.1.0",
        "viewers": 0,
        "workers": [
            {
                "id": 1,
                "name": "w",
                "state": "ready",
                "backend": "fake",
                "model": "centerface",
                "precision": "",
                "fallback": False,
                "frames": 9,
                "service_ms": 5.1,
                "batch": 1.0,
                "server": {"losses": 1, "local_frames": 301},
            }
        ],
        "thermal": {"temperature_c": 81.5, "slowed": True, "share": 0.63},
        "broker": {
            "enabled": True,
            "connected": True,
            "outbox": 0,
            "outbox_dropped": 0,
            "orders": {"taken": True, "obeyed": 2, "refused": {"retained": 1}},
        },
        "brokers": [{"name": "mqtt", "connected": True, "outbox": 0, "outbox_dropped": 0}],
        "parts": [{"name": "history"}, {"name": "orders", "error": "not kept: no space left on device"}],
        "clients": {
            "received": 9,
            "answered": 4,
            "refused": {
                "invalid": 1,
                "busy": 1,
                "no_worker": 0,
                "deadline": 0,
                "cancelled": 1,
                "failed": 0,
                "replaced": 0,
                "too_fast": 0,
                "stopping": 0,
            },
            "open": 2,
            "waiting": 1,
            "streams": 0,
        },
        "cameras": [
            {
                "id": "door",
                "state": "online",
                "width": 1280,
                "height": 720,
                "fps": 30.0,
                "fps_inferred": 29.9,
                "privacy": "pixelate",
                "detect": True,
                "detecting": True,
                "score": 0.5,
                "faces": 1,
                "occupied": True,
                "zones": [
                    {"name": "step", "polygon": CORNERS, "faces": 1, "occupied": True, "entered": 7, "left": 6},
                ],
                "lines": [{"name": "gate", "start": [0.5, 1], "end": [0.5, 0], "in": 4, "out": 3}],
                "frames": {"captured": 13, "inferred": 9, "in_flight": 1, "dropped": DROPPED},
                "latency_ms": {"total": {"p50": 13.4, "p99": 20.0}},
                "picture_age_ms": None,
                "picture_old_ms": 2000.0,
                "viewers": {"now": 0, "sent": 0, "dropped": 0},
            }
        ],
    },
    "cameras": {
        "cameras": [
            {
                "id": "door",
                "source": "demo:",
                "width": 1280,
                "height": 720,
                "fps": 30.0,
                "rotate": 0,
                "privacy": "blur",
                "detect_fps": 0,
                "state": "online",
                "stream": "/api/v1/cameras/door/stream.mjpeg",
                "live": "/api/v1/cameras/door/live",
                "snapshot": "/api/v1/cameras/door/snapshot.jpg",
                "zones": [
                    {"name": "step", "polygon": CORNERS, "faces": 1, "occupied": True, "entered": 7, "left": 6},
                ],
                "lines": [{"name": "gate", "start": [0.5, 1], "end": [0.5, 0], "in": 4, "out": 3}],
            }
        ]
    },
    "discovery": {
        **FOR_HOME,
        "components": {
            "door_faces": {"platform": "sensor", **FACES_FOR_HOME},
            "door_zone_step_faces": {"platform": "sensor"},
        },
    },
    "component": {**FOR_HOME, **FACES_FOR_HOME},
    "problem": {"type": "about:blank", "title": "Not ready", "status": 503, "request_id": "a-1"},
    "pushed": {"index": 4, "dropped": [2, 3], "frame": 1234},
    "detect": {"file": "a.jpg", "width": 640, "height": 480, "model": "centerface", "faces": [FACE]},
}


def accepts(name: str, payload: Any) -> bool:
    """Whether a schema takes a payload."""
    return bool(jsonschema.Draft202012Validator(SCHEMAS[name]).is_valid(payload))


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_schema_is_valid_and_takes_its_example(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    jsonschema.validate(EXAMPLES[name], SCHEMAS[name], cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_each_schema_refuses_what_it_does_not_name(name: str) -> None:
    assert not accepts(name, EXAMPLES[name] | {"colour": "red"})
    for missing in SCHEMAS[name].get("required", []):
        assert not accepts(name, {key: value for key, value in EXAMPLES[name].items() if key != missing}), missing


@pytest.mark.parametrize("name", sorted(name for name, example in EXAMPLES.items() if "schema" in example))
def test_a_payload_of_another_version_is_refused(name: str) -> None:
    assert not accepts(name, EXAMPLES[name] | {"schema": 2})


def test_a_face_without_landmarks_or_track_is_fine_and_a_box_of_three_is_not() -> None:
    payload = copy.deepcopy(EXAMPLES["detections"])
    payload["faces"] = [{"box": [1, 2, 3, 4], "score": 1}]
    assert accepts("detections", payload)
    payload["faces"][0]["box"].pop()
    assert not accepts("detections", payload)


@pytest.mark.parametrize("name", ["info", "status"])
def test_an_engine_is_told_whole_or_not_at_all(name: str) -> None:
    since = "2026-11-24T20:00:00Z"
    engine = {"state": "building", "model": "m", "precision": "fp16", "percent": 42, "phase": "Parsing", "since": since}
    assert accepts(name, EXAMPLES[name] | {"engine": engine})
    assert accepts(name, EXAMPLES[name] | {"engine": engine | {"state": "failed", "error": "no GPU"}})
    for wrong in ({"percent": 101}, {"percent": 0.5}, {"state": "ready"}, {"owner": "me"}):
        assert not accepts(name, EXAMPLES[name] | {"engine": engine | wrong})
    for missing in engine:
        rest = {key: value for key, value in engine.items() if key != missing}
        assert not accepts(name, EXAMPLES[name] | {"engine": rest}), missing


def test_home_assistant_gets_no_key_that_it_does_not_know() -> None:
    faces = EXAMPLES["discovery"]["components"]["door_faces"]
    for wrong in ({"object_id": "x"}, {"options": ["blur"]}, {"unique_id": "a door"}, {"default_entity_id": "door"}):
        assert not accepts("component", EXAMPLES["component"] | wrong), wrong
        assert not accepts("discovery", EXAMPLES["discovery"] | {"components": {"door_faces": faces | wrong}}), wrong


def test_a_file_that_cannot_be_read_is_a_line_with_an_error() -> None:
    assert accepts("detect", {"file": "a.jpg", "error": "it is not a picture"})
    assert not accepts("detect", EXAMPLES["detect"] | {"error": "both"})


def test_what_the_daemon_prints_decodes_to_the_same_settings() -> None:
    config = msgspec.json.decode(GOLDEN, type=Config)
    assert (config.device.id, config.detector.backend, config.detector.workers) == ("porch", "fake", 2)
    assert config.detector.input == (640, 480)
    door, demo = config.camera
    assert (door.id, door.size, door.fps, door.privacy) == ("door", (640, 480), 15.0, "pixelate")
    step = config_gen.Zone(
        name="step", polygon=((0.1, 0.2), (0.9, 0.2), (0.9, 0.9)), min_dwell_ms=500, off_delay_ms=10_000
    )
    assert door.zones == (step,)
    assert door.lines == (config_gen.Line(name="gate", start=(0.5, 1.0), end=(0.5, 0.0)),)
    assert door.masks[1] == ((0.9, 0.9), (1.0, 0.9), (1.0, 1.0))
    assert demo == config_gen.Camera(id="demo", source="demo:")


def test_the_daemon_prints_every_setting_and_python_knows_no_other() -> None:
    config = msgspec.json.decode(GOLDEN, type=Config)
    assert json.loads(msgspec.json.encode(config)) == json.loads(GOLDEN)


def test_a_setting_that_python_does_not_know_is_an_error() -> None:
    changed = json.loads(GOLDEN)
    changed["web"]["colour"] = "red"
    with pytest.raises(msgspec.ValidationError, match="colour"):
        msgspec.json.decode(json.dumps(changed), type=Config)


def test_topics_take_names_and_the_wildcard_of_one_level() -> None:
    assert topics_gen.detections_topic("visavis", "porch", "+") == "visavis/porch/+/detections"


@pytest.mark.parametrize("name", ["", "a/b", "#", "a+", "A", "a b", "ü", "a\n", "x" * 33])
def test_a_name_that_is_not_one_level_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one level"):
        topics_gen.faces_topic("visavis", "porch", name)
