# SPDX-License-Identifier: Apache-2.0
"""Whether mosquitto can use a certificate with its key: with a wrong pair it does not start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from cryptography import x509  # which Ansible's vault needs as well
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def broker_pair_fault(certificate: str, key: str) -> str:
    """What is wrong with a certificate, the first in its text, or with its key, and what to do; "" for nothing."""
    try:
        leaf = x509.load_pem_x509_certificate(str(certificate).encode())
    except (ValueError, UnsupportedAlgorithm):
        return "broker_certificate holds no certificate as PEM: take the file that begins with BEGIN CERTIFICATE"
    try:
        own = load_pem_private_key(str(key).encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "broker_key holds no key as PEM, or one with a password: take the one that the certificate was made with"
    if _public(own) != _public(leaf):
        return (
            "broker_key does not belong to broker_certificate: take both from the same making, the broker's own first"
        )
    if _end(leaf) < datetime.now(timezone.utc):
        return f"broker_certificate was valid until {_end(leaf):%Y-%m-%d}: make a new one"
    return ""


def _public(owner: Any) -> bytes:
    """The public key of a certificate or of a private key."""
    return bytes(owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _end(leaf: Any) -> datetime:
    """Until when a certificate is valid; the library of Debian 12 tells it without a zone."""
    end: datetime = getattr(leaf, "not_valid_after_utc", None) or leaf.not_valid_after.replace(tzinfo=timezone.utc)
    return end


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """The filters by their names in templates."""
        return {"broker_pair_fault": broker_pair_fault}
