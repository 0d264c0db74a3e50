# SPDX-License-Identifier: Apache-2.0
"""What the pages tell people to type is understood, and what they show is what the programs say."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import subprocess
from pathlib import Path

import jsonschema
import pytest
from visavis.cli.program import COMMANDS
from visavis.config_gen import Config
from visavis.daemon import effective_config
from visavis.figures import camera_line
from visavis.greeting import greet

from contracts.toml_file import read_toml
from tests.repo.pages import Block, blocks
from tests.repo.test_laws import ROOT, tracked
from tests.unit.command import visavis
from tests.unit.shown_commands import parsed, visavis_calls

LINE = re.compile(
    r"(?P<id>\w+) +(?P<state>\w+) +(?P<fps>[\d.]+) fps, inferred +(?P<inferred>[\d.]+) +(?P<faces>\d+) faces +"
    r"(?P<p50>[\d.]+) ms to MQTT \(p99 (?P<p99>[\d.]+)\)  dropped (?P<dropped>\d+)"
)
# How far a command other than visavis is looked at: its name here, its arguments below where that can be done.
OTHER_COMMANDS = {"make", "mosquitto_sub", "ssh", "pkill", "curl"}


def first_words(block: Block) -> list[list[str]]:
    return [shlex.split(line, comments=True) for line in block.text.splitlines() if line.strip()]


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_every_command_is_understood(block: Block) -> None:
    for words in first_words(block):
        assert Path(words[0]).name in OTHER_COMMANDS | {"visavis"}, words
    for call in visavis_calls(block.text):
        parsed(call)


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_make_is_given_targets_and_variables_that_it_has(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for words in (words for words in first_words(block) if words[0] == "make"):
        for word in words[1:]:
            name, _, value = word.partition("=")
            wanted = rf"^{name} \?=" if value else rf"^{name}:.*##"
            assert re.search(wanted, makefile, re.MULTILINE), word


@pytest.mark.parametrize("block", blocks("sh", ""), ids=str)
def test_mosquitto_is_asked_for_topics_that_there_are(block: Block) -> None:
    templates = re.findall(r'^template = "(.+)"', (ROOT / "contracts/mqtt.toml").read_text(), re.MULTILINE)
    patterns = [re.sub(r"\{\w+\}", "[a-z0-9_+-]+", template.replace("+", r"\+")) for template in templates]
    for topic in re.findall(r"mosquitto_sub .*-t '([^']+)'", block.text):
        assert any(re.fullmatch(pattern, topic) for pattern in patterns), topic


# Configurations of other programs are called as their files.
OURS = [block for block in blocks("toml") if block.note in ("", "refused")]


@pytest.mark.parametrize("block", OURS, ids=str)
def test_every_configuration_is_accepted_or_refused_as_the_page_says(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block.text)
    for secret in re.findall(r'(?:password_file|kserve_ca|kserve_token_file|ca|cert|key) = "([^"/]+)"', block.text):
        (tmp_path / secret).write_text("secret\n")
    answer = visavis("check", file)
    assert answer.returncode == (2 if block.note == "refused" else 0), answer.stderr
    if block.note == "refused":
        following = block.page.read_text().split(block.text)[1].split("```\n")[2].strip()
        assert following in answer.stderr


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_every_import_of_ours_is_there(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("visavis"):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names), node.module


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def anchors(page: Path) -> set[str]:
    """The names under which GitHub lets its headings be reached."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        assert anchor in anchors(page.parent / target if target else page), f"{target}#{anchor}"


def test_every_page_that_is_named_is_there() -> None:
    for file in tracked("*.md", "*.toml", "*.go", "*.py", "*.sh"):
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", file.read_text()):
            assert (ROOT / page).exists(), f"{file.relative_to(ROOT)} names {page}"


def test_the_units_ask_for_every_secret_that_the_page_names() -> None:
    lines = (ROOT / "docs/how-to/secrets.md").read_text().splitlines()
    table = [line.split("|")[2:4] for line in lines if line.startswith("| ")]
    daemon, worker = (
        re.findall(r"^LoadCredential=(.+)$", (ROOT / "systemd" / unit).read_text(), re.MULTILINE)
        for unit in ("visavis-capture.service", "visavis-infer@.service")
    )
    named = {name for files, _ in table for name in re.findall(r"`(?:/etc/credstore/)?([\w.]+)`", files)}
    assert named == {*daemon, *worker}
    read = {name for _, settings in table for name in re.findall(r"credential:([\w.]+)", settings)}
    assert read == {name for name in daemon if not name.startswith("mqtt_second.")}


# Words that stand behind a section's name and are no setting: ends of files' names, and credentials.
NO_SETTINGS = {"md", "go", "py", "key", "password"}


def test_every_setting_that_is_named_is_there() -> None:
    sections = read_toml(ROOT / "contracts/config.toml")["section"]
    known = {f"{section['name']}.{key['name']}" for section in sections for key in section.get("key", [])}
    # Not device: in Python's examples device.info is what a device says. A section outbox was named that never was.
    words = "|".join({section["name"] for section in sections} - {"device"} | {"outbox"})
    for file in tracked("*.md", "contracts/*.toml"):
        if file.parent.name == "config-broken":
            continue
        for section, key in re.findall(rf"(?<![\w/.-])({words})\.([a-z_]+)\b(?![/(]|\.\w)", file.read_text()):
            name = f"{section.replace('mqtt_second', 'mqtt')}.{key}"
            assert name in known or key in NO_SETTINGS, f"{file.relative_to(ROOT)} names {name}"


@pytest.mark.parametrize(
    ("index", "below"),
    [
        ("README.md", ("*.md",)),
        ("docs/README.md", ("*.md", "how-to/*.md", "reference/*.md")),
        ("docs/design/README.md", ("*.md",)),
    ],
)
def test_an_index_links_every_page_below_it(index: str, below: tuple[str, ...]) -> None:
    page = ROOT / index
    linked = {(page.parent / target).resolve() for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())}
    there = {found for pattern in below for found in page.parent.glob(pattern)}
    assert there - linked == {page}


def readme_block(kind: str, word: str) -> str:
    (found,) = (block.text for block in blocks(kind) if block.page == ROOT / "README.md" and word in block.text)
    return found


def test_the_readmes_message_is_one_that_the_schema_takes() -> None:
    schema = json.loads((ROOT / "contracts/schemas/detections.schema.json").read_text())
    message = json.loads(readme_block("json", "captured_at"))
    jsonschema.validate(message, schema)
    stages = message["latency_ms"]
    assert stages["total"] == pytest.approx(sum(value for stage, value in stages.items() if stage != "total"))


def test_the_readmes_live_line_is_what_figures_writes() -> None:
    shown = readme_block("", "to MQTT").splitlines()[-1]
    found = LINE.fullmatch(shown)
    assert found, shown
    camera = {
        "id": found["id"],
        "state": found["state"],
        "detecting": True,
        "fps": float(found["fps"]),
        "fps_inferred": float(found["inferred"]),
        "faces": int(found["faces"]),
        "latency_ms": {"total": {"p50": float(found["p50"]), "p99": float(found["p99"])}},
        "frames": {"dropped": {"superseded": int(found["dropped"])}},
    }
    assert camera_line(camera) == shown


def test_the_readmes_greeting_is_what_run_prints(capsys: pytest.CaptureFixture[str]) -> None:
    config = effective(ROOT / "contracts" / "config-golden" / "config.toml")
    greet(config)
    said = capsys.readouterr().out.splitlines()
    shown = readme_block("", "to MQTT").splitlines()
    assert [re.sub(r"visavis/\w+/", "visavis/porch/", line) for line in said] == shown[: len(said)]


def effective(file: Path) -> Config:
    return effective_config(file, {})


def test_the_readme_names_every_command() -> None:
    line = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("`visavis run`"))
    assert [name.removeprefix("visavis ") for name in re.findall(r"`([^-`][^`]*)`", line.split(":")[0])] == [*COMMANDS]


def test_the_pages_hold_no_path_of_a_machine() -> None:
    answer = subprocess.run(["git", "grep", "-nE", "/(root|work|home/[a-z]+)/", "--", "*.md"], cwd=ROOT, check=False)
    assert answer.returncode == 1


def test_the_picture_of_the_way_of_a_frame_names_what_there_is() -> None:
    picture = (ROOT / "docs/pictures/way-of-a-frame.svg").read_text()
    rooms = {name for text in re.findall(r'class="room[^"]*"[^>]*>([^<]+)<', picture) for name in text.split()}
    assert len(rooms) > 10, "it shows no rooms any more: this test looks in the wrong place"
    homes = (ROOT / "go-capture/internal", ROOT / "trt-infer/visavis")
    assert {name for name in rooms if not any((home / name).exists() for home in homes)} == set()
