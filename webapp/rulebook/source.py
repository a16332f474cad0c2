"""A document as text, and back: what the editor of the whole rule shows, reads and underlines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.documents import DocumentError, Format, Located, dump_document, load_documents
from rules.text import Message, msg


@dataclass(frozen=True)
class SyntaxProblem:
    """Text that holds no document, and where it stops doing so; lines and columns count from 1."""

    message: Message
    line: int = 1
    column: int = 1


def written(document: Mapping[str, Any], form: str) -> str:
    """Return the document as text: "yaml" or "json"."""
    if form == Format.JSON:
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    return dump_document(document)


def read(text: str, form: str) -> tuple[Located | None, SyntaxProblem | None]:
    """Return the one document that a text holds, or why it holds none."""
    try:
        found = load_documents(text, form)
    except DocumentError as error:
        first = error.problems[0]
        return None, SyntaxProblem(first.message, first.line or 1, first.column or 1)
    if len(found) != 1:
        return None, SyntaxProblem(msg("The text has to be one document with keys such as name, left and right."))
    return found[0], None
