# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: two authorities, and a server's that the first one signed."""

from __future__ import annotations

import subprocess
from pathlib import Path


def authority(folder: Path, name: str) -> Path:
    """Make an authority; return its certificate, beside which lies its key."""
    certificate = folder / f"{name}.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", certificate)  # fmt: skip
    return certificate


def signed_server(folder: Path, by: Path) -> None:
    """Write cert.pem and key.pem of a server called localhost and 127.0.0.1."""
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", folder / "key.pem", "-out", folder / "wish.pem")  # fmt: skip
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", folder / "wish.pem", "-CA", by, "-CAkey", by.with_suffix(".key"), "-CAcreateserial",
            "-days", "2", "-extfile", folder / "names", "-out", folder / "cert.pem")  # fmt: skip


def not_yet_valid(folder: Path, by: Path) -> None:
    """Write early.pem: the authority, from 2090 on. Only `openssl ca` takes a beginning in every version."""
    (folder / "ca.conf").write_text(
        f"[ca]\ndefault_ca = own\n[own]\ndatabase = {folder}/index\nnew_certs_dir = {folder}\nrand_serial = yes\n"
        "default_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n"
    )
    (folder / "index").touch()
    key = by.with_suffix(".key")
    openssl("req", "-new", "-key", key, "-subj", "/CN=early", "-out", folder / "wish.pem")
    openssl("ca", "-batch", "-selfsign", "-config", folder / "ca.conf", "-keyfile", key, "-in", folder / "wish.pem",
            "-startdate", "20900101000000Z", "-enddate", "20910101000000Z", "-out", folder / "early.pem")  # fmt: skip


def openssl(*words: str | Path) -> None:
    """Run openssl; its words are the failure's."""
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
