"""Running the tests of a rule's document: against the fields of its systems, or of a decision table by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa

from rules.documents import DocumentError, decision_table, parse_sync
from rules.documents.build import build
from rules.documents.decision_table import Example, parse_decision_table
from rules.documents.example import RuleTest
from rules.testing import SyncTests, TableTests, Tested, TestResult
from rules.text import N_, Message, msg
from webapp.extensions import House
from webapp.rulebook.checking import SIDES, look
from webapp.rulebook.library import library

Document = Mapping[str, Any]
Runner: TypeAlias = SyncTests | TableTests
SYNC = "sync"
KINDS = (SYNC, decision_table.KIND)


class Untestable(Exception):
    """The tests of a rule cannot be run now; `message` says why and what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Tests:
    """The tests of one document, ready to be run."""

    __test__ = False

    document: Document
    runner: Runner

    def run(self) -> Tested:
        """Return the results of all tests and what they do not show."""
        return self.runner.run()

    def one(self, test: Document, number: int = 0) -> TestResult:
        """Return the result of a test that is written down as data."""
        if isinstance(self.runner, SyncTests):
            return self.runner.one(number, build(RuleTest, test))
        return self.runner.one(number, build(Example, test))


def prepare(house: House, document: Document, tx: sa.Connection | None = None) -> Tests:
    """Return the tests of a document, ready to be run; raises `Untestable`."""
    try:
        if document.get("kind") == decision_table.KIND:
            table = parse_decision_table(document)
            return Tests(document, TableTests(table, table.day(house.clock()), library(house, tx=tx)))
        return Tests(document, _sync(house, document, tx))
    except DocumentError as error:
        text = N_("The tests can run once the rule is without errors: {problem}")
        raise Untestable(msg(text, problem=error.problems[0].message)) from None


def _sync(house: House, document: Document, tx: sa.Connection | None) -> SyncTests:
    rule = parse_sync(document)
    left, right = (look(house, document, side, tx) for side in SIDES)
    if left.schema is None or right.schema is None:
        problem = left.problem or right.problem
        text = N_("The tests need the fields of both systems. {problem}")
        raise Untestable(msg(text, problem=problem or msg("They are not known yet.")))
    return SyncTests(rule, left.schema, right.schema, library(house, tx=tx), house.clock())
