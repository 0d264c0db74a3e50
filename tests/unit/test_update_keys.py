# SPDX-License-Identifier: Apache-2.0
"""The keys for updates: whose they are, that there are good ones or none."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from visavis.errors import UpdateError
from visavis.update.keys import CA, CA_KEY, CERTIFICATE, KEY, MOST_NAME, make_keys

from tests.unit.command import PROGRAM, visavis
from tests.waiting import HANG_S, until


@pytest.mark.parametrize("name", ["Müller/Söhne", "A+B", "back\\slash, comma = x", "x" * MOST_NAME])
def test_keys_are_of_an_owner_of_any_name(name: str, tmp_path: Path) -> None:
    answer = visavis("update", "keys", tmp_path / "keys", "--name", name)
    assert answer.returncode == 0, answer.stderr
    words = ["openssl", "x509", "-in", str(tmp_path / "keys" / CA), "-noout", "-subject"]
    words += ["-nameopt", "sep_multiline,utf8"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f"O={name}\n" in said
    assert f"CN={name} update authority\n" in said


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * (MOST_NAME + 1)])
def test_a_name_that_no_certificate_can_hold_is_refused(name: str, tmp_path: Path) -> None:
    answer = visavis("update", "keys", tmp_path / "keys", "--name", name)
    assert answer.returncode == 1
    assert f"cannot be the name in certificates: choose one of 1 to {MOST_NAME} letters" in answer.stderr
    assert not (tmp_path / "keys").exists()


def test_of_two_who_make_keys_at_the_same_time_one_is_told_that_they_are_there(tmp_path: Path) -> None:
    """Each has found the folder empty: its openssl waits before the last step until both are there."""
    waits = f"#!/bin/sh\n[ $1 != x509 ] || {{ touch here.$$; until test -e {tmp_path}/go; do sleep 0.1; done; }}\n"
    (tmp_path / "openssl").write_text(f'{waits}exec {shutil.which("openssl")} "$@"\n')
    (tmp_path / "openssl").chmod(0o755)
    keys, environment = tmp_path / "keys", {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [str(PROGRAM), "update", "keys", str(keys)]
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    until(lambda: len(list(keys.glob("*/here.*"))) == 2, "both have come to the last step")
    (tmp_path / "go").touch()
    said = [one.communicate(timeout=HANG_S)[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 1], said
    told = (
        f"visavis: {keys} already holds signing.key: devices trust",
        f"visavis: {keys / KEY} is empty: others make keys",
    )
    assert "".join(said).startswith(told)
    assert {file.name for file in keys.iterdir()} == {CA, CA_KEY, KEY, CERTIFICATE}
    assert stat.S_IMODE((keys / KEY).stat().st_mode) == 0o600
    public = f"x509 -in {CERTIFICATE} -noout -pubkey", f"pkey -in {KEY} -pubout"
    asked = [subprocess.run(["openssl", *words.split()], cwd=keys, capture_output=True, check=True) for words in public]
    assert asked[0].stdout == asked[1].stdout


def test_who_is_stopped_before_keys_are_there_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: Path, __: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stopped)
        with pytest.raises(KeyboardInterrupt):
            make_keys(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / KEY).touch()  # of one that was killed
    with pytest.raises(UpdateError, match="is empty: others make keys here now, or were killed: remove it then"):
        make_keys(tmp_path)


def test_a_full_disk_leaves_good_keys_or_none(tmp_path: Path) -> None:
    """On disks of one block more each: openssl ends well although nothing of what it wrote is there."""
    full, made = tmp_path / "full", tmp_path / "full/keys"
    full.mkdir()
    script = f"""
        for blocks in 1 2 3 4 5 6 7 8 9 10; do
            mount -t tmpfs -o size=$((4 * blocks))k none {full}
            if {PROGRAM} update keys {made} 2>>{tmp_path}/said >&2; then
                openssl verify -CAfile {made / CA} {made / CERTIFICATE} >&2 && echo good
            else
                ls {made}
            fi
            umount {full}
        done"""
    command = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(answer.stdout.split()) == {"good"}, answer
    said = (tmp_path / "said").read_text()
    assert f"openssl wrote nothing into {CERTIFICATE}: make room on the disk of {made}" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("file", "reason"), [(KEY, "openssl pkey refused"), (CERTIFICATE, "openssl verify refused")])
def test_of_what_the_disk_took_a_part_no_keys_are_made(
    file: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = f"[ $1 != x509 ] || truncate -s 100 {file}\n"
    (tmp_path / "openssl").write_text(f'#!/bin/sh\n{shutil.which("openssl")} "$@" || exit\n{cut}')
    (tmp_path / "openssl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(UpdateError, match=reason):
        make_keys(tmp_path / "keys")
    assert not list((tmp_path / "keys").iterdir())
