"""The kinds of rules that others ask: decision tables and lookup tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import sqlalchemy as sa

from rules.decisions import compile_table
from rules.decisions.analysis import analyse
from rules.decisions.findings import Finding
from rules.documents import DocumentError, DocumentProblem, decision_table, lookup
from rules.language.library import Library
from rules.language.problems import Severity
from rules.testing import TableTests
from rules.text import N_, msg
from webapp.extensions import House
from webapp.rulebook.editing import part_of
from webapp.rulebook.kind import Document, RuleKind, listed
from webapp.rulebook.library import library
from webapp.rulebook.translation import translate as _

SHOWN = 50


def _structure(parse: Callable[[Document], object]) -> Callable[[Document], list[DocumentProblem]]:
    def structure(document: Document) -> list[DocumentProblem]:
        try:
            parse(document)
        except DocumentError as error:
            return list(error.problems)
        return []

    return structure


def _check_table(house: House, document: Document, tx: sa.Connection | None) -> list[DocumentProblem]:
    try:
        table = decision_table.parse_decision_table(document)
        known = library(house, tx=tx)
        warnings = compile_table(table, library=known).warnings
        findings = analyse(table, as_of=table.day(house.clock())).findings
    except DocumentError as error:
        return list(error.problems)
    failing = TableTests(table, table.day(house.clock()), known).run().problems() if table.tests else ()
    return [*warnings, *_remarks(findings), *failing]


def _fits_table(_house: House, document: Document, _tx: sa.Connection, known: Library) -> list[DocumentProblem]:
    try:
        compile_table(decision_table.parse_decision_table(document), library=known)
    except DocumentError as error:
        return list(error.problems)
    return []


def _remarks(findings: tuple[Finding, ...]) -> Iterator[DocumentProblem]:
    for finding in findings[:SHOWN]:
        path = "rows" if not finding.rows else f"rows/{finding.rows[-1]}"
        if finding.rows and finding.input is not None:
            path += f"/when/{finding.input}"
        yield DocumentProblem(path, finding.message, severity=finding.severity)


def _check_lookup(_house: House, document: Document, _tx: sa.Connection | None) -> list[DocumentProblem]:
    found = LOOKUP.structure(document)
    if not found and not document.get("entries"):
        text = msg("The table has no entries yet, so that nothing is ever found in it.")
        found.append(DocumentProblem("entries", text, severity=Severity.WARNING))
    return found


def _lead(document: Document) -> str:
    names = [
        ", ".join(str(column.get("label") or column.get("name")) for column in listed(document, part))
        for part in ("inputs", "outputs")
    ]
    rows = len(listed(document, "rows"))
    return _("%(inputs)s → %(outputs)s; rows: %(rows)d", inputs=names[0], outputs=names[1], rows=rows)


def _entries(document: Document) -> str:
    columns = ", ".join(str(column.get("name")) for column in listed(document, "columns"))
    key, entries = part_of(document, "key").get("name", ""), document.get("entries")
    count = len(entries) if isinstance(entries, list) else 0
    return _("%(key)s → %(columns)s; entries: %(count)d", key=key, columns=columns, count=count)


DECISION_TABLE = RuleKind(
    name=decision_table.KIND,
    label=N_("Decision table"),
    about=N_("Decides values by rows of conditions, like a price list: other rules ask it for every record."),
    icon="table",
    structure=_structure(decision_table.parse_decision_table),
    check=_check_table,
    schema=decision_table.decision_table_schema,
    lead=_lead,
    new="/rules/new/table",
    home="table",
    tabs=(("table", N_("Table")), ("tests", N_("Tests"))),
    fits=_fits_table,
)
LOOKUP = RuleKind(
    name=lookup.KIND,
    label=N_("Lookup table"),
    about=N_("Translates codes, such as countries or units: expressions look values up in it."),
    icon="list-ul",
    structure=_structure(lookup.parse_lookup),
    check=_check_lookup,
    schema=lookup.lookup_schema,
    lead=_entries,
    new="/rules/new/lookup",
    home="entries",
    tabs=(("entries", N_("Entries")),),
)
