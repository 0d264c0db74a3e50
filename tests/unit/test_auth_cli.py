# SPDX-License-Identifier: Apache-2.0
"""`visavis auth` as a person and as a script use it, with the real daemon's program behind it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.command import PROGRAM, visavis

PASSWORD = "correct horse battery"  # noqa: S105 - of nobody


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VISAVIS_STATE_DIR", str(tmp_path))
    return tmp_path


def piped(line: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `visavis auth` with a line on standard input."""
    return subprocess.run([PROGRAM, "auth", *words], input=line, capture_output=True, text=True, check=False)


def typed(*lines: str, words: tuple[str, ...]) -> tuple[int, str]:
    """Run `visavis auth` on a terminal where a person answers each prompt; the exit code, and what was shown."""
    person, terminal = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "auth", *words],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},  # as in a person's locale
    )
    os.close(terminal)
    shown = ""
    for line in lines:
        while not shown.endswith(": "):
            shown += os.read(person, 1000).decode()
        os.write(person, f"{line}\n".encode(errors="surrogateescape"))
        shown += "\n"
    while True:
        try:
            shown += os.read(person, 1000).decode()
        except OSError:  # the terminal is closed: it ended
            break
    os.close(person)
    return process.wait(), shown


def names(state: Path) -> list[str]:
    """Who is in the credentials."""
    return re.findall(r"^name = '(.+)'$", (state / "credentials.toml").read_text(), re.MULTILINE)


def test_a_password_comes_from_a_pipe_and_is_kept_as_a_hash_alone(state: Path) -> None:
    answer = piped(f"{PASSWORD}\n", "add", "anna", "--role", "admin")
    assert (answer.returncode, answer.stdout) == (0, "")
    kept = (state / "credentials.toml").read_text()
    assert PASSWORD not in kept
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in kept
    assert names(state) == ["anna"]


def test_a_person_types_the_password_twice_and_nobody_sees_it(state: Path) -> None:
    code, shown = typed(PASSWORD, PASSWORD, words=("add", "anna", "--role", "viewer"))
    assert code == 0, shown
    assert PASSWORD not in shown
    assert names(state) == ["anna"]
    code, shown = typed(PASSWORD, PASSWORD + "!", words=("add", "ben", "--role", "viewer"))
    assert code == 1
    assert "the two passwords differ" in shown
    assert names(state) == ["anna"]


def test_a_person_gets_a_new_password_and_a_program_does_not(state: Path) -> None:
    piped(f"{PASSWORD}\n", "add", "anna", "--role", "admin")
    visavis("auth", "add", "grafana", "--role", "viewer", "--token")
    before = (state / "credentials.toml").read_text()
    assert piped("another horse battery\n", "password", "anna").returncode == 0
    after = (state / "credentials.toml").read_text()
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    assert [line.split(" = ")[0] for line in changed] == ["hash"]
    for name, says in {"grafana": "a program with a token", "ben": 'nobody is called "ben"'}.items():
        refused = piped("another horse battery\n", "password", name)
        assert (refused.returncode, says in refused.stderr) == (1, True), refused.stderr
    short = piped("short\n", "password", "anna")
    assert (short.returncode, "too short" in short.stderr) == (1, True)
    assert (state / "credentials.toml").read_text() == after


def test_a_token_is_shown_once_and_can_be_revoked(state: Path) -> None:
    answer = visavis("auth", "add", "grafana", "--role", "viewer", "--token")
    assert re.fullmatch(r"vis_[a-z2-7]{8}_[a-z2-7]{32}\n", answer.stdout)
    secret = answer.stdout.strip().rpartition("_")[2]
    assert secret not in (state / "credentials.toml").read_text()
    listed = visavis("auth", "list")
    assert re.search(r"^grafana +viewer +token +\d{4}-\d\d-\d\d +all$", listed.stdout, re.MULTILINE)
    assert secret not in listed.stdout
    assert visavis("auth", "revoke", "grafana").returncode == 0
    assert names(state) == []
    again = visavis("auth", "revoke", "grafana")
    assert again.returncode == 1
    assert 'nobody is called "grafana"' in again.stderr


def test_a_token_that_nobody_got_is_taken_back(state: Path) -> None:
    command = [str(PROGRAM), "auth", "add", "grafana", "--role", "viewer", "--token"]
    reading, writing = os.pipe()
    os.close(reading)
    with Path("/dev/full").open("wb") as full, os.fdopen(writing, "wb") as unread:
        for stdout, why in ((full, "no space left on device"), (unread, "broken pipe")):
            answer = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
            assert answer.returncode == 1
            assert f"{why}; nobody was added" in answer.stderr
            assert names(state) == []


@pytest.mark.parametrize("words", [("add", "--role", "viewer", "--token"), ("password",), ("revoke",)])
def test_what_looks_like_an_option_is_a_name_after_two_dashes(state: Path, words: tuple[str, ...]) -> None:
    answer = piped(f"{PASSWORD}\n", *words, "--", "-config")
    assert answer.returncode == 1
    assert '"-config"' in answer.stderr, answer.stderr


def test_cameras_are_all_some_or_none(state: Path) -> None:
    for name, words in {"two": ["--camera", "door", "--camera", "yard"], "none": ["--no-camera"]}.items():
        assert visavis("auth", "add", name, "--role", "operator", "--token", *words).returncode == 0
    listed = json.loads(visavis("auth", "list", "--json").stdout)["accounts"]
    assert {one["name"]: one["cameras"] for one in listed} == {"two": ["door", "yard"], "none": []}
    both = visavis("auth", "add", "both", "--role", "viewer", "--token", "--no-camera", "--camera", "door")
    assert both.returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_list_for_programs_is_json_in_every_encoding(encoding: str, state: Path) -> None:
    kitchen = state / "K\u00fcche \U0001f6aa"
    variables = {"VISAVIS_STATE_DIR": str(kitchen), "PYTHONIOENCODING": encoding}
    assert visavis("auth", "add", "anna", "--role", "viewer", "--token", variables=variables).returncode == 0
    told = visavis("auth", "list", "--json", variables=variables).stdout
    assert Path(json.loads(told)["file"]).parent == kitchen


@pytest.mark.parametrize(
    ("line", "words", "says"),
    [
        ("short\n", ("add", "anna", "--role", "viewer"), "the password is too short"),
        ("", ("add", "anna", "--role", "viewer"), "there is no password on standard input"),
        (f"{PASSWORD}\n", ("add", "An na", "--role", "viewer"), "is not allowed as a name"),
    ],
)
def test_what_cannot_be_is_refused_in_words(state: Path, line: str, words: tuple[str, ...], says: str) -> None:
    answer = piped(line, *words)
    assert answer.returncode == 1
    assert says in answer.stderr
    assert not (state / "credentials.toml").exists()


def test_the_configuration_says_where_the_credentials_are(state: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[auth]\nfile = "mine.toml"\n')
    answer = visavis("auth", "add", "robot", "--role", "viewer", "--token", "--config", config)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "robot" in (tmp_path / "mine.toml").read_text()
    config.write_text("[auth]\nfiel = 1\n")
    assert visavis("auth", "list", "--config", config).returncode == 2


def test_without_a_section_auth_it_says_that_nobody_is_asked(state: Path) -> None:
    answer = visavis("auth", "add", "robot", "--role", "viewer", "--token")
    assert "nobody is asked for a login yet" in answer.stderr


def test_ctrl_d_instead_of_a_password_changes_nothing_and_says_so(state: Path) -> None:
    code, shown = typed("\x04", words=("add", "bob", "--role", "admin"))
    assert code == 1
    assert "Traceback" not in shown
    assert "visavis: no password was given: run the command again; nothing was changed" in shown
    assert not (state / "credentials.toml").exists()


def test_a_password_in_another_encoding_is_refused_with_the_reason(state: Path) -> None:
    command = [str(PROGRAM), "auth", "add", "eve", "--role", "viewer"]
    answer = subprocess.run(command, input=b"caf\xe9 correct horse\n", capture_output=True, check=False)
    assert (answer.returncode, answer.stderr) == (1, b"visavis: the password is not valid UTF-8\n")
    code, shown = typed(os.fsdecode(b"caf\xe9 correct horse"), words=("add", "eve", "--role", "viewer"))
    assert code == 1
    assert "Traceback" not in shown
    assert "visavis: the password is not valid UTF-8: run the command again; nothing was changed" in shown
    assert not (state / "credentials.toml").exists()
