# SPDX-License-Identifier: Apache-2.0
"""How an image is laid out, pinned and listed, as far as that can be seen without making one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from image import HERE, build, disk, grub, root, users
from image.boards import BOARDS, Board
from image.errors import ImageError
from image.packages import Lock, Package, download, keep, missing_programs, parse_uris, read_lock, write_lock
from visavis.update import keys

from deb import golang, sbom
from tests.e2e.brokers import end_mosquitto
from tests.unit.served import address_of, served
from tests.waiting import until

BOARD = BOARDS["generic-amd64"]
LOCK = Lock(1_795_651_200, (Package("debian", "pool/main/a/acl/acl_2.3_amd64.deb", "ab" * 32),))


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_partitions_follow_each_other_and_have_the_names_that_updates_use(board: Board) -> None:
    placed = list(board.table.placed())
    labels = [part.label for part, _ in placed]
    assert (labels[0], labels[-2:]) == ("visavis-esp", ["visavis-a", "visavis-b"])
    ends = [start_mib + part.size_mib for part, start_mib in placed]
    assert [start_mib for _, start_mib in placed] == [disk.FIRST_MIB, *ends[:-1]]
    assert board.table.size_mib > ends[-1]
    assert [part.filled_with for part, _ in placed if part.label.endswith("-b")] == [""] * (len(labels) // 2)


def test_sfdisk_writes_the_table_and_the_same_one_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "SLOT_MIB", 4)
    monkeypatch.setattr("image.grub.FIRST_PARTITION_MIB", 4)
    images = [tmp_path / name for name in ("one.img", "two.img")]
    contents = {"first": tmp_path / "first", "root": tmp_path / "root"}
    contents["first"].write_bytes(b"boot" * 100)
    contents["root"].write_bytes(b"system" * 100)
    for image in images:
        disk.assemble(BOARD.table, contents, image)
    dumped = json.loads(subprocess.run(["sfdisk", "-J", images[0]], capture_output=True, text=True, check=True).stdout)
    assert [one["name"] for one in dumped["partitiontable"]["partitions"]] == ["visavis-esp", "visavis-a", "visavis-b"]
    assert subprocess.run(["cmp", *images], check=False).returncode == 0
    written = images[0].read_bytes()
    assert len(written) == BOARD.table.size_mib << 20
    for (_, start_mib), content in zip(BOARD.table.placed(), (b"boot", b"system", b"\0\0\0"), strict=True):
        assert written[start_mib << 20 :].startswith(content)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    for name, size_mib in (("root", disk.SLOT_MIB), ("first", disk.FIRST_PARTITION_MIB)):
        with (tmp_path / name).open("wb") as out:
            out.truncate((size_mib << 20) + 1)
        with pytest.raises(ImageError, match=f"{name} has .* leave packages out"):
            disk.must_fit(BOARD.table, {name: tmp_path / name})
    (tmp_path / "files").mkdir()
    (tmp_path / "first").rename(tmp_path / "files/first")
    about = disk.FileSystem(BOARD.name, "VISAVIS", disk.FIRST_PARTITION_MIB, LOCK.date_s)
    with pytest.raises(ImageError, match="do not fit 128 MiB: make it larger"):
        disk.fat(about, tmp_path / "files", tmp_path / "image")


@pytest.mark.parametrize(
    ("program_mib", "system_mib", "said"),
    [
        (34, 0, "VISAVIS: files of .* bytes do not fit 34 MiB: make it larger"),
        (0, 5, "rootfs.squashfs has 5242880 bytes and its partition 4194304: leave packages out"),
    ],
)
def test_an_image_whose_parts_leave_no_room_ends_in_a_sentence(
    program_mib: int,
    system_mib: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def squash(_: Path, file: Path, __: int) -> None:
        file.write_bytes(bytes(system_mib << 20))

    monkeypatch.setattr("image.disk.SLOT_MIB", 4)
    monkeypatch.setattr("image.grub.FIRST_PARTITION_MIB", 34)
    monkeypatch.setattr(grub.Grub, "program", lambda *_: bytes(program_mib << 20))
    monkeypatch.setattr(build, "check", lambda *_: None)  # who may make one, and with what
    monkeypatch.setattr(build, "package", lambda *_: tmp_path)
    monkeypatch.setattr(sbom, "of_system", lambda *_: b"parts")
    monkeypatch.setattr(root, "make", lambda _, tree: disk.write_files({sbom.INSIDE: b"", "etc/passwd": b""}, tree))
    monkeypatch.setattr(root, "squash", squash)
    monkeypatch.setattr(sys, "argv", ["image", "--board", BOARD.name, "--out", str(tmp_path)])
    assert build.main() == 1
    answer = capsys.readouterr()
    assert answer.out == ""
    assert re.fullmatch(f"image: {said}", answer.err.splitlines()[-1])


def test_a_fat_partition_is_the_same_each_time_and_can_be_read(tmp_path: Path) -> None:
    for name in ("one", "two"):
        disk.write_files({"EFI/BOOT/BOOTX64.EFI": b"program"}, tmp_path / name)
        disk.fat(disk.FileSystem(BOARD.name, "VISAVIS", 64, LOCK.date_s), tmp_path / name, tmp_path / f"{name}.fat")
    assert subprocess.run(["cmp", tmp_path / "one.fat", tmp_path / "two.fat"], check=False).returncode == 0
    read = ["mtype", "-i", str(tmp_path / "one.fat"), "::/EFI/BOOT/BOOTX64.EFI"]
    assert subprocess.run(read, capture_output=True, check=True).stdout == b"program"


def test_grub_finds_its_program_and_its_variables_where_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grub.Grub, "program", lambda _, root: str(root).encode())
    files = BOARD.loader.first_files(tmp_path)
    assert files["EFI/BOOT/BOOTX64.EFI"] == str(tmp_path).encode()
    assert f"/{grub.FOLDER}/grubenv".encode() in files[f"{grub.FOLDER}/grub.cfg"]
    assert len(files[f"{grub.FOLDER}/grubenv"]) == 1024


def test_a_lock_can_be_read_again_and_a_damaged_one_is_said(tmp_path: Path) -> None:
    file = tmp_path / "board.lock"
    with pytest.raises(ImageError, match="--relock"):
        read_lock(file)
    write_lock(file, LOCK)
    assert read_lock(file) == LOCK
    file.write_text(file.read_text() + "debian only-two\n")
    with pytest.raises(ImageError, match="damaged"):
        read_lock(file)


def test_what_apt_names_is_pinned() -> None:
    address = "http://deb.debian.org/debian-security/pool/main/g/glib/x_1%2b2%7edeb_amd64.deb"
    said = f"'{address}' x_1+2~deb_amd64.deb 5 SHA256:{'cd' * 32}\n"
    assert list(parse_uris(said)) == [Package("debian-security", "pool/main/g/glib/x_1+2~deb_amd64.deb", "cd" * 32)]


@pytest.mark.parametrize("name", BOARDS)
def test_the_locks_in_the_repository_name_what_their_boards_install(name: str) -> None:
    files = [package.path.rsplit("/", 1)[-1].split("_") for package in read_lock(BOARDS[name].lock).packages]
    assert set(BOARDS[name].every_package) <= {file[0] for file in files}
    assert {file[-1] for file in files} == {"all.deb", f"{BOARDS[name].architecture}.deb"}


@pytest.mark.parametrize("name", BOARDS)
def test_what_is_asked_of_a_newer_suite_brings_nothing_else_from_there(name: str) -> None:
    """dpkg is what firmware from a later Debian would bring."""
    versions = {
        package.kept.name.split("_")[1] for package in read_lock(BOARDS[name].lock).packages if package.name == "dpkg"
    }
    assert {version.split(".")[:2] == ["1", "22"] for version in versions} == {True}


def version_of(name: str, board: str) -> tuple[int, ...]:
    """The first three numbers of the version that a board's lock has of a package."""
    (file,) = (package.kept.name for package in read_lock(BOARDS[board].lock).packages if package.name == name)
    return tuple(int(part) for part in re.findall(r"\d+", file.split("_")[1])[:3])


@pytest.mark.parametrize("name", BOARDS)
def test_the_updater_of_a_board_knows_what_its_kernel_says_of_a_bundle(name: str) -> None:
    """From Linux 6.19 on dm-verity tells of what it has mended, which rauc before 1.15.1 took for damage."""
    kernel = version_of(f"linux-image-{BOARDS[name].architecture}", name)
    assert kernel < (6, 19) or version_of("rauc", name) >= (1, 15, 1)


def test_a_board_is_made_of_another_by_what_their_locks_differ_in(tmp_path: Path) -> None:
    names = ("acl_2.3_amd64.deb", "bash_5_amd64.deb", "grub_2_amd64.deb", "acl_2.4_amd64.deb", "linux_7_amd64.deb")
    acl, bash, grub_2, acl_4, linux = (Package("debian", name, f"{at:064x}") for at, name in enumerate(names))
    before, after = Lock(1, (acl, bash, grub_2)), Lock(2, (bash, acl_4, linux))
    assert root.differences(before, after) == (["acl", "linux"], ["grub"])
    paragraph = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {}\n"
    gone = "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    found = [paragraph.format(name, version) for name, version in (("bash", "5"), ("acl", "1:2.4"), ("linux", "7"))]
    status.write_text("\n".join([*found, gone]))
    root.must_hold(tmp_path, after)
    status.write_text("\n".join(found[:2]))
    with pytest.raises(ImageError, match="does not hold what its lock names: linux_7_amd64"):
        root.must_hold(tmp_path, after)


def test_a_root_that_is_made_another_day_is_packed_the_same(tmp_path: Path) -> None:
    for day in (5, 6):
        tree = tmp_path / f"{day}"
        tree.mkdir()
        for name, time_s in (("debians", 1), ("made", day)):
            (tree / name).write_text(name)
            os.utime(tree / name, (day, time_s))
        root.pack(tree, tmp_path / f"{day}.tar", 4)
    assert (tmp_path / "5.tar").read_bytes() == (tmp_path / "6.tar").read_bytes()
    with tarfile.open(tmp_path / "5.tar") as archive:
        assert [archive.getmember(f"./{name}").mtime for name in ("debians", "made")] == [1, 4]


def test_what_has_to_be_configured_before_others_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image.packages.KEPT", tmp_path)
    made = []
    for name, field in (("image", "Pre-Depends: base (>= 2)\n"), ("base", ""), ("other", "Depends: image\n")):
        control = tmp_path / name / "DEBIAN/control"
        control.parent.mkdir(parents=True)
        control.write_text(
            f"Package: {name}\nVersion: 2\nArchitecture: all\nMaintainer: X <x@x>\nDescription: x\n{field}"
        )
        made.append(Package("debian", f"{name}_2_all.deb", name.encode().hex().ljust(64, "0")))
        made[-1].kept.parent.mkdir()
        build = ["dpkg-deb", "--root-owner-group", "-b", str(tmp_path / name), str(made[-1].kept)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    assert [[one.name for one in some] for some in root.in_order(made)] == [["base"], ["image", "other"]]


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """A root as mmdebstrap's hooks leave it before the first package that makes a user."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nusers:x:100:\n")
    for hook in users.HOOKS:
        subprocess.run(["sh", "-c", hook.removeprefix("--essential-hook="), "sh", tmp_path], check=True)
    return tmp_path


def test_systemd_makes_no_user_anew_that_has_a_fixed_number(numbered: Path) -> None:
    before = [(numbered / "etc" / name).read_text() for name in ("passwd", "shadow")]
    ours = HERE.parent / "systemd/sysusers.d/visavis.conf"
    with (numbered / "etc/group").open("a") as group:
        group.write("video:x:44:\n")
    done = subprocess.run(["systemd-sysusers", f"--root={numbered}", ours], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [(numbered / "etc" / name).read_text() for name in ("passwd", "shadow")] == before
    assert "video:x:44:visavis\n" in (numbered / "etc/group").read_text()
    users.must_be_fixed(numbered)


def test_each_user_of_whom_a_device_keeps_files_has_a_fixed_number() -> None:
    lines = (HERE.parent / "systemd/sysusers.d/visavis.conf").read_text().splitlines()
    keepers = {
        "mosquitto",
        "systemd-network",
        "systemd-timesync",
        *(line.split()[1] for line in lines if line[0] == "u"),
    }
    fixed_users, fixed_groups = dict(users.numbers(users.USERS)), dict(users.numbers(users.GROUPS))
    assert keepers <= set(fixed_users)
    assert keepers | {"systemd-journal"} <= set(fixed_groups)
    for fixed in (fixed_users, fixed_groups):
        assert len(set(fixed.values())) == len(fixed)
        assert set(fixed.values()) <= set(users.NEXT_FREE)


@pytest.mark.parametrize(("file", "line"), [("passwd", "new:x:986:986::/:/bin/false"), ("group", "_new:x:105:")])
def test_a_root_in_which_a_package_took_the_next_free_number_is_refused(file: str, line: str, numbered: Path) -> None:
    users.must_be_fixed(numbered)
    with (numbered / "etc" / file).open("a") as out:
        out.write(f"{line}\n")
    name, _, number, *_ = line.split(":")
    with pytest.raises(ImageError, match=rf"/etc/{file} .*, {name} \({number}\): enter them in .*users.py"):
        users.must_be_fixed(numbered)


def test_the_fixed_numbers_come_before_all_packages_and_with_them_another_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr("image.root.fetch", lambda _: None)
    monkeypatch.setattr("image.root.repository", lambda *_: None)
    monkeypatch.setattr("image.root.subprocess.run", lambda command, **_: asked.append(command))
    root.install(BOARD, LOCK, tmp_path)
    assert set(users.HOOKS) <= set(asked[0])
    names: list[str] = []

    def note(name: str, _: object) -> Path:
        names.append(name)
        return tmp_path

    monkeypatch.setattr("image.root.kept", note)
    root.base(BOARD, LOCK)
    monkeypatch.setattr(users, "HOOKS", ())
    root.base(BOARD, LOCK)
    assert names[0] != names[1]


def test_what_a_machine_lacks_for_an_image_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false = shutil.which("false")
    assert false
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = missing_programs("arm64")
    assert {"mmdebstrap", "mksquashfs", "arch-test"} <= set(missing)
    for name in missing:
        (tmp_path / name).symlink_to(false)  # what arch-test says of a processor whose programs do not run here
    assert missing_programs("arm64") == ["an emulator for programs of arm64 (qemu-user-static with binfmt_misc)"]


def test_an_image_is_not_older_than_the_keys_that_it_trusts(tmp_path: Path) -> None:
    """A board without a battery for its clock would call their bundles not valid yet."""
    before_s = int(time.time())
    keys.make_keys(tmp_path)
    assert before_s <= build.trusted_from_s(tmp_path / keys.CA) <= time.time()
    assert build.trusted_from_s(None) == 0


def test_a_keyring_that_openssl_cannot_read_is_said(tmp_path: Path) -> None:
    keyring = tmp_path / "keys.pem"
    keyring.write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    with pytest.raises(ImageError, match="--keyring holds a certificate that openssl cannot read"):
        build.trusted_from_s(keyring)
    keyring.write_bytes(b"\x30\x82\x01\xff")  # as openssl writes one in DER
    with pytest.raises(ImageError, match=r"--keyring: .*/keys\.pem is no text: name a file of certificates in PEM"):
        build.trusted_from_s(keyring)


STATUS = """Package: acl
Status: install ok installed
Architecture: amd64
Version: 1:2.3

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
GO = """visavis-capture: go1.24.4
\tpath\tvisavis/capture/cmd/visavis-capture
\tdep\tgithub.com/BurntSushi/toml\tv1.5.0\th1:sum
\tdep\texample.org/old\tv1.0.0
\t=>\texample.org/new\tv1.0.1\th1:sum
\tbuild\t-tags=x
"""


def test_the_list_of_parts_names_debian_python_and_go(tmp_path: Path) -> None:
    status, site = tmp_path / "var/lib/dpkg/status", tmp_path / "usr/lib/visavis/lib/python3.13/site-packages"
    status.parent.mkdir(parents=True)
    status.write_text(STATUS)
    (site / "numpy-2.0.dist-info").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text('ID=debian\nVERSION_CODENAME=trixie\nPRETTY_NAME="Debian 13"\n')
    (site / "numpy-2.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 2.0\n\nText: no\n")
    found = [*sbom.packages(tmp_path, LOCK.sums), *sbom.python(tmp_path), *sbom.go_modules(golang.modules_in(GO))]
    about = sbom.product("visavis-generic-amd64", "1.0")
    document = sbom.document(about, found, 1_795_651_200)
    assert document == sbom.document(about, list(reversed(found)), 1_795_651_200)
    said = json.loads(document)
    assert (said["bomFormat"], said["specVersion"]) == ("CycloneDX", "1.6")
    parts = {part["purl"]: part for part in said["components"]}
    assert set(parts) == {
        "pkg:deb/debian/acl@1:2.3?arch=amd64&distro=trixie",
        "pkg:pypi/numpy@2.0",
        "pkg:golang/stdlib@1.24.4",
        "pkg:golang/github.com/BurntSushi/toml@v1.5.0",
        "pkg:golang/example.org/new@v1.0.1",
    }
    assert parts["pkg:deb/debian/acl@1:2.3?arch=amd64&distro=trixie"]["hashes"][0]["content"] == "ab" * 32


def copy_program(name: str, tree: Path) -> None:
    """A program of this machine and its libraries."""
    program = shutil.which(name)
    assert program
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for file in (program, *re.findall(r"(/\S+) \(0x", said)):
        (tree / file[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(file).resolve(), tree / file[1:])


def test_what_is_mounted_for_a_program_of_a_root_is_seen_by_it_alone(tmp_path: Path) -> None:
    """So nothing is left of it by a build that is killed."""
    for name in ("proc", "dev"):
        (tmp_path / name).mkdir()
    copy_program("sh", tmp_path)
    builder = [*([] if os.geteuid() == 0 else ["unshare", "-rmpf"]), sys.executable, "-c", BUILDER, str(tmp_path)]
    mine = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": f"{HERE}:{HERE.parent}:{HERE.parent / 'trt-infer'}"}
    with subprocess.Popen(builder, env=mine, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "mounted: []\n"
    assert running.returncode == 0
    assert "null" in (tmp_path / "seen").read_text().split()
    assert (tmp_path / "temporary").read_text() == "\n"  # and this machine's folder for them is none of the root's


# Looks what is mounted below a root while a program runs there, until its input ends.
BUILDER = """
import sys, threading, time
from pathlib import Path
from image.root import inside
tree = Path(sys.argv[1])
words = ("sh", "-c", "cd /dev; echo * >/seen; echo $TMPDIR >/temporary; : >/begun; read all")
threading.Thread(target=inside, args=(tree, 0, *words)).start()
while not (tree / "begun").exists():
    time.sleep(0.05)
mounts = [line.split()[4] for line in open("/proc/self/mountinfo")]
print("mounted:", [place for place in mounts if place.startswith(sys.argv[1])], flush=True)
"""


def pinned_package(content: bytes) -> Package:
    return Package("debian", "pool/a_1_amd64.deb", hashlib.sha256(content).hexdigest())


def test_a_package_for_which_there_is_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image.packages.KEPT", tmp_path)
    content = b"x" * 10_000
    package = pinned_package(content)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            keep(package, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("theirs", "short_of"), [(b"whole", 2), (b"another", 0)])
def test_a_package_that_the_mirror_gives_cut_short_or_changed_is_asked_of_the_archive(
    theirs: bytes, short_of: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirror(theirs, short_of) as damaged, mirror(b"whole") as archive:
        monkeypatch.setattr("image.packages.MIRROR", damaged)
        monkeypatch.setattr("image.packages.SNAPSHOT", archive)
        assert download(pinned_package(b"whole"), LOCK.date_s) == b"whole"


def test_a_package_with_another_sum_everywhere_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with mirror(b"another") as both:
        monkeypatch.setattr("image.packages.MIRROR", both)
        monkeypatch.setattr("image.packages.SNAPSHOT", both)
        with pytest.raises(ImageError, match=r"^a: .* has the sum \w+, not \w+; .*--relock$"):
            download(pinned_package(b"whole"), LOCK.date_s)


@contextmanager
def mirror(content: bytes, short_of: int = 0) -> Iterator[str]:
    """A web server that has one file for whoever asks, and may end before its last bytes; its address."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) - short_of])

    with served(answer) as server:
        yield address_of(server)


def test_the_brokers_log_goes_to_the_journal_and_not_into_a_file_that_nothing_rotates(tmp_path: Path) -> None:
    file, journal = tmp_path / "mosquitto.log", tmp_path / "stderr"
    settings = f"log_dest file {file}\ninclude_dir {HERE / 'rootfs/etc/mosquitto/conf.d'}\n"  # as Debian ships them
    (tmp_path / "mosquitto.conf").write_text(f"{settings}user root\nlistener 0 {tmp_path / 'socket'}\n")
    command = ["mosquitto", "-c", str(tmp_path / "mosquitto.conf")]
    with journal.open("w") as out, subprocess.Popen(command, stderr=out) as broker:
        until(lambda: " running" in journal.read_text() or file.exists(), "mosquitto says nothing")
        end_mosquitto(broker)
    assert not file.exists(), journal.read_text()
