# SPDX-License-Identifier: Apache-2.0
"""A repository that devices ask stays whole until the next one is signed. gpg and apt-ftparchive are mostly played: not
every machine that runs these tests has them, and tests/vm/test_repository.py has the real ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from deb import repository
from deb.kept import REPOSITORY

GPG = """\
case "$*" in
*--list-secret-keys*) cat {place}/secret ;;
*"--export {signer}") echo "a key" ;;
*"--list-keys {signer}") cat {place}/listed ;;
*) [ "$4" = {signer} ] || exit 2
	[ ! -e {place}/expired ] || { echo "gpg: signing failed: Unusable secret key" >&2; exit 2; }
	for file; do :; done # the last word
	while [ "$1" != --output ]; do shift; done
	cat "$file" >"$2"; echo signed >>"$2" ;;
esac
"""
FTPARCHIVE = """\
case "$*" in
*packages*) echo "Package: visavis" ;;
*) printf 'Origin: visavis\\nDate: now\\n'; cat pool/*/* ;;
esac"""
SIGNER, OTHER = "0123456789ABCDEF" * 2 + "01234567", "F" * 40
# As gpg lists it: a key, and one below it.
LISTED = """\
sec:u:255:22:{0}:1700000000:::u:::scESC:::+::ed25519:::0:
fpr:::::::::{0}:
grp:::::::::1111111111111111111111111111111111111111:
uid:u::::1700000000::AB::packages for me::::::::::0:
ssb:u:255:18:22:1700000000::::::e:::+::cv25519::
fpr:::::::::2222222222222222222222222222222222222222:
"""
SIGNED = {"InRelease", "Release", "Release.gpg"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one package, and with the programs that are played."""
    for name, text in (
        ("gpg", GPG.replace("{place}", str(tmp_path)).replace("{signer}", SIGNER)),
        ("apt-ftparchive", FTPARCHIVE),
    ):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    (tmp_path / "secret").write_text(LISTED.format(SIGNER))
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/visavis_0.1.0+bookworm_amd64.deb").write_bytes(b"first")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


def made(place: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How `python -m deb.repository` ends."""
    words = [
        "--key",
        "me",
        "--url",
        "file:///x",
        "--packages",
        str(place / "packages"),
        "--out",
        str(place / "www/apt"),
    ]
    monkeypatch.setattr(sys, "argv", ["repository", *words])
    return repository.main()


def served(place: Path) -> dict[str, bytes]:
    """All files beside and in the folder that a web server has, by name."""
    www = place / "www"
    return {str(file.relative_to(www)): file.read_bytes() for file in www.rglob("*") if file.is_file()}


def test_a_new_repository_takes_the_place_of_the_old_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (b"first", b"second"):
        (place / "packages/visavis_0.1.0+bookworm_amd64.deb").write_bytes(content)
        assert made(place, monkeypatch) == 0
        files = served(place)
        assert files["apt/pool/bookworm/visavis_0.1.0+bookworm_amd64.deb"] == content
        assert {Path(name).name for name in files if name.startswith("apt/dists/bookworm/")} >= SIGNED
        assert {Path(name).parts[0] for name in files} == {"apt"}
        assert capsys.readouterr().out == f"{place}/www/apt/visavis-bookworm.sources\n"


def test_what_gpg_does_not_sign_leaves_the_old_one_as_it_is(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made(place, monkeypatch)
    before = served(place)
    (place / "expired").touch()
    (place / "packages/visavis_0.1.0+bookworm_amd64.deb").write_bytes(b"second")
    assert made(place, monkeypatch) == 1
    assert served(place) == before
    said = capsys.readouterr().err
    assert said.startswith(f"repository: gpg has not signed with the key {SIGNER}")
    assert said.count("\n") == 1
    (place / "expired").unlink()
    assert made(place, monkeypatch) == 0
    assert served(place) != before


def dated(place: Path) -> datetime:
    """When devices believe that the repository was made."""
    text = served(place)["apt/dists/bookworm/Release"].decode()
    return parsedate_to_datetime(text.partition("Date: ")[2].splitlines()[0])


def test_to_apt_other_packages_are_later_ones_also_of_an_older_commit(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = place / "packages/visavis_0.1.0+bookworm_amd64.deb"
    now = datetime.now(timezone.utc).replace(microsecond=0)
    dates = []
    for content, minutes in ((b"1", -120), (b"2", -180), (b"2", -60), (b"3", -60), (b"4", 600)):
        commit_s = int((now + timedelta(minutes=minutes)).timestamp())
        monkeypatch.setattr(repository, "commit_time_s", lambda commit_s=commit_s: commit_s)
        package.write_bytes(content)
        assert made(place, monkeypatch) == 0
        dates.append(dated(place))
    later = now - timedelta(minutes=120) + timedelta(seconds=1)
    assert dates[:4] == [later - timedelta(seconds=1), later, later, now - timedelta(minutes=60)]
    assert now <= dates[4] <= datetime.now(timezone.utc)


@pytest.mark.parametrize(("days", "told"), [(89, True), (-1, True), (91, False), (None, False)])
def test_a_key_that_ends_soon_is_told_with_what_devices_need(
    days: int | None, told: bool, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    end = "" if days is None else str(int(time.time()) + days * 24 * 3600)
    line = f"pub:u:255:22:0123456789ABCDEF:1700000000:{end}::u:::scSC:::::ed25519:::0:"
    (place / "listed").write_text(
        f"tru::1:1700000000:0:3:1:5\n{line}\nfpr:::::::::{SIGNER}:\nuid:u::::1700000000::AB::me::::::::::0:\n"
    )
    assert made(place, monkeypatch) == 0
    said = capsys.readouterr().err
    assert ("copy the new visavis-SUITE.sources to each device" in said) == told
    assert (f"the key {SIGNER} ends on " in said) == told
    assert (f"gpg --quick-set-expire {SIGNER} 3y" in said) == told


@pytest.mark.parametrize(
    ("keys", "said"), [((), 'gpg --quick-generate-key "me"'), ((SIGNER, OTHER), f"{SIGNER} or {OTHER}")]
)
def test_devices_believe_one_key_and_none_besides_that_has_its_name_in_it(
    keys: tuple[str, ...],
    said: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (place / "secret").write_text("".join(LISTED.format(key) for key in keys))
    assert made(place, monkeypatch) == 1
    assert said in capsys.readouterr().err
    assert served(place) == {}


@pytest.fixture
def gpg(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The fingerprints of a key that signs nothing but its two subkeys, and of these, of which one ends soon."""
    if shutil.which("gpg") is None:
        pytest.skip("`scripts/setup.sh vm` installs gpg")
    folder = tempfile.mkdtemp(prefix="gpg-")  # a short path: gpg's agent has a socket there
    monkeypatch.setenv("GNUPGHOME", folder)
    own = ["gpg", "-q", "--batch", "--passphrase", ""]
    subprocess.run([*own, "--quick-generate-key", "me", "ed25519", "cert", "3y"], check=True)
    (key,) = fingerprints("--list-secret-keys")
    for end in ("1y", "30d"):
        subprocess.run([*own, "--quick-add-key", key, "ed25519", "sign", end], check=True)
    yield fingerprints("--list-secret-keys")
    subprocess.run(["gpgconf", "--kill", "all"], check=True)
    shutil.rmtree(folder)


def fingerprints(*words: str, given: str | None = None) -> list[str]:
    """Of the keys and subkeys that gpg lists."""
    command = ["gpg", "-q", "--batch", "--with-colons", *words]
    said = subprocess.run(command, check=True, capture_output=True, text=True, input=given)
    return re.findall("(?m)^fpr:+([0-9A-F]{40}):", said.stdout)


@pytest.mark.parametrize("which", [1, 2])
def test_a_subkey_that_is_named_with_a_mark_signs_alone_and_devices_believe_it_alone(
    which: int, gpg: list[str], tmp_path: Path
) -> None:
    release = tmp_path / "Release"
    release.write_text("Origin: visavis\n")
    for name in (gpg[which], f"0x{gpg[which][-16:].lower()}"):
        signer = repository.signer_of(f"{name}!")
        repository.sign(release, signer)
        for signed in (["InRelease"], ["Release.gpg", "Release"]):
            command = ["gpg", "--status-fd", "1", "--verify", *(str(tmp_path / file) for file in signed)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert f"VALIDSIG {gpg[which]} " in said
        believed = fingerprints("--show-keys", given=repository.public_key(signer))
        assert believed == [gpg[0], gpg[which]]
        remedy = f"gpg --quick-set-expire {gpg[0]} 3y {gpg[which]}`"
        assert (remedy in repository.ending(signer, time.time())) == (which == 2)


@pytest.mark.parametrize("key", ["me!", f"{OTHER}!"])
def test_a_mark_behind_what_is_no_keys_fingerprint_is_refused(key: str, gpg: list[str]) -> None:
    with pytest.raises(repository.RepositoryError, match="gpg -K --with-subkey-fingerprint"):
        repository.signer_of(key)
    assert str(repository.signer_of(gpg[2])) == gpg[0]


def test_both_pages_and_the_remedy_say_that_devices_need_the_new_file() -> None:
    for page in ("a-year", "install"):
        text = (REPOSITORY / "docs" / "how-to" / f"{page}.md").read_text()
        assert "each device needs the new `visavis-SUITE.sources`" in " ".join(text.split())


def test_a_package_that_was_compiled_for_one_system_goes_to_no_other() -> None:
    """rauc for Ubuntu's releases lies where those of visavis lie, and apt takes the higher of two versions."""
    ours = [Path(f"visavis_0.1.0+{suite}_arm64.deb") for suite in ("bookworm", "jammy")]
    rauc = [Path("rauc_1.13-3+deb13u1~jammy_arm64.deb"), Path("rauc-service_1.13-3+deb13u1~noble_all.deb")]
    every = [Path("visavis-broker_0.1.0_all.deb")]
    assert repository.by_suite([*ours, *rauc, *every]) == {
        "bookworm": [ours[0], *every],
        "jammy": [ours[1], rauc[0], *every],
        "noble": [rauc[1], *every],
    }
