"""Tables as files: which forms there are, reading an uploaded one, writing one for download."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import flash, request
from werkzeug.datastructures import FileStorage

from rules.decisions.dmn_read import Imported, read_dmn
from rules.decisions.dmn_write import write_dmn
from rules.decisions.grid import from_grid
from rules.decisions.sheets import write_csv, write_xlsx
from rules.documents import DocumentError, decision_table
from rules.documents.decision_table import DecisionTable, parse_decision_table
from rules.text import Message, msg
from webapp.entities import sheets
from webapp.rulebook.translation import translate as _
from webapp.tables import lookup_files
from webapp.tables.editor import fits
from webapp.web.language import translated

MIMETYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "dmn": "application/xml",
}
MAX_DMN = 20 * 1024 * 1024
SHOWN = 10
_OWN = ("kind", "name", "label", "description", "tests")
_XML = (b"<", b"\xef\xbb\xbf<")


class FileRefused(ValueError):
    """A file holds no table; `message` says why and where."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Written:
    """A file for download."""

    data: bytes
    mimetype: str


def written(document: Mapping[str, Any], form: str) -> Written | None:
    """Return the table as a file; None for a form that there is not, or while the table is not complete."""
    if not fits(document):
        return None
    if document.get("kind") != decision_table.KIND:
        writers = {"csv": lookup_files.as_csv, "xlsx": lookup_files.as_xlsx}
        return Written(writers[form](document), MIMETYPES[form]) if form in writers else None
    makers = {"csv": write_csv, "xlsx": write_xlsx, "dmn": write_dmn}
    try:
        return Written(makers[form](parse_decision_table(document)), MIMETYPES[form]) if form in makers else None
    except DocumentError:
        return None


def uploaded(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with rows and columns of the uploaded file, as it is where none was chosen.

    Raises:
        FileRefused: what is wrong with the file.
    """
    file = request.files.get("file")
    if file is None or not file.filename:
        return document
    try:
        reader = _table if document["kind"] == decision_table.KIND else _lookup
        found: dict[str, Any] = reader(file, document)
    except sheets.Unreadable as error:
        raise FileRefused(error.message) from None
    except DocumentError as error:
        first = error.problems[0]
        place = first.path or file.filename
        raise FileRefused(msg("{place}: {reason}", place=place, reason=first.message)) from None
    own: dict[str, Any] = {key: document[key] for key in _OWN if key in document}
    return {**found, **own}


def _lookup(file: FileStorage, document: dict[str, Any]) -> dict[str, Any]:
    return lookup_files.read(file.stream, document)


def _table(file: FileStorage, document: dict[str, Any]) -> dict[str, Any]:
    start = file.stream.read(4)
    file.stream.seek(0)
    if start.startswith(_XML):
        return _told(read_dmn(file.stream.read(MAX_DMN), request.form.get("decision", "").strip() or None))
    return from_grid(lookup_files.cells_of(file.stream), _like(document))


def _told(imported: Imported) -> dict[str, Any]:
    """Return the document of a DMN file, after saying what of it could not be translated."""
    for problem in imported.problems[:SHOWN]:
        flash(f"{problem.path}: {translated(problem.message)}", "warning")
    return imported.document


def _like(document: dict[str, Any]) -> DecisionTable | None:
    """Return the table that a file of rows only belongs to; None for a new one."""
    try:
        return parse_decision_table(document) if document.get("rows") else None
    except DocumentError:
        return None


def accepted(kind: str) -> str:
    """Return the endings of files that can be read."""
    return ".csv,.txt,.tsv,.xlsx" + (",.dmn,.xml" if kind == decision_table.KIND else "")


def help_on(kind: str) -> str:
    """Return what a file has to hold."""
    if kind == decision_table.KIND:
        return _("DMN (XML) as other decision tools write it, or CSV and Excel as they are downloaded here.")
    return _("CSV or Excel: the first line names the columns, the first column is the key.")
