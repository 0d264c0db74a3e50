# SPDX-License-Identifier: Apache-2.0
"""When the Debians below the images of containers are made anew, for which processor, and what is in them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from containers import build
from deb import kept
from deb.kept import REPOSITORY
from tests.delivered import Image, delivered
from tests.unit.own_system import alone, program
from tests.waiting import HANG_S

PROXY = build.BUILDERS.lstrip("/")
WITH_BUILDAH = pytest.mark.skipif(shutil.which("buildah") is None, reason="`scripts/setup.sh vm` installs buildah")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(build, "CACHE", tmp_path / "vm")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # buildah's notes of what is mounted
    return tmp_path / "vm"


def test_images_are_made_anew_each_month_and_the_former_ones_take_no_place(cache: Path) -> None:
    (cache / "containers").mkdir(parents=True)
    (cache / "base-generic-amd64-17").mkdir()  # a system's image, which has a recipe of its own
    (cache / "base-trixie-amd64").mkdir()
    (cache / "base-bookworm-arm64").mkdir()
    october = build.folder_of("2026-10")
    (october / "made").mkdir()
    assert build.folder_of("2026-10") == october
    assert (october / "made").exists()
    november = build.folder_of("2026-11")
    assert sorted(cache.iterdir()) == sorted([cache / "base-generic-amd64-17", november])
    assert not any(november.iterdir())


@WITH_BUILDAH
def test_a_build_that_failed_does_not_keep_the_next_month_from_being_made(cache: Path, tmp_path: Path) -> None:
    october = build.folder_of("2026-10")
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY Dockerfile /\nRUN ["/none"]\n')
    command = build.in_store(october, "build", "-q", "--isolation=chroot", "--layers", str(tmp_path))
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "/none" in failed.stderr, failed.stderr
    november = build.folder_of("2026-11")
    assert list(cache.iterdir()) == [november]


def test_what_cannot_be_removed_is_told_and_keeps_nobody_from_building(cache: Path, tmp_path: Path) -> None:
    busy = cache / "containers-2026-10" / "busy"
    busy.mkdir(parents=True)
    (cache / "containers-2026-09").mkdir()
    made = "from containers import build; build.CACHE = build.Path('vm'); build.folder_of('2026-11')"
    program = f'PYTHONPATH={REPOSITORY} {sys.executable} -c "{made}"'
    done = alone(tmp_path, f"mount -t tmpfs none {busy} && {program}", HANG_S)
    assert done.returncode == 0, done.stderr
    assert "containers: vm/containers-2026-10 of another month cannot be removed" in done.stderr
    assert sorted(path.name for path in cache.iterdir()) == ["containers-2026-10", "containers-2026-11"]


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_images_are_for_the_machines_own_processor_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    monkeypatch.setattr(build, "NATIVE", architecture)
    assert build.parsed([]).arch == architecture
    assert build.parsed(["--arch", "arm64", "daemon"]).arch == "arm64"


@pytest.fixture
def month(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of the test's own, and Debians that have no more than a file."""

    def debian(suite: str, architecture: str, file: Path) -> None:
        issue = file.with_name("issue")
        issue.write_text(f"{suite} {architecture}\n")
        subprocess.run(["tar", "-C", file.parent, "-cf", file, issue.name], check=True)

    monkeypatch.setattr(build, "debian", debian)
    monkeypatch.setattr(kept, "CACHE", cache)
    monkeypatch.setattr(build, "folder_of_this_month", lambda: build.folder_of("2026-10"))


def saved(image: str) -> Image:
    """An image as it is delivered."""
    return delivered(build.save(image, "docker.io/library/any:latest"))


@WITH_BUILDAH
@pytest.mark.usefixtures("month")
def test_packages_may_come_through_a_proxy_that_signs_for_the_world_and_no_image_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proxy.crt").write_text("its certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "proxy.crt"))
    monkeypatch.setattr(build, "ARCHIVES", tmp_path / "archives")
    given = build.arguments(build.NATIVE)
    for word in ("BASE", "OLDER_BASE"):
        assert saved(given[word]) == ({}, {"issue"})
    trusting = {"SSL_CERT_FILE": f"/{PROXY}", "PIP_CERT": f"/{PROXY}"}
    for word in ("BUILD_BASE", "FETCH_BASE", "OLDER_FETCH_BASE"):
        assert saved(given[word]) == (trusting, {"issue", PROXY})
    assert build.arguments(build.NATIVE) == given
    (tmp_path / "proxy.crt").write_text("its next one")
    assert build.arguments(build.NATIVE)["FETCH_BASE"] != given["FETCH_BASE"]


@WITH_BUILDAH
@pytest.mark.usefixtures("month")
def test_without_such_a_proxy_packages_are_fetched_where_images_are_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    given = build.arguments(build.NATIVE)
    assert given["BASE"] == given["FETCH_BASE"] == given["BUILD_BASE"]
    assert given["OLDER_BASE"] == given["OLDER_FETCH_BASE"] != given["BASE"]


def test_the_daemon_trusts_debians_authorities_and_none_of_its_builders(tmp_path: Path) -> None:
    """A Debian that compiles may have a proxy's among all of its own, by `update-ca-certificates`."""
    all_of_them = "etc/ssl/certs/ca-certificates.crt"
    package = [tmp_path / "share/ca-certificates/mozilla" / f"{name}.crt" for name in ("One", "Two")]
    for file in (*package, tmp_path / all_of_them):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{file.stem}\n")
    (tmp_path / all_of_them).write_text("One\nproxy\nTwo\n")
    for name in ("collect.sh", "authorities.sh"):
        shutil.copy(REPOSITORY / "containers" / name, tmp_path)
    for name in ("libraries.sh", "licences.sh"):
        program(tmp_path / name, "")
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin/install", 'for last; do :; done\n[ "$1" != -d ] || mkdir -p "$last"')  # it copies nothing
    mounts = "mount --bind etc /etc && mount --bind share /usr/share"
    done = alone(tmp_path, f"{mounts} && PATH=$PWD/bin:$PATH ./collect.sh image", HANG_S)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "image" / all_of_them).read_text() == "One\nTwo\n"
    assert "ca-certificates.crt" not in (REPOSITORY / "containers/collect.sh").read_text()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="only Debian's images are built there")
def test_a_package_leaves_its_documents_out_and_tells_its_terms(tmp_path: Path) -> None:
    package, root = tmp_path / "package", tmp_path / "root"
    for name in ("DEBIAN/control", "usr/share/doc/one/copyright", "usr/share/doc/one/changelog.gz", "usr/share/man/1"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("Package: one\nVersion: 1\nArchitecture: all\nMaintainer: me\nDescription: one\n")
    (package / "usr/share/doc/two").symlink_to("one")
    for folder in ("updates", "info"):
        (root / "var/lib/dpkg" / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", package, tmp_path / "one.deb"], check=True)
    options = [f"--{option}" for option in build.LEFT_OUT]
    own = ["--force-not-root", f"--root={root}", f"--log={tmp_path}/log"]
    subprocess.run(["dpkg", *own, *options, "--unpack", tmp_path / "one.deb"], check=True)
    assert {str(path.relative_to(root)) for path in (root / "usr").rglob("*") if not path.is_dir()} == {
        "usr/share/doc/one/copyright"
    }
    assert (root / "usr/share/doc/two/copyright").exists()  # a package that has its terms from another
