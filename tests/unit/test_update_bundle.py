# SPDX-License-Identifier: Apache-2.0
"""Keys and bundles with the real openssl and rauc: what is made is accepted, and what was tampered with is refused."""

from __future__ import annotations

import json
import random
import re
import stat
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest
from visavis.errors import UpdateError
from visavis.update import rauc
from visavis.update.bundle import Contents, make_bundle
from visavis.update.keys import CA, CA_KEY, CERTIFICATE, KEY, make_keys
from visavis.update.system import System

from tests.repo.test_laws import ROOT
from tests.unit.command import PROGRAM, visavis
from tests.unit.signers import WRONG, Forge

BUILT_AT = datetime(2026, 11, 26, 9, 0, tzinfo=timezone.utc)
DEVICE = System("visavis-generic-amd64", "1.2.0")
FLIPS = 40


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys in keys/ and, in others/, keys of somebody else; a root image and a bundle of it."""
    folder = tmp_path_factory.mktemp("update")
    answer = visavis("update", "keys", folder / "keys")
    assert answer.returncode == 0, answer.stderr
    make_keys(folder / "others")
    (folder / "root.img").write_bytes(random.Random(1).randbytes(200_000))
    bundle(folder, "good.raucb")
    return folder


def bundle(place: Path, name: str, keys: str = "keys", version: str = "1.2.0", board: str = "generic-amd64") -> Path:
    contents = Contents(board, version, BUILT_AT, {"rootfs": place / "root.img"})
    make_bundle(contents, place / keys, place / name)
    return place / name


def trusting(place: Path) -> list[str]:
    return [f"--keyring={place / 'keys' / CA}"]


def extract(place: Path, file: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """What a device does before it installs: the signature and every block are checked."""
    command = ["rauc", "extract", *trusting(place), str(file), str(to)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_keys_are_for_their_owner_alone_and_never_overwritten(place: Path) -> None:
    for file in (KEY, CA_KEY):
        assert stat.S_IMODE((place / "keys" / file).stat().st_mode) == 0o600
    assert stat.S_IMODE((place / "keys").stat().st_mode) == 0o700
    before = {file: (place / "keys" / file).read_bytes() for file in (CA, CA_KEY, KEY, CERTIFICATE)}
    again = visavis("update", "keys", place / "keys")
    assert again.returncode == 1
    assert "already holds ca.key, ca.pem, signing.key, signing.pem: devices trust these keys" in again.stderr
    assert before == {file: (place / "keys" / file).read_bytes() for file in before}
    assert not list((place / "keys").glob("*/")), "a draft was left"


def test_another_signing_pair_is_trusted_by_devices_that_know_the_authority(place: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    make_keys(keys)
    authority, first = (keys / CA).read_bytes(), (keys / CERTIFICATE).read_bytes()
    for file in (KEY, CERTIFICATE):
        (keys / file).unlink()
    again = visavis("update", "keys", keys)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith(f"{keys / KEY}      signs bundles from now on")
    assert ((keys / CA).read_bytes(), {file.name for file in keys.iterdir()}) == (
        authority,
        {CA, CA_KEY, KEY, CERTIFICATE},
    )
    assert (keys / CERTIFICATE).read_bytes() != first
    assert stat.S_IMODE((keys / KEY).stat().st_mode) == 0o600
    made = tmp_path / "second.raucb"
    make_bundle(Contents("generic-amd64", "1.2.0", BUILT_AT, {"rootfs": place / "root.img"}), keys, made)
    trusted = tmp_path / "keyring.pem"
    trusted.write_bytes(authority)
    assert rauc.info(made, [f"--keyring={trusted}"]).version == "1.2.0"


def test_the_command_says_where_to_keep_each_key(tmp_path: Path) -> None:
    said = visavis("update", "keys", tmp_path / "mine").stdout
    assert "ca.pem           goes into every image" in said
    assert "ca.key           signs new signing keys: keep it off line" in said


def test_a_bundle_says_its_board_version_and_build_date(place: Path) -> None:
    found = rauc.info(place / "good.raucb", trusting(place))
    assert found == rauc.BundleInfo("visavis-generic-amd64", "1.2.0", "2026-11-26T09:00:00Z")
    rauc.must_fit(found, DEVICE, place / "good.raucb")


def test_its_format_is_verity_and_its_content_is_the_image(place: Path, tmp_path: Path) -> None:
    done = extract(place, place / "good.raucb", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "rootfs.img").read_bytes() == (place / "root.img").read_bytes()
    shown = subprocess.run(
        ["rauc", "info", *trusting(place), str(place / "good.raucb")], capture_output=True, text=True, check=True
    )
    assert "verity" in shown.stdout


def test_the_same_image_and_time_make_the_same_payload(place: Path) -> None:
    again = bundle(place, "again.raucb").read_bytes()
    first = (place / "good.raucb").read_bytes()
    squashed = int.from_bytes(first[40:48], "little")  # squashfs notes its length there; sums with a salt follow
    assert squashed > 200_000
    assert first[:squashed] == again[:squashed]


def image(folder: Path, board: str, version: str) -> Path:
    """A root image that holds what an image says of itself, and some bytes."""
    file = folder / "tree" / "etc" / "rauc" / "system.conf"
    file.parent.mkdir(parents=True)
    text = (ROOT / "firmware-image/update/system.conf").read_text()
    file.write_text(text.replace("@BOARD@", board).replace("@VERSION@", version))
    (folder / "tree" / "content").write_bytes(random.Random(2).randbytes(200_000))
    made = folder / "rootfs.squashfs"
    subprocess.run(["mksquashfs", folder / "tree", made, "-quiet", "-no-progress"], check=True)
    return made


def test_the_command_makes_bundles_too(place: Path, tmp_path: Path) -> None:
    root, out = image(tmp_path, "rpi5", "1.3.0-rc.1"), tmp_path / "command.raucb"
    words: list[str | Path] = ["update", "bundle", root, "--board", "rpi5", "--keys", place / "keys", "--out", out]
    half = visavis(*words)
    assert "a slot of rpi5 has a boot partition too: give its image with --boot BOOT.img" in half.stderr
    answer = visavis(*words, "--boot", place / "root.img", variables={"SOURCE_DATE_EPOCH": "0"})
    assert answer.returncode == 0, answer.stderr
    assert rauc.info(out, trusting(place)) == rauc.BundleInfo("visavis-rpi5", "1.3.0-rc.1", "1970-01-01T00:00:00Z")
    again = visavis(*words, "--boot", place / "root.img", "--version", "1.3.0-rc.1")
    assert "is there already: remove it first, or name another file" in again.stderr


def test_a_bundle_is_not_called_what_its_image_is_not(place: Path, tmp_path: Path) -> None:
    """Devices compare with what their image says: by a bundle of another name an old system would get in."""
    root, out = image(tmp_path, "generic-amd64", "0.1.0"), tmp_path / "never.raucb"
    words: list[str | Path] = ["update", "bundle", root, "--keys", place / "keys", "--out", out]
    other = visavis(*words, "--board", "generic-amd64", "--version", "1.4.0")
    assert f"{root} is version 0.1.0, not 1.4.0, and devices go by that: leave --version out" in other.stderr
    board = visavis(*words, "--board", "generic-arm64", "--version", "0.1.0")
    assert f"{root} was made for generic-amd64, not for generic-arm64: use --board generic-amd64" in board.stderr
    words[2] = place / "root.img"
    assert (
        "is no root image of visavis: name build/image/BOARD/rootfs.squashfs"
        in visavis(*words, "--board", "rpi5").stderr
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [("root.img", "root.img is not there"), ("keys/signing.key", "make keys with `visavis update keys DIR`")],
)
def test_what_a_bundle_needs_and_is_not_there_is_named(
    place: Path, missing: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "keys").mkdir()
    for file in ("root.img", "keys/signing.key", "keys/signing.pem", "keys/ca.pem"):
        if file != missing:
            (tmp_path / file).write_bytes((place / file).read_bytes())
    with pytest.raises(UpdateError, match=sentence):
        bundle(tmp_path, "never.raucb")
    assert not (tmp_path / "never.raucb").exists()


def test_a_disk_without_room_for_the_copy_is_told_and_left_as_it_was(place: Path, tmp_path: Path) -> None:
    words = ["update", "bundle", image(tmp_path, "generic-amd64", "1.2.0"), "--board", "generic-amd64"]
    words += ["--keys", place / "keys", "--out", tmp_path / "large.raucb"]
    command = ["prlimit", "--fsize=100000", str(PROGRAM), *map(str, words)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert re.fullmatch(
        r"visavis: .*rootfs\.squashfs cannot be copied: .*: it needs room for a copy .*\n", answer.stderr
    )
    assert {file.name for file in tmp_path.iterdir()} == {"tree", "rootfs.squashfs"}


def test_notes_of_openssl_before_the_answer_are_no_part_of_it() -> None:
    note = (
        "C02C0780E97F0000:error:1700006B:CMS routines:cms_get_enveloped_type:content type not enveloped data:x.c:41:\n"
    )
    assert rauc.answer(f'{note * 3}{{"compatible": "x"}}') == {"compatible": "x"}
    with pytest.raises(UpdateError, match=r"rauc gives no answer that can be read: C02C.*: look into"):
        rauc.answer(note)


def test_an_unknown_board_and_a_bad_version_are_refused(place: Path) -> None:
    with pytest.raises(UpdateError, match="there is no board 'toaster': use one of generic-amd64"):
        bundle(place, "never.raucb", board="toaster")
    with pytest.raises(UpdateError, match="'latest' is not a version"):
        bundle(place, "never.raucb", version="latest")


def test_a_key_that_the_device_does_not_trust_is_refused(place: Path) -> None:
    strange = bundle(place, "strange.raucb", keys="others")
    with pytest.raises(UpdateError, match=r"signed with a key that this device does not trust: sign it with the keys"):
        rauc.info(strange, trusting(place))


@pytest.fixture
def settings(place: Path, tmp_path: Path) -> list[str]:
    """What an image tells rauc, in the words of Debian 12's, without what that one does not know."""
    text = (ROOT / "firmware-image/update/system.conf").read_text().replace("@BOARD@", "generic-amd64")
    text = re.sub(r"(?m)^(min-bundle-version|perform-pre-check)=.*\n", "", text)
    text = text.replace("=codesign-rauc", "=codesign").replace("/etc/rauc/keyring.pem", str(place / "keys" / CA))
    (tmp_path / "system.conf").write_text(text)
    return [f"--conf={tmp_path / 'system.conf'}"]


@pytest.fixture
def content(place: Path, tmp_path: Path) -> Path:
    """The folder that a bundle is made of."""
    (tmp_path / "content").mkdir()
    (tmp_path / "content/rootfs.img").write_bytes((place / "root.img").read_bytes())
    manifest = Contents("generic-amd64", "1.2.0", BUILT_AT, {"rootfs": place / "root.img"}).manifest()
    (tmp_path / "content/manifest.raucm").write_text(manifest)
    return tmp_path / "content"


STRANGE = "is signed with a key that this device does not trust: sign it with the keys"
SAID = {
    "expired": "is signed by a certificate that has expired: sign it with a new one",
    "not yet valid": "is signed by a certificate that is not valid yet: set this device's clock",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_signer_is_refused_and_what_is_wrong_is_told(
    wrong: str, place: Path, content: Path, settings: list[str], tmp_path: Path
) -> None:
    """By the image's own settings: rauc without them lets the authority's certificates for mail through, too."""
    WRONG[wrong](Forge(tmp_path, place / "keys")).bundle(content, tmp_path / "wrong.raucb")
    with pytest.raises(UpdateError, match=SAID.get(wrong, STRANGE)):
        rauc.info(tmp_path / "wrong.raucb", settings)


def test_the_right_signer_is_trusted_by_the_settings_that_refuse_the_wrong_ones(
    place: Path, content: Path, settings: list[str], tmp_path: Path
) -> None:
    Forge(tmp_path, place / "keys").signing.bundle(content, tmp_path / "right.raucb")
    assert rauc.info(tmp_path / "right.raucb", settings).version == "1.2.0"


def test_a_bundle_whose_blocks_are_not_checked_as_they_are_read_is_refused(
    place: Path, content: Path, settings: list[str], tmp_path: Path
) -> None:
    """RAUC's old format, though the right key has signed it."""
    manifest = content / "manifest.raucm"
    manifest.write_text(manifest.read_text().replace("format=verity", "format=plain"))
    Forge(tmp_path, place / "keys").signing.bundle(content, tmp_path / "plain.raucb")
    assert rauc.info(tmp_path / "plain.raucb", trusting(place)).version == "1.2.0", "without the settings it is taken"
    with pytest.raises(UpdateError, match="has a format that is forbidden: make it with `bundle`"):
        rauc.info(tmp_path / "plain.raucb", settings)


def test_an_older_version_is_refused_and_the_same_is_not(place: Path) -> None:
    older = bundle(place, "older.raucb", version="1.1.9")
    with pytest.raises(
        UpdateError, match=r"holds version 1.1.9, which is older than 1.2.0 on this device: take a newer"
    ):
        rauc.must_fit(rauc.info(older, trusting(place)), DEVICE, older)


def test_another_board_is_refused(place: Path) -> None:
    other = bundle(place, "other.raucb", board="generic-arm64")
    with pytest.raises(UpdateError, match="is for visavis-generic-arm64, this device is visavis-generic-amd64"):
        rauc.must_fit(rauc.info(other, trusting(place)), DEVICE, other)


@pytest.mark.parametrize("kept", [0, 7, 4096, 0.5, 0.98, 0.999999])
def test_a_bundle_that_was_cut_is_refused(place: Path, kept: float, tmp_path: Path) -> None:
    whole = (place / "good.raucb").read_bytes()
    (tmp_path / "cut.raucb").write_bytes(whole[: kept if isinstance(kept, int) else int(len(whole) * kept)])
    with pytest.raises(UpdateError, match=r"is cut short or is no bundle: copy it again|is damaged: copy it again"):
        rauc.info(tmp_path / "cut.raucb", trusting(place))


def test_no_flipped_bit_gets_through(place: Path, tmp_path: Path) -> None:
    """In payload, block sums, signature and the length at its end; 1,000 of them in `make test-vm-long`."""
    refused_flips(place, tmp_path, FLIPS, seed=26)


@pytest.mark.vm_long
@pytest.mark.timeout(1800)
def test_no_bit_of_a_thousand_gets_through(place: Path, tmp_path: Path) -> None:
    refused_flips(place, tmp_path, 1_000, seed=1126)


def refused_flips(place: Path, tmp_path: Path, count: int, seed: int) -> None:
    """Flip one bit in each of `count` copies of the good bundle; none may be accepted.

    The envelope of a signature holds a few bytes that nothing signs, such as a second naming of the hash. A flip in
    one of them may pass, for the content is still the one that was signed: that is looked at then.
    """
    whole, dice = (place / "good.raucb").read_bytes(), random.Random(seed)
    signature = len(whole) - 8 - int.from_bytes(whole[-8:], "big")
    tail = len(whole) - 6_000  # what is not payload is small and would seldom be hit
    for number in range(count):
        at = dice.randrange(tail) if number % 2 else dice.randrange(tail, len(whole))
        bit, out = 1 << dice.randrange(8), tmp_path / f"out{number}"
        (tmp_path / "flip.raucb").write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        done = extract(place, tmp_path / "flip.raucb", out)
        if done.returncode == 0:
            assert at >= signature, f"accepted with bit {bit} of byte {at} of {len(whole)} flipped"
            assert (out / "rootfs.img").read_bytes() == (place / "root.img").read_bytes()
            assert sorted(file.name for file in out.iterdir()) == ["manifest.raucm", "rootfs.img"]
            continue
        said = str(rauc.refusal(Path("a.raucb"), done.stderr))
        assert "refused by rauc" not in said, said


def test_what_rauc_says_newly_is_passed_on() -> None:
    assert (
        str(rauc.refusal(Path("a.raucb"), "one\nthe moon is full\n")) == "a.raucb is refused by rauc: the moon is full"
    )


def test_of_an_installation_that_failed_the_reason_is_said() -> None:
    said = "100% Installing failed.\nLastError: Failed mounting bundle: No such file\nidle\nInstalling `x` failed\n"
    expected = "corrupt.raucb is refused by rauc: Failed mounting bundle: No such file"
    assert str(rauc.refusal(Path("corrupt.raucb"), said)) == expected


def test_its_status_is_read() -> None:
    said = json.loads(STATUS)
    status = rauc.read_status(said)
    assert (status.running, status.next, status.other.name) == ("A", "B", "rootfs.1")
    assert status.other == rauc.Slot("rootfs.1", "B", False, "1.3.0", "2026-11-26T09:00:00Z")


STATUS = """
{"compatible":"visavis-generic-amd64","variant":"","booted":"A","boot_primary":"rootfs.1","slots":[
 {"rootfs.1":{"class":"rootfs","device":"/dev/vda3","type":"raw","bootname":"B","state":"inactive","parent":null,
  "mountpoint":null,"boot_status":"bad","slot_status":{"bundle":{"compatible":"visavis-generic-amd64","version":"1.3.0",
  "description":"","build":"","hash":"1"},"checksum":{"sha256":"2","size":3},"installed":{"timestamp":
  "2026-11-26T09:00:00Z","count":1},"activated":{"timestamp":"2026-11-26T09:00:01Z","count":1},"status":"ok"}}},
 {"boot.0":{"class":"boot","device":"/dev/vda4","type":"raw","bootname":null,"state":"active","parent":"rootfs.0",
  "mountpoint":null,"boot_status":null}},
 {"rootfs.0":{"class":"rootfs","device":"/dev/vda2","type":"raw","bootname":"A","state":"booted","parent":null,
  "mountpoint":"/","boot_status":"good"}}]}
"""


def test_a_service_that_is_slow_to_answer_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rauc itself would do, but not run into its 25 s here."""
    slow = tmp_path / "rauc"
    slow.write_text(f"""#!/bin/sh
echo "$@" >>{tmp_path}/asked
[ "$(wc -l <{tmp_path}/asked)" -gt 2 ] && exit 0
echo "rauc mark: Timeout was reached" >&2; exit 1
""")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    rauc.mark("good")
    assert (tmp_path / "asked").read_text() == "status mark-good booted\n" * 3


def test_where_there_is_no_image_the_remedy_is_apt() -> None:
    answer = visavis("update", "status", before=("env", "PATH=/nowhere"))
    assert answer.returncode == 1
    assert (
        "rauc is not installed: this system has no slots to update: a system of packages is updated with apt"
        in answer.stderr
    )


@pytest.mark.parametrize(
    "said",
    [
        "Failed mounting bundle: Check /dev/dm-0 device failed between 458752 and 524288 bytes with error: I/O error",
        "Installation error: Failed updating slot: Failed to copy data: Error reading from file: Input/output error",
    ],
)
def test_damage_that_only_the_kernel_sees_is_called_damage(said: str) -> None:
    """As rauc 1.13 says it on a device."""
    assert "a.raucb is damaged: copy it again" in str(rauc.refusal(Path("a.raucb"), f"LastError: {said}\n"))


def test_where_openssl_hides_what_is_wrong_with_a_signature_both_reasons_are_told() -> None:
    """What rauc 1.13 says on Ubuntu 22.04 of an expired certificate, a stranger's and a flipped byte."""
    said = "signature verification failed: error:1700006B:CMS routines::content type not enveloped data\n"
    refused = str(rauc.refusal(Path("a.raucb"), said))
    assert "a.raucb is damaged, or signed with a key that this device does not trust: copy it again" in refused
    assert "sign it with the keys" in refused


def test_an_updater_that_is_too_old_for_its_kernel_calls_nothing_damaged() -> None:
    """What rauc 1.13 says of a good bundle on Linux 7.3."""
    said = "LastError: Failed mounting bundle: Unexpected dm-verity status 'V -' (instead of '\\0')\n"
    refused = str(rauc.refusal(Path("a.raucb"), said))
    assert "a.raucb cannot be read: this system's rauc is too old for its kernel: it needs rauc 1.15.1" in refused


def test_a_full_data_partition_is_not_taken_for_an_image_that_is_too_large() -> None:
    note = "Error while writing status file: Failed to write file “/data/rauc/central.raucs.X”: No space left on device"
    assert "the data partition is full: remove" in str(rauc.refusal(Path("a.raucb"), f"LastError: {note}"))
    slot = "Installation error: Failed updating slot rootfs.1: No space left on device"
    assert "does not fit the slot" in str(rauc.refusal(Path("a.raucb"), f"LastError: {slot}"))
