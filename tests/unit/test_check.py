# SPDX-License-Identifier: Apache-2.0
"""`visavis check`: what a configuration is refused for, and what it is warned of; test_doctor.py has what both tell."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.kserve.certificates import authority, not_yet_valid, openssl
from tests.repo.test_laws import ROOT
from tests.unit.command import PROGRAM, complaints, visavis

GOLDEN = ROOT / "contracts" / "config-golden" / "config.toml"
KSERVE = '[detector]\nbackend = "kserve"\nkserve_url = "grpcs://triton"\n'


def test_check_answers_0_for_a_good_configuration() -> None:
    answer = visavis("check", GOLDEN)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "ok\n", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[web]\nlisten = 7\n", "bad.toml:2: web.listen"),
        ("[wrong]\n", "bad.toml:1: wrong"),
        ("[web\n", "bad.toml:"),
    ],
)
def test_check_names_file_and_line_and_answers_2(text: str, said: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(text)
    answer = visavis("check", bad)
    assert answer.returncode == 2
    assert said in answer.stderr


def test_a_configuration_from_a_pipe_is_the_one_that_is_checked() -> None:
    """It gives nothing at a second time: that would be the defaults, of which there is nothing to warn."""
    command, text = [str(PROGRAM), "check", "/dev/stdin"], '[detector]\nmodel = "mine"\n'
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "ok\n")
    assert "visavis: warning, /dev/stdin: detector.model: no model is called 'mine'" in answer.stderr


def test_a_configuration_may_be_what_a_command_says() -> None:
    command = ["bash", "-c", f"{PROGRAM} check <(printf '[web]\n')"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "ok\n"), answer.stderr


def test_the_name_of_a_file_does_not_steer_the_terminal(tmp_path: Path) -> None:
    bad = tmp_path / "\x1b[2Jbad.toml"
    bad.write_text("[web]\nlisten = 7\n")
    answer = visavis("check", bad)
    assert (answer.returncode, "\x1b" in answer.stderr) == (2, False)
    assert f'"{tmp_path}/\\x1b[2Jbad.toml":2: web.listen' in answer.stderr


# Workers whose model is on a server keep the same one in reserve.
LOAD_A_MODEL = pytest.mark.parametrize(
    "backend", ['backend = "auto"', 'backend = "kserve"\nkserve_url = "http://127.0.0.1:1"'], ids=["auto", "kserve"]
)


@LOAD_A_MODEL
def test_check_warns_of_a_model_that_this_user_has_not(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[detector]\n{backend}\nmodel = "mine"\n')
    answer = visavis("check", file)
    assert (answer.returncode, answer.stdout) == (0, "ok\n")
    (said,) = complaints(answer)
    assert f"warning, {file}: detector.model: no model is called 'mine': choose from centerface, " in said
    assert said.endswith("; workers of another user may have it")


@LOAD_A_MODEL
@pytest.mark.parametrize("command", [("check",), ("run", "--config")])
def test_a_size_that_the_model_cannot_take_is_refused(command: tuple[str, ...], backend: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[detector]\n{backend}\nmodel = "centerface"\ninput = [641, 480]\n')
    answer = visavis(*command, file)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert complaints(answer) == ["visavis: detector.input: centerface cannot take 641x480: use multiples of 32"]


@pytest.mark.parametrize("setting", ['hosts = ["porch.example.org"]', 'proxies = ["127.0.0.1"]'])
def test_check_warns_of_a_page_behind_a_balancer_that_lets_everybody_in(setting: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[web]\n{setting}\n")
    (said,) = complaints(visavis("check", file))
    name = setting.partition(" ")[0]
    assert f"web.{name}: who reaches 127.0.0.1:8080 through a balancer needs no login: add a section [auth]" in said
    file.write_text(f"[web]\n{setting}\n[auth]\n")
    assert complaints(visavis("check", file)) == []


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            '[web]\ncert = "ours.pem"\nkey = "other.key"\n',
            r"web\.cert: certificate .*/ours\.pem with key .*/other\.key cannot be used: .*does not match",
        ),
        (
            '[web]\ncert = "notes"\nkey = "other.key"\n',
            r"web\.cert: certificate .*/notes .*; install web\.cert and web\.key of",
        ),
        ('[web]\ncert = "ended.pem"\nkey = "old.key"\n', r"web\.cert: it ended on .*: renew it"),
        (
            '[mqtt]\nurl = "mqtts://plant.example"\ncert = "ours.pem"\nkey = "other.key"\n',
            r"mqtt\.cert and mqtt\.key: .*does not match.*; write what belongs there",
        ),
        (
            '[mqtt_second]\nurl = "mqtts://plant.example"\nca = "notes"\n',
            r"mqtt_second\.ca: no PEM certificate in .*/notes; write what belongs there",
        ),
        ('[mqtt]\nurl = "mqtts://plant.example"\nca = "ended.pem"\n', r"mqtt\.ca: it ended on .*: renew it"),
        (
            f'{KSERVE}kserve_ca = "notes"\n',
            r"detector\.kserve_ca: no PEM certificate in .*/notes: write the certificate",
        ),
        (f'{KSERVE}kserve_ca = "ended.pem"\n', r"detector\.kserve_ca: it ended on .*: renew it"),
        (
            f'{KSERVE}kserve_ca = "early.pem"\n',
            r"detector\.kserve_ca: it begins on .*: wait for that, or set the clock",
        ),
        (
            '[web]\ncert = "early.pem"\nkey = "old.key"\n',
            r"web\.cert: it begins on .*: wait for that, or set the clock",
        ),
    ],
)
def test_check_warns_of_certificates_that_cannot_be_used(section: str, said: str, tmp_path: Path) -> None:
    provide_certificates(tmp_path)
    file = tmp_path / "config.toml"
    file.write_text(section)
    answer = visavis("check", file)
    assert (answer.returncode, answer.stdout) == (0, "ok\n"), "the daemon starts with it"
    (words,) = complaints(answer)
    assert re.match(rf"visavis: warning, {file}: {said}", words), words


def test_check_says_nothing_of_certificates_that_can_be_used(tmp_path: Path) -> None:
    provide_certificates(tmp_path)
    file = tmp_path / "config.toml"
    pair, ca = 'cert = "ours.pem"\nkey = "ours.key"\n', 'ca = "other.pem"\n'
    broker = f'[mqtt]\nurl = "mqtts://plant.example"\n{pair}{ca}'
    file.write_text(f"[web]\n{pair}{broker}{KSERVE}kserve_{ca}")
    answer = visavis("check", file)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "ok\n", "")


def provide_certificates(folder: Path) -> None:
    """Two that are good, one that has run out, one that has not begun, and a file that holds none."""
    for name in ("ours", "other", "old"):
        authority(folder, name)
    openssl(
        "x509", "-in", folder / "old.pem", "-signkey", folder / "old.key", "-days", "-1", "-out", folder / "ended.pem"
    )
    not_yet_valid(folder, folder / "old.pem")
    (folder / "notes").write_text("no certificate\n")


def test_check_without_the_file_is_2(tmp_path: Path) -> None:
    answer = visavis("check", tmp_path / "gone.toml")
    assert answer.returncode == 2
    assert "no such file or directory" in complaints(answer)[0]
