# SPDX-License-Identifier: Apache-2.0
"""A release's statement is what in-toto, SLSA and DSSE call one, and nothing gets past it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate
from google.protobuf import json_format
from image import build, release
from image.errors import ImageError
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.signer._key import SSlibKey
from visavis.update.keys import make_keys

from deb import packing
from deb.attestation import STATEMENT, AttestationError, signed
from deb.check_release import check
from deb.exchange import exchanged
from deb.kept import REPOSITORY

NAMES = {"visavis.deb", "visavis-rpi5.img.zst", "visavis-rpi5.cdx.json"}


def run(*words: str, folder: Path) -> str:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('version = "1.4.0"\n')
    run("git", "init", "--quiet", folder=folder)
    commit(folder)
    monkeypatch.setattr(packing, "REPOSITORY", folder)
    return folder


def commit(folder: Path) -> None:
    run("git", "add", ".", folder=folder)
    run("git", "-c", "user.name=me", "-c", "user.email=me@localhost", "commit", "--quiet", "-m", "all", folder=folder)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", "me")
    return tmp_path / "keys"


@pytest.fixture
def built(tmp_path: Path) -> dict[str, Path]:
    """What a build has left."""
    folder = tmp_path / "build"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(name.encode())
    return {name: folder / name for name in NAMES}


@pytest.fixture
def made(source: Path, keys: Path, built: dict[str, Path], tmp_path: Path) -> Path:
    """A release."""
    release.publish(built.items(), run("git", "rev-parse", "HEAD", folder=source), keys, tmp_path / "release")
    return tmp_path / "release"


def wanted(keys: Path, out: Path, *boards: str) -> Namespace:
    return Namespace(keys=keys, out=out, boards=boards)


def test_the_files_are_in_it_with_their_statement_and_who_signed(made: Path) -> None:
    assert {file.name for file in made.iterdir()} == NAMES | {"visavis.intoto.json", "signing.pem"}


def test_until_the_next_one_is_signed_the_former_stays(made: Path, keys: Path, built: dict[str, Path]) -> None:
    before = (made / "visavis.intoto.json").read_text()
    built["visavis.deb"].write_bytes(b"newer")
    (keys / "signing.key").write_text("no key")
    with pytest.raises(AttestationError, match="openssl dgst refused"):
        release.publish(built.items(), "0" * 40, keys, made)
    assert (made / "visavis.intoto.json").read_text() == before
    assert check(made, keys / "ca.pem")
    assert sorted(file.name for file in made.parent.glob("*release*")) == ["release"]


def test_a_build_that_goes_on_changes_no_release(made: Path, keys: Path, built: dict[str, Path]) -> None:
    with built["visavis.deb"].open("r+b") as package:
        package.write(b"newer")
    assert check(made, keys / "ca.pem")


def test_libraries_of_others_believe_the_signature_and_know_every_field(made: Path, source: Path) -> None:
    certificate = load_pem_x509_certificate((made / "signing.pem").read_bytes())
    envelope = Envelope.from_dict(json.loads((made / "visavis.intoto.json").read_text()))
    key = SSlibKey.from_crypto(certificate.public_key(), keyid=next(iter(envelope.signatures)))
    assert set(envelope.verify([key], 1)) == {key.keyid}
    said = json.loads(envelope.payload)
    statement = json_format.ParseDict(said, StatementMessage())
    Statement.copy_from_pb(statement).validate()
    provenance = json_format.ParseDict(said["predicate"], Provenance())
    (source_code,) = provenance.build_definition.resolved_dependencies
    assert source_code.digest["gitCommit"] == run("git", "rev-parse", "HEAD", folder=source)


def test_the_statement_says_what_else_decided_about_the_bytes(
    source: Path, keys: Path, built: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packages name a maintainer, and another Go makes another program."""
    monkeypatch.setenv("DEBFULLNAME", "A Builder")
    monkeypatch.setenv("DEBEMAIL", "builder@example.org")
    release.publish(built.items(), run("git", "rev-parse", "HEAD", folder=source), keys, tmp_path / "release")
    envelope = json.loads((tmp_path / "release/visavis.intoto.json").read_text())
    said = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["buildDefinition"]["externalParameters"]
    go = run("go", "env", "GOVERSION", folder=source)
    assert said == {"version": "1.4.0", "maintainer": "A Builder <builder@example.org>", "go": go}


def test_a_whole_release_is_believed_and_a_part_of_it_too(made: Path, keys: Path) -> None:
    assert check(made, keys / "ca.pem").startswith("3 files are as they were signed: pkg:generic/visavis@1.4.0")
    (made / "visavis-rpi5.img.zst").unlink()
    assert "2 files are as they were signed, 1 more are not here" in check(made, keys / "ca.pem")


def changed(made: Path) -> None:
    package = bytearray((made / "visavis.deb").read_bytes())
    package[-1] ^= 1
    (made / "visavis.deb").write_bytes(package)


def added(made: Path) -> None:
    (made / "visavis-extra.deb").write_bytes(b"")


def another_sum(made: Path) -> None:
    file = made / "visavis.intoto.json"
    envelope = json.loads(file.read_text())
    said = json.loads(base64.b64decode(envelope["payload"]))
    said["subject"][0]["digest"]["sha256"] = "0" * 64
    file.write_text(json.dumps({**envelope, "payload": base64.b64encode(json.dumps(said).encode()).decode()}))


def another_statement(made: Path) -> None:
    """By the right key, of something else."""
    keys = made.parent / "keys"
    envelope = signed({"_type": STATEMENT, "predicateType": "x"}, keys / "signing.key", keys / "signing.pem")
    (made / "visavis.intoto.json").write_text(json.dumps(envelope))


def nothing(made: Path) -> None:
    for name in NAMES:
        (made / name).unlink()


def another_type(made: Path) -> None:
    file = made / "visavis.intoto.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "payloadType": "text/plain"}))


def a_strangers(made: Path) -> None:
    """All signed anew, by an authority of somebody else."""
    make_keys(made.parent / "stranger", "them")
    key, certificate = (made.parent / "stranger" / name for name in ("signing.key", "signing.pem"))
    said = json.loads(base64.b64decode(json.loads((made / "visavis.intoto.json").read_text())["payload"]))
    (made / "visavis.intoto.json").write_text(json.dumps(signed(said, key, certificate)))
    (made / "signing.pem").write_bytes(certificate.read_bytes())


def by_the_authority_itself(made: Path) -> None:
    """Whose certificate is for other things."""
    key, certificate = made.parent / "keys/ca.key", made.parent / "keys/ca.pem"
    said = json.loads(base64.b64decode(json.loads((made / "visavis.intoto.json").read_text())["payload"]))
    (made / "visavis.intoto.json").write_text(json.dumps(signed(said, key, certificate)))
    (made / "signing.pem").write_bytes(certificate.read_bytes())


def a_folder_of_that_name(made: Path) -> None:
    (made / "visavis.deb").unlink()
    (made / "visavis.deb").mkdir()


def cut(made: Path) -> None:
    file = made / "visavis.intoto.json"
    file.write_text(file.read_text()[:100])


def no_envelope(made: Path) -> None:
    (made / "visavis.intoto.json").write_text("[]")


def no_statement(made: Path) -> None:
    (made / "visavis.intoto.json").unlink()


FAULTS: dict[Callable[[Path], None], str] = {
    changed: "'visavis.deb' is not the file that was signed",
    added: "does not name 'visavis-extra.deb'",
    another_sum: "no signature in the envelope is by the key",
    another_statement: "statement is of another kind",
    nothing: "none of the 3 files of the statement is in",
    another_type: "holds 'text/plain'",
    a_strangers: "openssl verify refused",
    by_the_authority_itself: "openssl verify refused",
    a_folder_of_that_name: "'visavis.deb' is not the file",
    cut: "cannot be read",
    no_envelope: "no envelope",
    no_statement: "cannot be read",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_is_not_as_it_was_signed_is_refused(fault: Callable[[Path], None], made: Path, keys: Path) -> None:
    fault(made)
    with pytest.raises(AttestationError, match=FAULTS[fault]):
        check(made, keys / "ca.pem")


def test_an_authority_of_the_system_signs_nothing_here(
    made: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_strangers(made)
    known = tmp_path / "known"
    known.mkdir()
    shutil.copy(tmp_path / "stranger/ca.pem", known)
    run("openssl", "rehash", ".", folder=known)
    monkeypatch.setenv("SSL_CERT_DIR", str(known))
    with pytest.raises(AttestationError, match="openssl verify refused"):
        check(made, keys / "ca.pem")


def test_what_no_commit_has_is_named_before_anything_is_built(source: Path, keys: Path, tmp_path: Path) -> None:
    run("git", "config", "status.showUntrackedFiles", "no", folder=source)
    for name in "abcd":
        (source / name).touch()
    with pytest.raises(AttestationError, match=r"\(a, b, c, \.\.\.\): clone it"):
        release.ready(wanted(keys, tmp_path / "out"))


def test_another_commit_than_at_the_start_is_seen(source: Path) -> None:
    before = run("git", "rev-parse", "HEAD", folder=source)
    release.unchanged(before)
    (source / "new").touch()
    commit(source)
    with pytest.raises(AttestationError, match=f"something else than {before} was checked out"):
        release.unchanged(before)


def test_keys_that_will_not_do_are_told_before_anything_is_built(source: Path, keys: Path, tmp_path: Path) -> None:
    given = wanted(keys, tmp_path / "out")
    release.ready(given)
    make_keys(tmp_path / "other", "me")
    shutil.copy(tmp_path / "other/signing.key", keys)
    with pytest.raises(AttestationError, match="no signature in the envelope is by the key"):
        release.ready(given)
    shutil.copy(tmp_path / "other/signing.pem", keys)
    with pytest.raises(AttestationError, match="openssl verify refused"):
        release.ready(given)
    (keys / "signing.key").unlink()
    with pytest.raises(AttestationError, match=r"signing\.key is missing: `visavis update keys"):
        release.ready(given)


def test_what_git_is_told_to_ignore_is_seen_too(source: Path) -> None:
    (source / "deb").mkdir()
    (source / "deb/tracked.py").touch()
    (source / ".gitignore").write_text("*.swp\n__pycache__/\n/build/\n")
    commit(source)
    (source / "build").mkdir()
    (source / "build/made.deb").touch()
    (source / "deb/__pycache__").mkdir()
    (source / "deb/__pycache__/tracked.pyc").touch()
    release.unchanged(run("git", "rev-parse", "HEAD", folder=source))
    (source / "deb/.tracked.py.swp").touch()
    with pytest.raises(AttestationError, match=r"\(deb/\.tracked\.py\.swp\)"):
        release.unchanged(run("git", "rev-parse", "HEAD", folder=source))


def test_what_git_is_told_not_to_look_at_is_named(source: Path) -> None:
    run("git", "update-index", "--skip-worktree", "pyproject.toml", folder=source)
    (source / "pyproject.toml").write_text('version = "6.6.6"\n')
    with pytest.raises(AttestationError, match=r"\(pyproject\.toml\)"):
        release.unchanged(run("git", "rev-parse", "HEAD", folder=source))


def test_what_an_owner_put_beside_a_release_is_not_taken_away(made: Path, keys: Path, built: dict[str, Path]) -> None:
    (made / "NOTES.md").touch()
    with pytest.raises(AttestationError, match=r"holds 'NOTES\.md', which is of no release"):
        release.publish(built.items(), "0" * 40, keys, made)
    assert (made / "NOTES.md").exists()


@pytest.mark.parametrize("content", ["[]", "{}", "cut", '{"payload": "W10="}'])
def test_a_statement_that_is_none_names_no_file_of_ours(content: str, made: Path) -> None:
    (made / "visavis.intoto.json").write_text(content)
    with pytest.raises(AttestationError, match="which is of no release"):
        release.free(made)


def test_a_link_leads_to_where_it_did(source: Path, keys: Path, built: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    for _ in range(2):
        release.publish(built.items(), "0" * 40, keys, tmp_path / "link")
    assert (tmp_path / "link").readlink() == Path("far")
    assert check(tmp_path / "far", keys / "ca.pem")


def test_an_exchange_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with pytest.raises(FileNotFoundError), exchanged(tmp_path / "out"):
        pass  # and no draft was made
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out/old").exists()


def test_the_bundle_of_a_board_with_boot_partitions_holds_one(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boot.fat").touch()
    monkeypatch.setattr(build, "run", lambda _: tmp_path / "visavis-rpi5.img")
    commands: list[list[str | Path]] = []
    monkeypatch.setattr(release, "commit_time_s", lambda: 0)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    names = [name for name, _ in release.image("rpi5", keys)]
    assert names == ["visavis-rpi5.img.zst", "visavis-rpi5.cdx.json", "visavis-rpi5-1.4.0.raucb"]
    assert commands[0][-2:] == ["--boot", tmp_path / "boot.fat"]


def test_a_folder_that_holds_something_else_is_not_overwritten(source: Path, keys: Path) -> None:
    with pytest.raises(AttestationError, match=r"holds 'ca\.key', which is of no release"):
        release.ready(wanted(keys, keys))


def test_a_board_that_cannot_be_made_here_is_told_before_anything_is_built(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image.build.missing_programs", lambda _: ["mmdebstrap"])
    with pytest.raises(ImageError, match="missing: mmdebstrap"):
        release.ready(wanted(keys, tmp_path / "out", "rpi5"))


def test_a_key_of_another_certificate_signs_nothing(keys: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "other", "me")
    with pytest.raises(AttestationError, match="no signature in the envelope is by the key"):
        signed({}, tmp_path / "other" / "signing.key", keys / "signing.pem")


def test_the_command_checks_and_its_complaint_is_one_line(made: Path, keys: Path) -> None:
    def said(folder: Path) -> tuple[int, str, str]:
        words = [sys.executable, "-m", "deb.check_release", str(folder), "--trust", str(keys / "ca.pem")]
        done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert said(made)[:1] == (0,)
    changed(made)
    assert said(made) == (1, "", "release: 'visavis.deb' is not the file that was signed: fetch it again\n")
