# SPDX-License-Identifier: Apache-2.0
"""The generated Python agrees with the golden bytes, and the generator notices what it should."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from visavis import ring_gen

ROOT = Path(__file__).resolve().parents[2]
VECTORS = sorted((ROOT / "contracts" / "vectors").glob("*.json"))
LAYOUTS = {
    "".join(f"_{c.lower()}" if c.isupper() else c for c in layout.__name__).lstrip("_"): layout
    for layout in (*ring_gen.MESSAGES.values(), *ring_gen.MEMORY)
}


def golden(path: Path) -> tuple[dict[str, Any], bytes]:
    return json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".bin").read_bytes()


def plain(value: object) -> object:
    """Planes as the vectors write them."""
    return [plane._asdict() for plane in value] if isinstance(value, tuple) else value


def test_every_layout_has_a_vector() -> None:
    assert {json.loads(path.read_text(encoding="utf-8"))["struct"] for path in VECTORS} == set(LAYOUTS)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_a_vector_means_what_its_json_says_and_encodes_back_to_the_same_bytes(path: Path) -> None:
    meaning, raw = golden(path)
    layout = LAYOUTS[meaning["struct"]]
    decoded = layout.unpack(raw)
    fixed = {"type", "length", "magic", "detection_bytes"}
    names = set(meaning["values"]) - (fixed - set(layout.__dataclass_fields__))
    assert names
    for name in names:
        assert plain(getattr(decoded, name)) == meaning["values"][name], name
    assert decoded.pack() == raw[: layout.SIZE]


@pytest.mark.parametrize("path", [p for p in VECTORS if p.stem.startswith("result")], ids=lambda path: path.stem)
def test_detections_stand_behind_a_result_field_by_field(path: Path) -> None:
    meaning, raw = golden(path)
    found = ring_gen.detections_of(raw)
    assert len(found) == len(meaning["tail"])
    for row, want in zip(found, meaning["tail"], strict=True):
        for name, value in want.items():
            np.testing.assert_array_equal(row[name], value, err_msg=name)
    assert raw[ring_gen.Result.SIZE :] == found.tobytes()


@pytest.mark.parametrize("layout", ring_gen.MESSAGES.values(), ids=lambda layout: layout.__name__)
def test_a_wrong_length_or_type_is_refused(layout: type[ring_gen.Message]) -> None:
    raw = bytearray(next(r for m, r in map(golden, VECTORS) if LAYOUTS[m["struct"]] is layout))
    for wrong in (raw + b"\0", raw[:-1], b"\xff\xff" + raw[2:]):
        with pytest.raises(ring_gen.LayoutError):
            layout.unpack(bytes(wrong))


def test_an_unknown_message_is_refused() -> None:
    with pytest.raises(ring_gen.LayoutError, match="unknown"):
        ring_gen.decode(b"\x63\0\0\0\x08\0\0\0")


def test_text_is_cut_at_a_whole_character() -> None:
    hello = ring_gen.Hello(major=1, minor=0, lane=0, credit=1, nonce=0, name="x" * 31 + "é", model="m")
    decoded = ring_gen.Hello.unpack(hello.pack())
    assert decoded.name == "x" * 31


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The contract and what it generates, in a folder of its own."""
    root = tmp_path / "copy"
    shutil.copytree(
        ROOT / "contracts",
        root / "contracts",
        ignore=shutil.ignore_patterns(
            "__pycache__", "config*", "schemas", "[!r]*.toml", "*.proto", "secret-files.json"
        ),
    )
    for generator in {*(root / "contracts").glob("gen_*.py")} - {root / "contracts" / "gen_ring.py"}:
        generator.unlink()
    shutil.copy(ROOT / "pyproject.toml", root)
    assert generate(root).returncode == 0
    return root


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "contracts" / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_is_committed_is_what_the_contract_says() -> None:
    done = generate(ROOT, "--check")
    assert done.returncode == 0, done.stderr


def test_a_hand_edit_of_any_generated_file_is_named(copy: Path) -> None:
    inputs = {*(copy / "contracts").glob("*.py"), copy / "contracts" / "ring.toml", copy / "pyproject.toml"}
    generated = [p for p in copy.rglob("*") if p.is_file() and p not in inputs and p.suffix != ".pyc"]
    generated = [p for p in generated if ".ruff_cache" not in p.parts]
    assert len(generated) == 3 + 2 * len(VECTORS)
    for path in generated:
        path.write_bytes(path.read_bytes() + b"\n")
    done = generate(copy, "--check")
    assert done.returncode == 1
    assert {line.split(":")[0] for line in done.stderr.splitlines()} == {str(p.relative_to(copy)) for p in generated}


def test_a_file_that_nothing_generates_any_more_is_named(copy: Path) -> None:
    (copy / "contracts" / "gen_ring.py").unlink()
    done = generate(copy, "--check")
    assert done.returncode == 1
    left = {"docs/reference/ring.md", "go-capture/internal/ring/layout_gen.go", "trt-infer/visavis/ring_gen.py"}
    assert {line.split(":")[0] for line in done.stderr.splitlines()} >= left


@pytest.mark.parametrize("after", ['schema = "inof"', 'schema = "info"\npayload = "x"', ""])
def test_a_topic_with_no_or_two_kinds_of_payload_is_refused(copy: Path, after: str) -> None:
    contracts = copy / "contracts"
    shutil.copytree(ROOT / "contracts" / "schemas", contracts / "schemas", dirs_exist_ok=True)
    for name in ("gen_mqtt.py", "mqtt.toml", "mqtt_forms.toml"):
        shutil.copy(ROOT / "contracts" / name, contracts)
    assert generate(copy).returncode == 0
    text = (contracts / "mqtt.toml").read_text()
    assert 'schema = "info"' in text
    (contracts / "mqtt.toml").write_text(text.replace('schema = "info"', after))
    done = generate(copy)
    assert done.returncode == 1
    assert "mqtt.toml: info " in done.stderr


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('{ at = 12, type = "u16", name = "major"', '{ at = 13, type = "u16", name = "major"', "misaligned"),
        ('{ at = 24, type = "u64", name = "nonce"', '{ at = 32, type = "u64", name = "nonce"', "ends at 24"),
        ("size = 96", "size = 104", "size is 104"),
        ("type = 33", "type = 32", "message type 32"),
        ('type = "u16", name = "model_tag"', 'type = "u12", name = "model_tag"', "not known"),
    ],
    ids=["misaligned", "gap", "size", "type twice", "unknown type"],
)
def test_a_layout_that_compilers_could_see_differently_is_refused(
    copy: Path, before: str, after: str, reason: str
) -> None:
    spec = copy / "contracts" / "ring.toml"
    text = spec.read_text(encoding="utf-8")
    assert before in text
    spec.write_text(text.replace(before, after, 1), encoding="utf-8")
    done = generate(copy)
    assert done.returncode == 1
    assert reason in done.stderr
