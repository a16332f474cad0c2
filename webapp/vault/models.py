"""The table of sealed secrets. Nothing in it can be read without the key-encryption key."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import UtcDateTime, metadata

vault_secret = sa.Table(
    "vault_secret",
    metadata,
    sa.Column("owner_kind", sa.String(32), primary_key=True, comment="what the secret belongs to: connection, shared"),
    sa.Column("owner_name", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True, comment="the setting that it is the value of"),
    sa.Column("algorithm", sa.String(32), nullable=False),
    sa.Column("key_id", sa.String(64), nullable=False, index=True, comment="the key that wraps the data key"),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("nonce", sa.LargeBinary, nullable=False),
    sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)
