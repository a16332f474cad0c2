"""Errors of the vault. They name the secret and what to do, and never hold a value.

VaultError
├── KeyUnavailable      the key-encryption key is missing, unreadable or unsafe
├── SecretMissing       there is no such secret
├── SecretDamaged       the stored secret does not fit its seal
└── ReferenceRefused    a reference leads nowhere, or where it must not lead
"""

from __future__ import annotations

from rules.text import Message


class VaultError(Exception):
    """A secret cannot be stored or read; `message` says why, `remedy` what to do."""

    def __init__(self, message: Message, remedy: Message) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class KeyUnavailable(VaultError):
    """The key-encryption key is missing, unreadable or unsafe."""


class SecretMissing(VaultError):
    """There is no such secret."""


class SecretDamaged(VaultError):
    """The stored secret does not fit its seal: it was altered, moved, or sealed under another key."""


class ReferenceRefused(VaultError):
    """A reference leads nowhere, or where it must not lead."""
