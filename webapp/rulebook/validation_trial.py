"""How many of the first records of a source meet each validation of a draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from connectors.errors import ConnectorError
from rules.decisions.asking import ask_all, compile_decisions
from rules.documents import DocumentError
from rules.documents.build import build
from rules.documents.decision import Decision
from rules.documents.shape import json_schema
from rules.documents.validate import validate
from rules.documents.validation import Reference, Validation, meaning
from rules.language.library import Library
from rules.schema import Schema
from rules.text import Message
from rules.validations import Claims, Memory, Tally, Validator, compile_validations
from webapp.connections import services as connections
from webapp.connections.opening import open_connector
from webapp.connections.references import References
from webapp.extensions import House
from webapp.rulebook.samples import Samples


@dataclass(frozen=True)
class Count:
    """What the first records say of one validation: how many meet it, or why that cannot be said."""

    tally: Tally | None = None
    problem: Message | None = None


class _Outside:
    """What is known outside the examples: other systems."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._memory = Memory()

    def held(self, asked: Claims) -> pl.Series:
        return self._memory.held(asked)

    def exists(self, reference: Reference, values: pl.Series) -> pl.Series:
        return self._references.exists(reference, values)


@dataclass(frozen=True)
class Examples:
    """The first records of a source, with the outputs of the decision tables that the rule asks."""

    schema: Schema
    records: pl.DataFrame
    withheld: frozenset[str] = frozenset()
    """The fields whose values who asks may not see."""


def examples(found: Samples, decisions: Sequence[Mapping[str, Any]], library: Library, at: datetime) -> Examples:
    """Return the first records as the rule sees them; a decision that has mistakes adds nothing."""
    try:
        built = [build(Decision, decision) for decision in decisions if not validate(decision, json_schema(Decision))]
        questions, schema = compile_decisions(built, found.schema, library)
        return Examples(schema, ask_all(questions, found.many, at).batch)
    except DocumentError:
        return Examples(found.schema, found.many)


def counts(house: House, items: Sequence[Mapping[str, Any]], given: Examples, library: Library) -> list[Count]:
    """Return a count for each validation of a document; one that has mistakes has neither tally nor problem."""
    references = References(
        lambda name: open_connector(house, name), lambda name, thing: connections.object_schema(house, name, thing)
    )
    with closing(references):
        return [_count(item, given, library, references) for item in items]


def _count(item: Mapping[str, Any], given: Examples, library: Library, references: References) -> Count:
    validation = _readable(item)
    if validation is None:
        return Count()
    try:
        validator = Validator(compile_validations([validation], given.schema, library), given.schema)
        verdicts = validator.check(given.records, _Outside(references))
    except (DocumentError, KeyError):  # a field that does not exist: the check says so at its place
        return Count()
    except connections.ConnectionProblem as error:
        return Count(problem=error.message)
    except ConnectorError as error:
        return Count(problem=connections.sentence(error))
    return Count(verdicts.tallies[validation.name])


def _readable(item: Mapping[str, Any]) -> Validation | None:
    if validate(item, json_schema(Validation)):
        return None
    validation = build(Validation, item)
    return None if any(meaning([validation])) else validation
