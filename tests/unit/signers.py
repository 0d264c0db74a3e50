# SPDX-License-Identifier: Apache-2.0
"""Signers of bundles whom no device may trust, each with one thing wrong; openssl makes their certificates."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from visavis.update.keys import CA, CA_KEY, CERTIFICATE, KEY, make_keys

SETTINGS = """
[ca]
default_ca = here
[here]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
organizationName = optional
commonName = optional
[req]
distinguished_name = name
[name]
[signing]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning, emailProtection
[mail]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = emailProtection
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
"""


@dataclass(frozen=True)
class Signer:
    """A certificate with its key, and the certificates that go along with a signature."""

    certificate: Path
    key: Path
    along: tuple[Path, ...] = ()

    def bundle(self, content: Path, bundle: Path) -> None:
        """Sign a folder that has a manifest: without a keyring rauc does not ask whether anybody trusts this."""
        words = [f"--cert={self.certificate}", f"--key={self.key}", *(f"--intermediate={one}" for one in self.along)]
        subprocess.run(["rauc", "bundle", *words, str(content), str(bundle)], check=True, capture_output=True)


@dataclass(frozen=True)
class Forge:
    """A folder where certificates are made, in part with the keys of an owner."""

    folder: Path
    owner: Path

    @property
    def authority(self) -> Signer:
        """The owner's."""
        return Signer(self.owner / CA, self.owner / CA_KEY)

    @property
    def signing(self) -> Signer:
        """The owner's, whom devices trust."""
        return Signer(self.owner / CERTIFICATE, self.owner / KEY)

    def make(self, name: str, by: Signer | None = None, use: str = "signing", years: str = "2026-2099") -> Signer:
        """One that is signed by another or else by itself, for one use and from a year to the begin of another."""
        (self.folder / "settings").write_text(SETTINGS)
        (self.folder / "index").touch()
        made = Signer(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", made.key)
        asked = ("-subj", "/O=visavis/CN=visavis updates", "-out", "asked")
        self.openssl("req", "-new", "-config", "settings", "-key", made.key, *asked)
        given = ("-cert", by.certificate, "-keyfile", by.key) if by else ("-selfsign", "-keyfile", made.key)
        first, last = (f"{year}0101000000Z" for year in years.split("-"))
        words = ("ca", "-batch", "-notext", "-config", "settings", "-extensions", use, "-in", "asked")
        self.openssl(*words, *given, "-startdate", first, "-enddate", last, "-out", made.certificate)
        return made

    def openssl(self, *words: str | Path) -> None:
        subprocess.run(["openssl", *map(str, words)], cwd=self.folder, check=True, capture_output=True)


def of_another_authority(forge: Forge) -> Signer:
    """All names are the owner's."""
    make_keys(forge.folder / "other")
    return Forge(forge.folder, forge.folder / "other").signing


def beside_the_owners(forge: Forge) -> Signer:
    """As if it were enough that a trusted certificate is in the signature."""
    own = of_another_authority(forge)
    return Signer(own.certificate, own.key, (forge.signing.certificate, forge.authority.certificate))


def by_one_that_is_no_authority(forge: Forge) -> Signer:
    """By the owner's signing key, which signs bundles and no certificates."""
    made = forge.make("below", by=forge.signing)
    return Signer(made.certificate, made.key, (forge.signing.certificate,))


def below_another_authority(forge: Forge, *, sent: bool) -> Signer:
    between = forge.make("between", by=forge.authority, use="authority")
    made = forge.make("below", by=between)
    return Signer(made.certificate, made.key, (between.certificate,) * sent)


WRONG: dict[str, Callable[[Forge], Signer]] = {
    "expired": lambda forge: forge.make("old", by=forge.authority, years="2020-2021"),
    "not yet valid": lambda forge: forge.make("new", by=forge.authority, years="2098-2099"),
    "for mail": lambda forge: forge.make("mail", by=forge.authority, use="mail"),
    "the authority itself": lambda forge: forge.authority,
    "signed by itself": lambda forge: forge.make("own"),
    "another authority of this name": of_another_authority,
    "the owner's certificate beside a stranger's": beside_the_owners,
    "signed by a signer": by_one_that_is_no_authority,
    "below an authority too many": lambda forge: below_another_authority(forge, sent=True),
    "below one that is not sent": lambda forge: below_another_authority(forge, sent=False),
}
