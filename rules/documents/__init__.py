"""Rule documents: text to data, data to dataclasses, identity. Pure functions, no I/O.

`rules.documents.check` stands apart: it compiles what a rule holds, and so builds on mapping and decisions.
"""

from __future__ import annotations

from rules.documents.defaults import actions
from rules.documents.identity import ABSENT, Difference, canonical, differences, digest
from rules.documents.parse import parse_sync, sync_schema
from rules.documents.problems import DocumentError, DocumentProblem, errors
from rules.documents.support import unsupported
from rules.documents.sync import SyncRule
from rules.documents.text import Format, Located, dump_document, load_documents
from rules.documents.validate import validate

__all__ = [
    "ABSENT",
    "Difference",
    "DocumentError",
    "DocumentProblem",
    "Format",
    "Located",
    "SyncRule",
    "actions",
    "canonical",
    "differences",
    "digest",
    "dump_document",
    "errors",
    "load_documents",
    "parse_sync",
    "sync_schema",
    "unsupported",
    "validate",
]
