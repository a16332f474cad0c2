"""Writing a directory's entries: only what changed, members one by one, and renaming where a name is set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from connectors.builtin import ldap_names as names
from connectors.builtin import ldap_wire as wire
from connectors.builtin.ldap_columns import Column, Many, Role, switched
from connectors.builtin.ldap_directory import Directory
from connectors.builtin.ldap_options import filter_of
from connectors.builtin.ldap_problems import problem, refused_record
from connectors.builtin.ldap_read import NOTHING, Rows
from connectors.builtin.ldap_wire import Code, Deed, Entry, Modification, Query, Result
from connectors.errors import Misconfigured, RecordRejected
from connectors.spi import Failure
from rules.schema import Change, Op, Schema
from rules.text import msg

_WHOLE = {Code.BUSY, Code.UNAVAILABLE, Code.STRONGER_AUTH, Code.CONFIDENTIALITY, Code.REFERRAL}
"""Results that say nothing of the record."""
_OBJECT_CLASS = "objectClass"


class Writing:
    """The writes of one call."""

    def __init__(self, directory: Directory, name: str, schema: Schema) -> None:
        self.directory = directory
        self.described = directory.described(name)
        self.schema = schema

    def change(self, number: int, change: Change) -> tuple[list[Failure], pl.Series | None]:
        """Write the records of a change; return the refused ones, and for creations the keys."""
        columns = {n: self.directory.column(self.described, n) for n in (*change.records.columns, change.key)}
        deed = {Op.CREATE: self._create, Op.UPDATE: self._update, Op.DELETE: self._delete}[change.op]
        failures: list[Failure] = []
        keys: list[Any] = []
        for row, record in enumerate(change.records.iter_rows(named=True)):
            key = None
            try:
                key = deed(change.key, columns, record)
            except RecordRejected as error:
                failures.append(Failure(number, row, error.message, error.field))
            keys.append(key)
        if change.op is not Op.CREATE or change.key not in self.schema:
            return failures, None
        return failures, pl.Series(change.key, keys, self.schema[change.key].dtype)

    def _create(self, key: str, columns: Mapping[str, Column], record: Mapping[str, Any]) -> Any:
        values: dict[str, list[bytes]] = {_OBJECT_CLASS: [name.encode() for name in self._classes()]}
        for name, value in record.items():
            column = columns[name]
            given = self._values(column, value, values)
            if given and column.role is not Role.NAME and not column.field.generated:
                values[column.attribute] = given
        name = self._name(columns, record, values)
        self._done(wire.add(name, values))
        if not columns[key].field.generated:
            return name if columns[key].role is Role.NAME else record.get(key)
        return self._made(key, name)

    def _values(self, column: Column, value: Any, before: Mapping[str, Sequence[bytes]]) -> list[bytes]:
        if column.role is not Role.ENABLED:
            return column.values(value)
        found = next((given for name, given in before.items() if name.lower() == column.attribute.lower()), ())
        return [] if value is None else switched(found, on=value)

    def _classes(self) -> list[str]:
        classes = self.described.classes or [name for name in [self.described.class_] if name]
        if not classes:
            raise Misconfigured(
                msg("The object '{name}' does not say of which class a new entry is.", name=self.described.name),
                msg("Add the member 'class' or 'classes' in the connection's settings."),
                object_name=self.described.name,
            )
        return classes

    def _name(self, columns: Mapping[str, Column], record: Mapping[str, Any], values: dict[str, list[bytes]]) -> str:
        """Return the name of a new entry: the one given, or one made of its naming attribute."""
        given = next((record[n] for n, c in columns.items() if c.role is Role.NAME and record.get(n)), None)
        if given:
            for attribute, value in names.parts(names.split(given)[0]):
                if attribute.lower() not in {name.lower() for name in values}:
                    values[attribute] = [value.encode()]
            return str(given)
        rdn = self.described.rdn
        found = next((v for name, v in values.items() if name.lower() == rdn.lower()), [])
        if not found:
            raise RecordRejected(msg("Field '{field}' is empty, so the new entry has no name.", field=rdn), field=rdn)
        parent = self.described.parent or self.described.base
        return f"{rdn}={names.escaped(found[0].decode(errors='replace'))},{parent}"

    def _made(self, key: str, name: str) -> Any:
        """Return the key that the directory gave to a new entry."""
        rows = Rows(self.directory, self.described.name, self.schema.select((key,)))
        found = self.directory.session.found(
            Query(name, filter_of(self.described), rows.attributes, 0), missing_ok=True
        )
        page = rows.page(found)
        if page.records.is_empty():
            raise RecordRejected(
                msg("The entry '{name}' is created, but it is none of '{object}' or cannot be read.",
                    name=name, object=self.described.name)
            )  # fmt: skip
        return page.records[key][0]

    def _update(self, key: str, columns: Mapping[str, Column], record: Mapping[str, Any]) -> None:
        given = {columns[name]: value for name, value in record.items() if name != key}
        wanted = {c: v for c, v in given.items() if not c.field.generated}
        entry = self._entry(key, columns[key], record, [c.attribute for c in wanted if c.role is not Role.NAME])
        before = {name.lower(): list(values) for name, values in entry.values.items()}
        after = {c: self._values(c, v, before) for c, v in wanted.items() if c.role is not Role.NAME}
        target = next((v for c, v in wanted.items() if c.role is Role.NAME), None)
        name = self._renamed(entry.name, after, target)
        changes = [m for c, values in after.items() for m in _changes(c, before.get(c.attribute.lower(), []), values)]
        naming = {attribute.lower() for attribute, _ in names.parts(names.split(name)[0])}
        if name != entry.name:  # the directory has changed the values that stand in the name
            changes = [m for m in changes if m.attribute.lower() not in naming]
        if changes:
            self._done(wire.modify(name, changes))

    def _renamed(self, name: str, after: Mapping[Column, list[bytes]], target: str | None) -> str:
        """Give an entry another name where a field says so; returns its name from now on."""
        first, parent = names.split(name)
        if target:
            first, above = names.split(target)
            if names.normal(target) == names.normal(name):
                return name
        else:
            first, above = _first(first, after), parent
            if names.normal(first) == names.normal(names.split(name)[0]) and first == names.split(name)[0]:
                return name
        moved = None if names.normal(above) == names.normal(parent) else above
        self._done(wire.rename(name, first, moved))
        return f"{first},{above}"

    def _delete(self, key: str, columns: Mapping[str, Column], record: Mapping[str, Any]) -> None:
        self._done(wire.delete(self._entry(key, columns[key], record, [NOTHING]).name))

    def _entry(self, key: str, column: Column, record: Mapping[str, Any], attributes: Sequence[str]) -> Entry:
        """Return the one entry that a record means; raises `RecordRejected`."""
        value = record[key]
        if value is None:
            raise RecordRejected(msg("Field '{field}' is empty, so it is not known which entry is meant.", field=key))
        wanted = [*attributes, column.attribute] if column.role is not Role.NAME else attributes or [NOTHING]
        found = list(self.directory.with_key(self.described, column, [value], wanted))
        if column.role is not Role.NAME:
            sought = column.sought(value)
            lower = column.attribute.lower()
            exact = [e for e in found if any(sought in given for n, given in e.values.items() if n.lower() == lower)]
            found = exact or found
        if len(found) != 1:
            problem_ = (
                msg("The directory has several entries with this key.")
                if found
                else msg("The directory has no such entry any more.")
            )
            raise RecordRejected(problem_, field=key)
        return found[0]

    def _done(self, operation: bytes) -> None:
        """Do an operation; raises `RecordRejected` if the directory refuses it for this record."""
        result: Result = self.directory.session.call(operation)
        if result.code == Code.SUCCESS:
            return
        if result.code in _WHOLE:
            raise problem(result, "", self.described.name)
        raise refused_record(result)


def _changes(column: Column, before: Sequence[bytes], after: Sequence[bytes]) -> list[Modification]:
    """Return what makes an attribute's values those wanted: single members where there can be several."""
    if set(before) == set(after):
        return []
    if column.many is Many.NO or not before or not after:
        return [Modification(Deed.REPLACE, column.attribute, after)]
    gone, new = [v for v in before if v not in after], [v for v in dict.fromkeys(after) if v not in before]
    parts = ((Deed.DELETE, gone), (Deed.ADD, new))
    return [Modification(deed, column.attribute, values) for deed, values in parts if values]


def _first(first: str, after: Mapping[Column, list[bytes]]) -> str:
    """Return the first part of a name with the values that are to be set."""
    wanted = {column.attribute.lower(): values for column, values in after.items() if values}
    made = []
    for attribute, value in names.parts(first):
        given = [v.decode(errors="replace") for v in wanted.get(attribute.lower(), ())]
        kept = value if not given or value in given else given[0]
        made.append(f"{attribute}={names.escaped(kept)}")
    found = "+".join(made)
    return first if names.parts(found) == names.parts(first) else found
