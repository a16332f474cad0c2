"""The shared words: schemas and messages survive the way through JSON."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg

SCHEMA = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("price", FieldType.DECIMAL, scale=2)), ("id",))


def test_schema() -> None:
    """A schema gives the types of a batch, and comes back from JSON as it was."""
    assert Schema.from_json(SCHEMA.to_json()) == SCHEMA
    assert SCHEMA.empty().schema == {"id": pl.Int64(), "price": pl.Decimal(38, 2)}
    assert SCHEMA.select(("price",)) == Schema((SCHEMA["price"],))
    assert "id" in SCHEMA
    assert "x" not in SCHEMA


def test_message() -> None:
    """A message is filled in when it is shown; its plain form holds only what JSON can."""
    message = msg("{count} of {price}", count=2, price=Decimal("1.50"))
    assert str(message) == "2 of 1.50"
    assert Message.from_json(message.to_json()) == Message("{count} of {price}", {"count": 2, "price": "1.50"})
    assert msg("{inner}", inner=message).to_json()["values"]["inner"]
    assert str(msg("50 % of {all}")) == "50 % of {all}"
    assert N_("x") == "x"
