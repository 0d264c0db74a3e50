# SPDX-License-Identifier: Apache-2.0
"""A clean Debian installs from our repository by its own apt, and refuses whatever was changed on the way."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deb import beside, repository
from deb.build import SYSTEMS, package

pytestmark = [pytest.mark.vm_long, pytest.mark.timeout(1800)]

OFFERED = (("bookworm", "amd64"), ("bookworm", "arm64"), ("trixie", "amd64"))
KEY, OTHER_KEY = "packages for tests", "somebody else"
SOURCES = "etc/apt/sources.list.d/visavis.sources"
INSTALL = "env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install"
FORGET = "rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb"
OURS_ALONE = "-o Dir::Etc::sourceparts=/etc/apt/sources.list.d -o Dir::Etc::sourcelist=/dev/null"


@dataclass(frozen=True)
class Served:
    """A repository on a port of this machine."""

    folder: Path
    packages: Path
    url: str

    def make(self, key: str = KEY) -> Path:
        files = repository.make(self.packages, self.folder, key, self.url)
        return next(file for file in files if file.stem == "visavis-bookworm")


@pytest.fixture(scope="module")
def keys() -> Iterator[None]:
    """Two keys in a keyring of the test's own; its path is short, because gpg's agent has a socket there."""
    folder = tempfile.mkdtemp(prefix="gpg-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", folder)
        for name in (KEY, OTHER_KEY):
            make_key = [
                "gpg",
                "-q",
                "--batch",
                "--passphrase",
                "",
                "--quick-generate-key",
                name,
                "ed25519",
                "sign",
                "1d",
            ]
            subprocess.run(make_key, check=True)
        yield
        subprocess.run(["gpgconf", "--kill", "all"], check=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def served(keys: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    packages, folder = tmp_path_factory.mktemp("packages"), tmp_path_factory.mktemp("apt")
    for system in OFFERED:
        package(SYSTEMS[system], "0.1.0", packages)
    beside.packages("0.1.0", packages)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Served(folder, packages, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


@pytest.fixture(scope="module")
def debian(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian 12 with nothing but apt, and with our packages, that apt fetched from the repository."""
    root = tmp_path_factory.mktemp("debian") / "root"
    hooks = [
        f"upload {served.make()} /{SOURCES}",
        "chroot $1 apt-get -q update",
        f"chroot $1 {INSTALL} visavis-broker visavis",
        f"chroot $1 sh -c '{FORGET}'",
    ]
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=apt",
        "--dpkgopt=force-unsafe-io",
        *(f"--customize-hook={hook}" for hook in hooks),
    ]
    subprocess.run([*command, "--skip=cleanup/apt", "bookworm", str(root)], check=True)
    yield root
    shutil.rmtree(root)


def inside(root: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["chroot", str(root), "sh", "-c", command], capture_output=True, text=True, check=False)


def fetched(root: Path) -> subprocess.CompletedProcess[str]:
    """What apt says that asks for lists and one package anew."""
    get = f"apt-get {OURS_ALONE} -q"
    # A whole package that lies there already would not be fetched.
    return inside(
        root, f"{FORGET} /tmp/*.deb; {get} update --error-on=any && cd /tmp && {get} download visavis-tensorrt"
    )


def test_apt_installs_from_it_in_a_clean_debian(debian: Path) -> None:
    assert inside(debian, "visavis --version").stdout.startswith("visavis ")
    checked = inside(debian, "visavis-capture -config /etc/visavis/config.toml -check")
    assert checked.stdout == "ok\n", checked.stderr
    assert "install ok installed" in inside(debian, "dpkg -s visavis-broker").stdout
    assert fetched(debian).returncode == 0


@pytest.mark.parametrize(("suite", "architecture"), OFFERED)
def test_each_system_is_offered_its_own_package(served: Served, suite: str, architecture: str) -> None:
    served.make()
    listed = (served.folder / f"dists/{suite}/main/binary-{architecture}/Packages").read_text()
    offered = sorted(re.findall(r"(?m)^Filename: (pool/\S+/visavis_\S+)", listed))
    assert offered == [f"pool/{suite}/visavis_0.1.0+{suite}_{architecture}.deb"]
    sha256 = hashlib.sha256((served.folder / offered[0]).read_bytes()).hexdigest()
    assert f"\nSHA256: {sha256}\n" in listed
    assert architecture in re.findall(r"(?m)^Architectures: (.+)$", release_of(served, suite))[0].split()


def release_of(served: Served, suite: str) -> str:
    """The Release that its signature is for."""
    command = ["gpg", "--batch", "--decrypt", str(served.folder / f"dists/{suite}/InRelease")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_system_that_is_made_in_a_chroot_starts_it(debian: Path) -> None:
    assert (
        inside(debian, "systemctl is-enabled visavis.target visavis-infer@1.service").stdout.split() == ["enabled"] * 2
    )


def test_a_device_that_is_installed_with_its_broker_is_a_user_of_it(debian: Path) -> None:
    assert "credential:mqtt.password" in inside(debian, "cat /etc/visavis/conf.d/broker.toml").stdout
    assert inside(debian, "stat -c '%a %U' /etc/mosquitto/visavis.passwd").stdout == "600 mosquitto\n"


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("pool/bookworm/visavis-tensorrt_0.1.0_all.deb", "Hash Sum mismatch"),
        ("dists/bookworm/main/binary-amd64/Packages.gz", "Hash Sum mismatch"),
        ("dists/bookworm/InRelease", "invalid"),
    ],
)
def test_a_changed_byte_is_refused(served: Served, debian: Path, changed: str, words: str) -> None:
    served.make()
    flip_a_byte(served.folder / changed)
    if changed.endswith(".gz"):
        (served.folder / changed).with_suffix("").unlink()
    said = fetched(debian)
    served.make()
    assert said.returncode != 0
    assert words in said.stderr, said.stderr
    assert fetched(debian).returncode == 0


def test_another_key_is_not_believed(served: Served, debian: Path) -> None:
    served.make(OTHER_KEY)
    said = fetched(debian)
    served.make()
    assert said.returncode != 0
    assert "NO_PUBKEY" in said.stderr, said.stderr


def test_the_same_packages_make_the_same_lists(served: Served) -> None:
    lists = ("Release", "main/binary-amd64/Packages", "main/binary-amd64/Packages.gz")
    served.make()
    before = [(served.folder / "dists/bookworm" / name).read_bytes() for name in lists]
    served.make()
    assert [(served.folder / "dists/bookworm" / name).read_bytes() for name in lists] == before


@pytest.mark.usefixtures("keys")
def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(repository.RepositoryError, match="run `make deb`"):
        repository.make(tmp_path, tmp_path / "apt", KEY, "file:///x")
    with pytest.raises(repository.RepositoryError, match="--quick-generate-key"):
        repository.make(tmp_path, tmp_path / "apt", "nobody", "file:///x")
