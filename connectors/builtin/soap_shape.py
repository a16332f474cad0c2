"""The records of an object: their fields by the WSDL's types, and the texts of an answer made ready to be typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import polars as pl

from connectors.builtin.soap_answer import Columns
from connectors.builtin.soap_objects import FieldDescription, SoapObject, Write
from connectors.builtin.soap_types import ANY, TEXT, Kind, Member, Types, XsdType
from connectors.builtin.soap_wsdl import Operation, Service
from connectors.errors import Misconfigured
from rules.schema import Field, FieldType, Schema
from rules.text import msg

_ZONED = r"(?:Z|[+-]\d{2}:\d{2})$"


class Shape:
    """What the WSDL and the description say about one object."""

    def __init__(self, service: Service, described: SoapObject) -> None:
        self.service = service
        self.described = described
        self.types: Types = service.types
        self._given = {field.name: field for field in described.fields}
        self.check()

    @cached_property
    def record(self) -> XsdType | None:
        """Return the type of the records, None where the WSDL does not tell it; raises `Misconfigured`."""
        if self.described.type:
            return self.types.named(self.described.type)
        operation = self._operation(self.described.read.operation)
        return self._type_at(operation, self.described.read.records, "records")

    def check(self) -> None:
        """Check the operations and paths of the description against the WSDL; raises `Misconfigured`."""
        for name in self.described.operations.values():
            self._operation(name)
        paging = self.described.read.paging
        answer = self._operation(self.described.read.operation)
        _ = self.record
        for member in ("next", "total", "more", "done"):
            self._type_at(answer, getattr(paging, member), member)
        if paging.operation:
            self._type_at(self._operation(paging.operation), paging.records or self.described.read.records, "records")
        if self.described.get:
            self._type_at(self._operation(self.described.get.operation), self.described.get.record, "record")
        for write in self.described.writes.values():
            self._type_at(self._operation(write.operation), write.results, "results")
        if self.record is not None and self.described.key and self.described.key not in self.fields:
            raise self._wrong("key", self.described.key, ", ".join(self.fields))

    @property
    def typed(self) -> bool:
        """Tell whether the fields are known without reading records."""
        return self.record is not None

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """Return the fields by name: those of the WSDL with the changes of the description, then the added ones."""
        members = self.types.members(self.record)
        kind = self.types.kind(self.record)
        if kind is not None:
            members = {TEXT: Member(TEXT, "", self.record, optional=True)}
        found = {m.name: self._field(m.name, m) for m in members.values() if m.name != ANY}
        for given in self.described.fields:
            if given.name not in found:
                place = self._member(self.record, given.path or given.name)
                found[given.name] = self._field(given.name, place)
            found[given.name] = _changed(found[given.name], given)
        written = self._written()
        for name, field in found.items():
            key = name == self.described.key
            made = field.generated or (written is not None and self.path(name).partition("/")[0] not in written)
            found[name] = replace(field, nullable=field.nullable and not key, generated=made)
        return found

    def schema(self) -> Schema:
        """Return the fields and the key."""
        return Schema(tuple(self.fields.values()), (self.described.key,) if self.described.key else ())

    def path(self, name: str) -> str:
        """Return the place of a field in the record."""
        given = self._given.get(name)
        return given.path if given and given.path else name

    def columns(self, schema: Schema) -> Columns:
        """Return what takes the fields of a schema from records."""
        return Columns(self.types, self.record, [(self.path(f.name), f.type) for f in schema.fields])

    def texts(self, rows: pl.DataFrame, schema: Schema, zone: str) -> pl.DataFrame:
        """Return rows as text columns that can be cast.

        Args:
            rows: The rows that `columns` took.
            schema: The fields.
            zone: The time zone of moments that have none; empty leaves them as they are.
        """
        return pl.DataFrame(
            [
                self._ready(column.alias(field.name), field, zone)
                for field, column in zip(schema.fields, rows.get_columns(), strict=True)
            ]
        )

    def written(self, write: Write, name: str) -> Member | None:
        """Return where a field stands in what an operation writes, None where it has no such place."""
        operation = self._operation(write.operation)
        inside = operation.element.type if operation.element is not None else None
        place = self._member(inside, write.record) if write.record else None
        return self._member(place.type if place else inside, self.path(name))

    def kind(self, member: Member) -> Kind | None:
        """Return the kind of a member with a single value, None for all others."""
        return None if member.many else self.types.kind(member.type)

    def _ready(self, texts: pl.Series, field: Field, zone: str) -> pl.Series:
        if field.type is FieldType.DATE:
            return texts.str.replace(_ZONED, "")
        if field.type is FieldType.DATETIME and zone:
            return _in_zone(texts, zone)
        if field.type is FieldType.BINARY:
            member = self._member(self.record, self.path(field.name))
            kind = self.types.kind(member.type) if member else None
            plain = texts.str.replace_all(r"\s", "")
            if kind is None or not kind.hexadecimal:
                return plain
            return plain.str.decode("hex", strict=False).bin.encode("base64").fill_null(plain)
        return texts

    def _field(self, name: str, member: Member | None) -> Field:
        if member is None:
            return Field(name)
        kind = self.kind(member)
        if kind is None:
            return Field(name, FieldType.JSON, nullable=member.optional or member.nillable or member.many)
        return kind.field(member, name)

    def _written(self) -> set[str] | None:
        """Return the members that can be written, None where that is not known or nothing can be written."""
        found: set[str] = set()
        for deed, write in self.described.writes.items():
            if deed == "delete":
                continue
            operation = self._operation(write.operation)
            inside = operation.element.type if operation.element is not None else None
            place = self._member(inside, write.record) if write.record else None
            members = self.types.members(place.type if place else inside)
            if ANY in members or not members:
                return None
            found |= set(members)
        return found or None

    def _member(self, xsd_type: XsdType | None, path: str) -> Member | None:
        """Return the member that a path leads to, None where nothing is known of it."""
        member = None
        optional = False
        for part in [part for part in path.split("/") if part]:
            members = self.types.members(xsd_type)
            if part == TEXT and TEXT not in members:
                break
            member = members.get(part) or members.get(ANY)
            if member is None:
                return None
            xsd_type, optional = member.type, optional or member.optional or member.nillable
        return replace(member, optional=optional) if member is not None else None

    def _type_at(self, operation: Operation, path: str, name: str) -> XsdType | None:
        """Return the type at a path of an operation's answer, None where the WSDL allows anything there."""
        xsd_type = operation.output.type if operation.output is not None else None
        for part in [part for part in path.split("/") if part]:
            if self.types.is_any(xsd_type):
                return None
            members = self.types.members(xsd_type)
            if part == TEXT and self.types.kind(xsd_type) is not None:
                return xsd_type
            member = members.get(part) or members.get(ANY)
            if member is None:
                raise self._wrong(name, path, ", ".join(_known(members)))
            xsd_type = member.type
        return None if self.types.is_any(xsd_type) else xsd_type

    def _wrong(self, member: str, path: str, known: str) -> Misconfigured:
        return Misconfigured(
            msg("Object '{name}': '{path}' in the member '{member}' is not in the WSDL; there is: {known}.",
                name=self.described.name, path=path, member=member, known=known or "-"),
            msg("Correct it in the connection's settings."),
            object_name=self.described.name,
        )  # fmt: skip

    def _operation(self, name: str) -> Operation:
        found = self.service.operations.get(name)
        if found is None:
            known = ", ".join(sorted(self.service.operations)[:20])
            raise Misconfigured(
                msg("Object '{object}': the service has no operation '{name}'. It has: {known}.",
                    object=self.described.name, name=name, known=known or "-"),
                msg("Correct it in the connection's settings."),
                object_name=self.described.name,
            )  # fmt: skip
        return found


def _changed(field: Field, given: FieldDescription) -> Field:
    kind = given.type or field.type
    if kind is not field.type:
        field = Field(field.name, kind, field.nullable, precision=38 if kind is FieldType.DECIMAL else None)
    return replace(
        field,
        nullable=field.nullable if given.required is None else not given.required,
        scale=field.scale if given.scale is None else given.scale,
        generated=bool(given.generated) if given.generated is not None else field.generated,
        label=given.label or field.label,
    )


def _in_zone(texts: pl.Series, zone: str) -> pl.Series:
    """Return moments with those that have no zone moved from the given one; what cannot be told stays as it is."""
    local = texts.str.strip_chars().str.contains(r"^\d{4}-\d{2}-\d{2}T[\d:.]+$")
    if not local.any():
        return texts
    moments = texts.str.strip_chars().str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")
    zoned = moments.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
    told = zoned.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return pl.select(pl.when(local & told.is_not_null()).then(told).otherwise(texts)).to_series().alias(texts.name)


def _known(members: Mapping[str, Any]) -> Iterator[str]:
    return (name for name in members if name != ANY)
