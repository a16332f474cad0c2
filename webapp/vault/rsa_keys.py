"""RSA key pairs in a file: data keys are wrapped by RSA-OAEP with SHA-256."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from rules.text import msg
from webapp.vault.errors import KeyUnavailable
from webapp.vault.providers import FileKeys

BITS = 3072
_PAIR = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----\n?", re.DOTALL)
_DIGEST_BYTES = 32
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def fresh() -> bytes:
    """Return a new key pair as PEM."""
    return rsa.generate_private_key(65537, BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def parsed(text: str, place: str) -> dict[str, bytes]:
    """Return id -> key pair of a file's text; raises `KeyUnavailable` where it holds none, or one that is too short."""
    pairs = [found.encode() for found in _PAIR.findall(text)]
    try:
        keys = {_id(_private(pair)): pair for pair in pairs}
    except (ValueError, TypeError):
        keys = {}
    if not keys or _PAIR.sub("", text).strip() or any(_private(pair).key_size < BITS for pair in keys.values()):
        raise KeyUnavailable(
            msg("{place} does not hold RSA keys of at least {bits} bits without a password, in PEM form.",
                place=place, bits=BITS),
            msg("Put the right key back from a backup. For a new installation make one with: {command}",
                command=f"openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{BITS}"),
        )  # fmt: skip
    return keys


class RsaKeys(FileKeys):
    """Key pairs in a file that only its owner may read, one after the other as PEM, the current one first."""

    fresh = staticmethod(fresh)
    parsed = staticmethod(parsed)
    written = staticmethod(bytes)

    def wrap(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Encrypt with the public key of the current pair, together with a digest of the owner."""
        key_id, pair = next(iter(self._keys().items()))
        return key_id, _private(pair).public_key().encrypt(bound(owner) + data_key, _OAEP)

    def unwrap(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:
        """Decrypt with the private key of the pair called `key_id`."""
        try:
            return unbound(_private(self._key(key_id)).decrypt(wrapped, _OAEP), owner)
        except ValueError:
            return None


def bound(owner: bytes) -> bytes:
    """Return what stands before a data key where the cipher itself knows no associated data."""
    return hashlib.sha256(b"owner of a data key\0" + owner).digest()


def unbound(text: bytes, owner: bytes) -> bytes | None:
    """Return the data key behind its owner's digest, or None where it is another owner's."""
    return text[_DIGEST_BYTES:] if text[:_DIGEST_BYTES] == bound(owner) else None


@lru_cache(maxsize=8)
def _private(pair: bytes) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pair, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("no RSA key")
    return key


def _id(key: rsa.RSAPrivateKey) -> str:
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"rsa-{hashlib.sha256(public).hexdigest()[:16]}"
