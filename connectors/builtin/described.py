"""Settings that are documents, as a value or as its JSON text: what a connector's objects are, and what fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from connectors.errors import Misconfigured
from rules.schema import Field, FieldType
from rules.text import Message, msg


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a document; a member that is not known is a mistake."""


class DescribedField(Described, frozen=True):
    """A field of an object; `field` is the part of every record that it holds, the one of its name where empty."""

    name: str
    field: str = ""
    type: FieldType | None = None
    scale: int | None = None
    required: bool = False

    @property
    def own(self) -> Field:
        """Return it as a field whose type only the description tells."""
        kind = self.type or FieldType.TEXT
        return Field(
            self.name, kind, nullable=not self.required, scale=self.scale,
            precision=38 if kind is FieldType.DECIMAL else None,
        )  # fmt: skip


def parsed(document: Any, kind: Any, setting: str = "objects") -> Any:
    """Return a setting in its type, None where it is empty; raises `Misconfigured` with the place of the mistake.

    Args:
        document: The value, or its JSON text.
        kind: The type.
        setting: What the place of a mistake begins with.
    """
    if document in (None, "", b""):
        return None
    try:
        if isinstance(document, (str, bytes)):
            document = msgspec.json.decode(document)
        return msgspec.convert(document, kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise wrong(
            msg("The setting '{name}' is wrong: {problem}.", name=setting, problem=str(error).replace("$", setting))
        ) from error


def require_names(names: Iterable[str]) -> None:
    """Refuse objects without a name, or with that of another; raises `Misconfigured`."""
    known = list(names)
    if "" in known or len(set(known)) < len(known):
        raise wrong(msg("Each object needs a name that no other object has."))


def require_key(key: str, fields: Iterable[str], name: str) -> None:
    """Refuse an object whose key is none of its fields; raises `Misconfigured`."""
    if key not in fields:
        raise Misconfigured(
            msg("The object '{name}' has no field '{field}'.", name=name, field=key),
            msg("Choose another field as its key in the connection's settings."), object_name=name,
        )  # fmt: skip


def wrong(problem: Message) -> Misconfigured:
    """Return the error of settings that have to be corrected."""
    return Misconfigured(problem, msg("Correct it in the connection's settings."))
