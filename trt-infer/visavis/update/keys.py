# SPDX-License-Identifier: Apache-2.0
"""The keys of an owner: an authority that every device trusts, and a certificate from it that signs updates.

Two, so that the signing key can be replaced without touching a device: the authority's key signs once and is put away.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from visavis.errors import UpdateError

CA_KEY, CA, KEY, CERTIFICATE = "ca.key", "ca.pem", "signing.key", "signing.pem"
SECRETS = (CA_KEY, KEY)
CA_DAYS, SIGNING_DAYS = 30 * 365, 10 * 365
EXTENSIONS = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[signing]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
# RAUC on a device asks for the first; a rauc that has no configuration, as where bundles are made, for the second.
extendedKeyUsage = codeSigning, emailProtection
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def make_keys(folder: Path, name: str = "visavis") -> None:
    """Write the four files into `folder`, which is made; secrets with mode 0600.

    Args:
        folder: where they go.
        name: the owner, as the certificates say it.

    Raises:
        UpdateError: one of them is there already, or openssl is missing or refuses.
    """
    there = [file for file in (CA_KEY, CA, KEY, CERTIFICATE) if (folder / file).exists()]
    if there:
        raise UpdateError(
            f"{folder} already holds {', '.join(there)}",
            "devices trust these keys: choose another folder, or move the old ones away yourself",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as draft:
        _make(Path(draft), name)
        for file in (CA_KEY, CA, KEY, CERTIFICATE):
            (Path(draft) / file).rename(folder / file)


def _make(folder: Path, name: str) -> None:
    (folder / "extensions.conf").write_text(EXTENSIONS)
    for key in SECRETS:
        _openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        (folder / key).chmod(0o600)
    subject = ("-config", "extensions.conf", "-subj")
    _openssl(
        *(folder, "req", "-new", "-x509", "-key", CA_KEY, "-sha256", "-days", str(CA_DAYS), "-out", CA),
        *(*subject, f"/O={name}/CN={name} update authority", "-extensions", "ca"),
    )
    _openssl(folder, "req", "-new", "-key", KEY, "-out", "request", *subject, f"/O={name}/CN={name} updates")
    _openssl(
        *(folder, "x509", "-req", "-in", "request", "-CA", CA, "-CAkey", CA_KEY, "-CAcreateserial", "-sha256"),
        *("-days", str(SIGNING_DAYS), "-extfile", "extensions.conf", "-extensions", "signing", "-out", CERTIFICATE),
    )


def _openssl(folder: Path, *words: str) -> None:
    if shutil.which("openssl") is None:
        raise UpdateError("openssl, which makes the keys, is not installed", "sudo apt install openssl")
    done = subprocess.run(
        ["openssl", *words], cwd=folder, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise UpdateError(f"openssl {words[0]} refused: {done.stderr.strip()}")
