# SPDX-License-Identifier: Apache-2.0
"""What a release is made of, as a signed statement that tools of others read, too.

The statement is in-toto's (v1) with SLSA's provenance (v1): the sums of the files, and the commit that they were made
from. The envelope is DSSE, signed by ECDSA on P-256 with SHA-256. https://github.com/in-toto/attestation,
https://slsa.dev/spec/v1.0/provenance, https://github.com/secure-systems-lab/dsse
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
PAYLOAD = "application/vnd.in-toto+json"
# SLSA wants an address that says what a build is; this one is of a page in the repository.
BUILD = "pkg:generic/visavis#docs/how-to/release.md"


class AttestationError(Exception):
    """What is wrong with a statement, in one sentence, and what to do."""


def statement(sums: Mapping[str, str], commit: str, given: Mapping[str, str], builder: str) -> dict[str, Any]:
    """Say that files were made from a commit.

    Args:
        sums: name of a file -> its SHA-256, hexadecimal.
        commit: git's full name for it.
        given: what else decides about the bytes; `version` is the release, as pyproject.toml has it.
        builder: an address that stands for whoever made them.
    """
    source = {"uri": f"pkg:generic/visavis@{given['version']}", "digest": {"gitCommit": commit}}
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": sums[name]}} for name in sorted(sums)],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": dict(given),
                "resolvedDependencies": [source],
            },
            "runDetails": {"builder": {"id": builder}},
        },
    }


def signed(said: Mapping[str, Any], key: Path, certificate: Path) -> dict[str, Any]:
    """Put a statement into an envelope that `key` signs.

    Raises:
        AttestationError: openssl cannot sign with it, or it is not the certificate's key.
    """
    payload = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    signature = openssl("dgst", "-sha256", "-sign", str(key), given=enveloped(payload))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD,
        "signatures": [{"keyid": fingerprint(certificate).hex(), "sig": base64.b64encode(signature).decode()}],
    }
    payload_of(envelope, certificate)
    return envelope


def opened(envelope: Mapping[str, Any], certificate: Path) -> dict[str, Any]:
    """The statement in an envelope that the key of `certificate` has signed.

    Raises:
        AttestationError: it is no envelope, somebody else signed it, or it states something else.
    """
    said: dict[str, Any] = json.loads(payload_of(envelope, certificate))
    if (kind := (said.get("_type"), said.get("predicateType"))) != (STATEMENT, PROVENANCE):
        raise AttestationError(f"the envelope's statement is of another kind: {kind}")
    return said


def payload_of(envelope: Mapping[str, Any], certificate: Path) -> bytes:
    """What an envelope holds that the key of `certificate` has signed; raises as `opened` does."""
    try:
        if envelope["payloadType"] != PAYLOAD:
            raise AttestationError(f"the envelope holds {envelope['payloadType']!r}, not {PAYLOAD!r}")
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [base64.b64decode(one["sig"], validate=True) for one in envelope["signatures"]]
    except (KeyError, TypeError, ValueError) as error:
        raise AttestationError(f"this is no envelope of a signed statement: {error!r}") from error
    if not any(_holds(signature, payload, certificate) for signature in signatures):
        raise AttestationError(f"no signature in the envelope is by the key of {certificate}")
    return payload


def _holds(signature: bytes, payload: bytes, certificate: Path) -> bool:
    with TemporaryDirectory() as draft:
        files = Path(draft) / "signature", Path(draft) / "public.pem"
        files[0].write_bytes(signature)
        files[1].write_bytes(public(certificate))
        words = ["openssl", "dgst", "-sha256", "-verify", str(files[1]), "-signature", str(files[0])]
        return subprocess.run(words, input=enveloped(payload), capture_output=True, check=False).returncode == 0


def enveloped(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding, so that no payload passes for one of another type."""
    kind = PAYLOAD.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def public(certificate: Path) -> bytes:
    """The public key in a certificate, as PEM."""
    return openssl("x509", "-in", str(certificate), "-noout", "-pubkey")


def fingerprint(certificate: Path) -> bytes:
    """The SHA-256 of a certificate's public key."""
    return hashlib.sha256(openssl("pkey", "-pubin", "-outform", "DER", given=public(certificate))).digest()


def named(certificate: Path) -> str:
    """An address that stands for whoever holds a certificate's key (RFC 6920)."""
    return f"ni:///sha-256;{base64.urlsafe_b64encode(fingerprint(certificate)).decode().rstrip('=')}"


def openssl(*words: str, given: bytes = b"") -> bytes:
    """What openssl answers.

    Raises:
        AttestationError: it is not installed, or refuses.
    """
    try:
        done = subprocess.run(["openssl", *words], input=given, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise AttestationError("openssl, which signs and checks, is not installed: sudo apt install openssl") from error
    if done.returncode != 0:
        raise AttestationError(f"openssl {words[0]} refused: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
