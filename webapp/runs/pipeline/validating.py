"""A run's validations: what is known outside a batch is the memory of the run, and what other systems hold."""

from __future__ import annotations

import polars as pl

from rules.documents.flows import flows, object_name
from rules.documents.sync import SyncRule
from rules.documents.validation import Reference
from rules.language.library import EMPTY, Library
from rules.schema import Schema
from rules.validations import Claims, Memory, Validator, Verdicts, compile_validations
from webapp.connections.references import References


class Validating:
    """The validations of one run."""

    def __init__(self, rule: SyncRule, schema: Schema, references: References, library: Library = EMPTY) -> None:
        name = object_name(rule, flows(rule)[0].source)
        self._validator = Validator(compile_validations(rule.validations, schema, library, name), schema)
        self._references = references
        self._memory = Memory()
        self.severities = {v.name: v.severity.value for v in rule.validations}

    def ask(self, records: pl.DataFrame, usable: pl.Series, keys: pl.Series) -> Verdicts:
        """Return the verdicts on the usable records of a page."""
        return self._validator.check(records, self, usable, keys)

    def remember(self, marks: pl.DataFrame) -> None:
        """Take note of the unique values of records that the run has handled."""
        self._memory.remember(marks)

    def held(self, asked: Claims) -> pl.Series:
        """Return for each claim the key of the record of this run that has the values already."""
        return self._memory.held(asked)

    def exists(self, reference: Reference, values: pl.Series) -> pl.Series:
        """Return a mask of the values that exist where the reference says."""
        return self._references.exists(reference, values)
