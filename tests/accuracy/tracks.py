# SPDX-License-Identifier: Apache-2.0
"""Plays the scripted scenes to our tracker and to those of the package `trackers`; writes the table of the page.

    .venv/bin/python tests/accuracy/tracks.py

The package and what it needs (700 MB) go into .cache/tracks, not into the project's environment. Exit 1 when a rival is
better than ours over all scenes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".cache" / "tracks"
PAGE = ROOT / "docs" / "design" / "tracking.md"
BEGIN, END = "<!-- table: tests/accuracy/tracks.py -->\n", "<!-- end of the table -->\n"
MISTAKES = ("switches", "fragments", "thefts", "misses", "false")

Scores = dict[str, dict[str, int]]


def main() -> int:
    """Measure, write the table, and say whether ours is at least as good."""
    python = installed()
    scenes = go_scenes("-print")
    answers = json.loads(
        subprocess.check_output([python, Path(__file__).with_name("tracks_reference.py")], input=scenes)
    )
    ours: Scores = json.loads(go_scenes("-ours"))
    rivals: dict[str, Scores] = {
        name: json.loads(go_scenes("-judge", json.dumps(answer).encode())) for name, answer in answers.items()
    }
    text = "\n".join(table({"visavis": ours} | rivals)) + "\n"
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")
    print(text)
    better = [name for name, scores in rivals.items() if beats(scores["all"], ours["all"])]
    print(f"better than ours: {', '.join(better) or 'none'}")
    return 1 if better else 0


def installed() -> Path:
    """The Python of the rivals' folder; made when it is missing."""
    wanted = (ROOT / "requirements" / "tracks.txt").read_text(encoding="utf-8")
    made, python = FOLDER / "made-from.txt", FOLDER / "bin" / "python"
    if not made.is_file() or made.read_text(encoding="utf-8") != wanted:
        venv.create(FOLDER, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "-r", str(ROOT / "requirements" / "tracks.txt")], check=True)
        made.write_text(wanted, encoding="utf-8")
    return python


def go_scenes(what: str, answers: bytes = b"") -> bytes:
    """What trackscenes prints."""
    command = ["go", "run", "./internal/testprogram/trackscenes", what]
    return subprocess.run(command, cwd=ROOT / "go-capture", input=answers, stdout=subprocess.PIPE, check=True).stdout


def mota(score: dict[str, int]) -> float:
    """1 - mistakes / boxes, as the scenes' judge counts them."""
    return 1 - (score["misses"] + score["false"] + score["switches"]) / score["boxes"]


def beats(rival: dict[str, int], ours: dict[str, int]) -> bool:
    """Whether a rival is better in any of the figures that a user notices."""
    fewer = any(rival[what] < ours[what] for what in ("switches", "fragments"))
    return fewer or mota(rival) > mota(ours)


def table(scores: dict[str, Scores]) -> list[str]:
    """All figures over all scenes, then switches and fragments by kind of scene."""
    lines = ["| over all scenes | MOTA | " + " | ".join(MISTAKES) + " |", "|---" * (len(MISTAKES) + 2) + "|"]
    for name, score in scores.items():
        figures = " | ".join(str(score["all"][what]) for what in MISTAKES)
        lines.append(f"| {name} | {mota(score['all']):.4f} | {figures} |")
    kinds = [kind for kind in scores["visavis"] if kind != "all"]
    lines += ["", "| switches + fragments | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for name, score in scores.items():
        lines.append(f"| {name} | " + " | ".join(both(score[kind]) for kind in kinds) + " |")
    return lines


def both(score: dict[str, Any]) -> str:
    """Switches and fragments in one cell."""
    return f"{score['switches']} + {score['fragments']}"


if __name__ == "__main__":
    sys.exit(main())
