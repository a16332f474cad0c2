"""What stands in a field where its value cannot be worked out."""

from __future__ import annotations

import polars as pl

from rules.documents.flows import Entry
from rules.documents.problems import DocumentProblem
from rules.documents.sync import OnError
from rules.mapping.convert import convert, refusal
from rules.schema import Field
from rules.text import Message, msg

_TEXT = Field("")


def fallback(entry: Entry, target: Field) -> pl.Series | DocumentProblem | None:
    """Return the default of an entry as a column of one value, or why it does not fit; None where there is none."""
    if entry.on_error is OnError.NULL and not target.nullable:
        message = msg("'{field}' must not be empty, so it cannot be left empty on errors.", field=target.name)
        return DocumentProblem(f"{entry.path}/on_error", message)
    if entry.default is None:
        return None
    made = written(entry.default, target)
    return DocumentProblem(f"{entry.path}/default", made) if isinstance(made, Message) else made


def written(value: str | int | float | bool, target: Field) -> pl.Series | Message:
    """Return a value written out in a document as a column of one, of the target's type, or why it does not fit."""
    refused = refusal(_TEXT, target)
    if refused is not None:
        return refused
    made = convert(pl.Series([_text(value)]), _TEXT, target)
    return made.errors[0] if made.errors else made.values.alias(target.name)


def _text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
