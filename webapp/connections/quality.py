"""The data quality of an object of a connection: measured over its first records, or all of them, when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl
import sqlalchemy as sa

from connectors.spi import Connector, ReadRequest
from rules.documents import DocumentError
from rules.documents.validation import Reference, Validation
from rules.language.library import Library
from rules.schema import Schema
from rules.validations import Claims, Compiled, Memory, Tally, Validator, compile_validations
from rules.validations.forms import by_name
from rules.validations.quality import MAPPED, OTHER, REQUIRED, Measure, Quality, ValidationQuality
from webapp.connections.opening import open_connector
from webapp.connections.permitted import blanked, rights_to, withheld
from webapp.connections.probing import object_schema
from webapp.connections.references import References
from webapp.extensions import House
from webapp.policies.objects import READ
from webapp.policies.rights import Rights

SAMPLE = 10_000


@dataclass(frozen=True)
class Uses:
    """What published rules say of an object: the fields that they map, and what they want its records to meet."""

    fields: frozenset[str] = frozenset()
    validations: tuple[Validation, ...] = ()
    library: Library = field(default_factory=Library)


uses_of: list[Callable[[House, sa.Connection, str, str], Uses]] = []
"""Rooms above say here what uses an object; the first entry is asked."""


@dataclass(frozen=True)
class Sampled:
    """A measurement; `complete` tells whether all records were read, `rejects` how many could not be read."""

    quality: Quality
    complete: bool
    rejects: int


def measure(house: House, connection: str, name: str, limit: int | None = SAMPLE) -> Sampled:
    """Measure the first `limit` records of an object, or all, of those and in those fields that who asks may see.

    Raises `ConnectorError` and `ConnectionProblem`, and `NotPermitted` where they may see none.
    """
    schema = object_schema(house, connection, name, refresh=True)
    with house.db.read() as tx:
        uses = next((ask(house, tx, connection, name) for ask in uses_of), Uses())
        rights = rights_to(tx, connection, name, schema)
    rights.require(READ)
    references = References(lambda other: open_connector(house, other), lambda *place: object_schema(house, *place))
    try:
        with open_connector(house, connection) as connector:
            return _Survey(schema, uses, references, rights).of(connector, name, limit)
    finally:
        references.close()


class _Survey:
    """Measures fields, and asks each validation by itself."""

    def __init__(self, whole: Schema, uses: Uses, references: References, rights: Rights) -> None:
        schema = whole.select(tuple(n for n in whole.names if n not in withheld(rights, whole.names)))
        self._whole, self._rights = whole, rights
        weights = {f.name: _weight(schema, f.name, uses) for f in schema.fields}
        forms = {f.name: form for f in schema.fields if (form := by_name(f.name)) is not None}
        self._schema = schema
        self._measure = Measure(schema.fields, weights, forms)
        self._validators = [(v, Validator(made, schema)) for v in uses.validations if (made := _made(v, schema, uses))]
        self._tallies = {v.name: Tally(0, 0) for v, _ in self._validators}
        self._memory = Memory()
        self._references = references

    def of(self, connector: Connector, name: str, limit: int | None) -> Sampled:
        read, rejects, complete = 0, 0, True
        for page in connector.read(ReadRequest(name, self._whole)):
            left = None if limit is None else limit - read
            records = page.records if left is None else page.records.head(left)
            self._add(blanked(self._rights, records).select(self._schema.names), read)
            read, rejects = read + records.height, rejects + len(page.rejects)
            if limit is not None and read >= limit:
                complete = False
                break
        told = [ValidationQuality.of(v, self._tallies[v.name]) for v, _ in self._validators]
        return Sampled(self._measure.result(told), complete, rejects)

    def _add(self, records: pl.DataFrame, first: int) -> None:
        self._measure.add(records)
        keys = pl.int_range(first, first + records.height, eager=True).cast(pl.String)
        for validation, validator in self._validators:
            verdicts = validator.check(records, self, keys=keys)
            self._memory.remember(verdicts.marks)
            tally, before = verdicts.tallies[validation.name], self._tallies[validation.name]
            self._tallies[validation.name] = Tally(before.asked + tally.asked, before.met + tally.met)

    def held(self, asked: Claims) -> pl.Series:
        return self._memory.held(asked)

    def exists(self, reference: Reference, values: pl.Series) -> pl.Series:
        return self._references.exists(reference, values)


def _made(validation: Validation, schema: Schema, uses: Uses) -> tuple[Compiled, ...]:
    """Return a validation with its programs; nothing where it speaks of more than the object, such as a decision."""
    try:
        return compile_validations([validation], schema, uses.library)
    except DocumentError:
        return ()


def _weight(schema: Schema, name: str, uses: Uses) -> int:
    if name in schema.key or not schema[name].nullable:
        return REQUIRED
    return MAPPED if name in uses.fields else OTHER
