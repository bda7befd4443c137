"""The key that signs batches and checkpoints (Ed25519), and the keys whose signatures are believed."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def signing_key() -> Ed25519PrivateKey:
    """Return the key of AUDIT_KEY_FILE, or one that SECRET_KEY gives.

    Raises:
        ImproperlyConfigured: the file cannot be read or holds no such key.
    """
    if not settings.AUDIT_KEY_FILE:
        derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"kvmportal audit trail")
        return Ed25519PrivateKey.from_private_bytes(derivation.derive(settings.SECRET_KEY.encode()))
    try:
        key = load_pem_private_key(Path(settings.AUDIT_KEY_FILE).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ImproperlyConfigured(f"AUDIT_KEY_FILE names no readable private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ImproperlyConfigured("AUDIT_KEY_FILE holds a key that is not of Ed25519.")
    return key


def public_half(key: Ed25519PrivateKey) -> str:
    """Return a key's public half, in hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def trusted() -> frozenset[str]:
    """Return the public keys whose signatures are believed: the present one, and those of AUDIT_TRUSTED_KEYS."""
    return frozenset({public_half(signing_key()), *settings.AUDIT_TRUSTED_KEYS})


def is_signed(statement: bytes, key: str, signature: str) -> bool:
    """Return whether this is the signature of this statement by the key with this public half."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), statement)
    except (InvalidSignature, ValueError):
        return False
    return True
