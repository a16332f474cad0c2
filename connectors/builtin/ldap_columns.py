"""The fields of a directory's objects: which attribute each holds, and how its values become one value and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from connectors.builtin.ldap_options import LdapField, LdapObject, LdapOptions
from connectors.builtin.ldap_subschema import Attribute, Subschema
from connectors.builtin.ldap_values import DN_SYNTAXES, TEXT, Codec, UnreadableError, codec
from connectors.builtin.ldap_wire import Entry
from connectors.errors import RecordRejected
from connectors.json_records import encode, text_of
from connectors.value_text import PLAIN
from rules.schema import Field, FieldType, Schema
from rules.text import msg

NAME, ENABLED, CONTROL = "dn", "accountEnabled", "userAccountControl"
_DISABLED = 0x2
_KEYS = ("entryUUID", "objectGUID", "nsUniqueId")
_TIMES = ("createTimestamp", "modifyTimestamp", "whenCreated", "whenChanged", "uSNChanged")
_UNSHOWN = frozenset(
    {"objectclass", "userpassword", "unicodepwd", "ntsecuritydescriptor", "dbcspwd", "ntpwdhistory", "lmpwdhistory"}
)
_AS_JSON = frozenset({FieldType.INTEGER, FieldType.BOOLEAN})


class Role(StrEnum):
    """Where a field's value comes from."""

    ATTRIBUTE = "attribute"
    NAME = "name"
    ENABLED = "enabled"


class Many(StrEnum):
    """How several values stand in one field."""

    NO = "no"
    JSON = "json"
    JOINED = "joined"


@dataclass(frozen=True)
class Column:
    """One field of an object."""

    field: Field
    attribute: str
    codec: Codec = TEXT
    many: Many = Many.NO
    role: Role = Role.ATTRIBUTE
    separator: str = "|"
    comparable: bool = False
    """The directory finds entries by it as we do."""
    ordered: bool = False
    """The directory finds entries from a value on as we do."""

    def text(self, entry: Entry, values: Mapping[str, Sequence[bytes]]) -> str | None:
        """Return the field's value as `connectors.casting` wants it; raises `RecordRejected`.

        Args:
            entry: The entry.
            values: Its values by the names of attributes in small letters.
        """
        if self.role is Role.NAME:
            return entry.name
        try:
            found = [
                text for value in values.get(self.attribute.lower(), ()) if (text := self.codec.read(value)) is not None
            ]
        except (UnreadableError, ValueError):
            raise RecordRejected(
                msg("Field '{field}' holds a value that cannot be read.", field=self.field.name), field=self.field.name
            ) from None
        if self.role is Role.ENABLED:
            return None if not found else str(not int(found[0]) & _DISABLED).lower()
        return self._one(found) if found else None

    def _one(self, found: list[str]) -> str:
        """Return one value for all: their order means nothing, so they are sorted."""
        if self.many is Many.JSON:
            plain = self.codec.type in _AS_JSON
            return encode([msgspec.Raw(text.lower().encode()) if plain else text for text in sorted(found)]).decode()
        if self.many is Many.JOINED and not any(self.separator in text for text in found):
            return self.separator.join(sorted(found))
        if self.many is Many.NO and len(found) == 1:
            return found[0]
        problem = (
            msg("Field '{field}' has a value with '{separator}', which separates its values.",
                field=self.field.name, separator=self.separator)
            if self.many is Many.JOINED
            else msg("Field '{field}' has several values, but it can hold only one.", field=self.field.name)
        )  # fmt: skip
        raise RecordRejected(problem, field=self.field.name)

    def values(self, value: Any) -> list[bytes]:
        """Return the attribute's values for the value of a field; raises `RecordRejected`."""
        if value is None:
            return []
        try:
            return [self.codec.write(text) for text in self._texts(value)]
        except (ValueError, TypeError) as error:
            raise RecordRejected(
                msg("Field '{field}' holds '{value}', which the directory cannot hold.",
                    field=self.field.name, value=str(value)[:60]),
                field=self.field.name,
            ) from error  # fmt: skip

    def sought(self, value: Any) -> bytes:
        """Return a value as it is looked for."""
        return self.codec.write(PLAIN.text(value) or "")

    def _texts(self, value: Any) -> list[str]:
        if self.many is Many.JSON:
            items = msgspec.json.decode(value)
            return [text_of(item) or "" for item in (items if isinstance(items, list) else [items])]
        text = PLAIN.text(value) or ""
        if self.many is Many.JOINED:
            return [part for part in text.split(self.separator) if part]
        return [text]


def switched(before: Sequence[bytes], *, on: bool) -> list[bytes]:
    """Return the account control of an account that is enabled or disabled; its other bits stay."""
    flags = int(before[0]) if before else 0x200  # a normal account
    return [str(flags & ~_DISABLED if on else flags | _DISABLED).encode()]


class Columns:
    """Makes the fields of a directory's objects."""

    def __init__(self, options: LdapOptions, subschema: Subschema, *, active: bool) -> None:
        self.options, self.subschema, self.active = options, subschema, active

    def key(self, described: LdapObject) -> str:
        """Return the name of the field that identifies an entry."""
        return described.key or next((name for name in _KEYS if self.subschema.attribute(name)), NAME)

    def of(self, described: LdapObject) -> dict[str, Column]:
        """Return the fields of an object by name, those that it describes or all of its classes."""
        if described.fields:
            return {given.name: self._column(given, described) for given in described.fields}
        names = [self.key(described), NAME, *self._of_classes(described)]
        names += [name for name in _TIMES if self.subschema.attribute(name)]
        return {name: self._column(LdapField(name=name), described) for name in dict.fromkeys(names)}

    def schema(self, described: LdapObject) -> Schema:
        """Return an object's fields."""
        key = self.key(described)
        columns = self.of(described)
        return Schema(tuple(c.field for c in columns.values()), (key,) if key in columns else ())

    def _of_classes(self, described: LdapObject) -> Iterable[str]:
        classes = [*described.classes, described.class_, *described.attributes_of]
        for name in self.subschema.attributes_of(filter(None, classes)):
            if name.lower() not in _UNSHOWN:
                yield name
            if self.active and name.lower() == CONTROL.lower():
                yield ENABLED

    def _column(self, given: LdapField, described: LdapObject) -> Column:
        needed = given.required or given.name == self.key(described)
        if given.source == NAME:
            return Column(
                Field(given.name, nullable=not needed, label=given.label), NAME, role=Role.NAME, comparable=True
            )
        if given.source == ENABLED and self.active:
            return Column(Field(given.name, FieldType.BOOLEAN, label=given.label), CONTROL, role=Role.ENABLED)
        known = self.subschema.attribute(given.source)
        attribute = known or Attribute(given.source, single=not self.subschema.known)
        values = codec(attribute.name, attribute.syntax)
        many = self._many(attribute, values, given.type)
        natural = FieldType.JSON if many is Many.JSON else FieldType.TEXT if many is Many.JOINED else values.type
        kind = given.type or natural
        field = Field(
            given.name, kind, nullable=not needed, scale=given.scale, generated=attribute.fixed, label=given.label,
            precision=38 if kind is FieldType.DECIMAL else None,
        )  # fmt: skip
        same = kind is values.type
        return Column(
            field, attribute.name, values, many, separator=self.options.separator,
            comparable=same and (attribute.equality or self.active),
            ordered=same and many is Many.NO and kind in (FieldType.INTEGER, FieldType.DATETIME)
            and (attribute.ordering or self.active),
        )  # fmt: skip

    def _many(self, attribute: Attribute, values: Codec, asked: FieldType | None) -> Many:
        if attribute.single or (asked not in (None, FieldType.JSON, FieldType.TEXT)):
            return Many.NO
        if asked is not None:
            return Many.JSON if asked is FieldType.JSON else Many.JOINED
        if self.options.lists != "auto":
            return Many(self.options.lists)
        return Many.JSON if attribute.syntax in DN_SYNTAXES or values.type is FieldType.BINARY else Many.JOINED
