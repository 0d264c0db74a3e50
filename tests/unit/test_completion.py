# SPDX-License-Identifier: Apache-2.0
"""What the Tab key makes of a line in real shells, with the scripts that the package brings."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deb.completion import PLACES, scripts

READY = "ready>"
# Each then says what it was given.
SAY = f"PS1='{READY}'; visavis() {{ printf '<%s>' \"$@\"; echo .; }}"
SET_UP = {
    "bash": f"source {PLACES['bash']}; {SAY}",
    "zsh": f"fpath=(${{PWD}}/{Path(PLACES['zsh']).parent} $fpath); autoload -U compinit; compinit -u -D; {SAY}",
}
STARTED = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
CASES = {
    "a command": ("mo\t", "<model>"),
    "an action": ("model pul\t", "<model><pull>"),
    "an option": ("detect --fam\t", "<detect><--family>"),
    "a choice": ("detect --family sc\t", "<detect><--family><scrfd>"),
    "a model": ("model prepare cent\t", "<model><prepare><centerface>"),
    "a model file": ("detect --model own\t", "<detect><--model><own.onnx>"),
    "a file": ("check porch\t", "<check><porch.toml>"),
    "an option after a file": ("detect holiday.jpg --anon\t", "<detect><holiday.jpg><--anonymize>"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package's scripts lie, and files to choose from."""
    folder = tmp_path_factory.mktemp("root")
    for place, script in scripts().items():
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_text(script)
    for name in ("porch.toml", "own.onnx", "holiday.jpg"):
        (folder / name).touch()
    return folder


class Shell:
    """A shell at a terminal."""

    def __init__(self, name: str, root: Path) -> None:
        self.terminal, side = pty.openpty()
        self.process = subprocess.Popen(
            STARTED[name],
            stdin=side,
            stdout=side,
            stderr=side,
            cwd=root,
            env={**os.environ, "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(side)
        self.answer(SET_UP[name])

    def answer(self, keys: str) -> str:
        """What it shows from the keys, and Return, to its next prompt."""
        os.write(self.terminal, f"{keys}\n".encode())
        shown = ""
        while not re.search(rf"[\r\n]{READY}$", shown):
            shown += os.read(self.terminal, 1).decode(errors="replace")
        return shown

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


@pytest.fixture(scope="module", params=["bash", "zsh"])
def shell(request: pytest.FixtureRequest, root: Path) -> Iterator[Shell]:
    running = Shell(request.param, root)
    yield running
    running.close()


@pytest.mark.parametrize("case", CASES)
def test_tab_completes_commands_options_and_values(case: str, shell: Shell) -> None:
    keys, expected = CASES[case]
    assert re.findall(r"\n(<.*>)\.\r*\n", shell.answer(f"visavis {keys}")) == [expected]


@pytest.mark.parametrize("case", CASES)
def test_fish_offers_what_bash_and_zsh_do(case: str, root: Path) -> None:
    keys, expected = CASES[case]
    line = f"visavis {keys.rstrip()}"
    command = ["fish", "--no-config", "-c", f"source {root / PLACES['fish']}; complete -C '{line}'"]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    words = [offer.split("\t")[0] for offer in said.stdout.splitlines()]
    assert expected.removesuffix(">").rpartition("<")[2] in words
