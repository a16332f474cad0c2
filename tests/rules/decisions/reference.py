"""The generated parts of docs/decision-tables.md; `python -m tests.rules.decisions.reference` writes them."""

from __future__ import annotations

import json
import re

from rules.documents.decision_table import KIND, DecisionTable, decision_table_schema
from tests.rules.reference import DOCS, key_row, keys

PAGE, SCHEMA = DOCS / "decision-tables.md", DOCS / "schemas" / "decision_table.json"


def keys_table() -> str:
    """Return the table of all keys of a decision table."""
    head = ["| key | default | meaning |", "|---|---|---|", f"| `kind` | required | always `{KIND}` |"]
    return "\n".join([*head, *(key_row(*found) for found in keys(DecisionTable))])


def page(text: str) -> str:
    """Return docs/decision-tables.md with its table of keys made new."""
    made = f"<!-- keys -->\n\n{keys_table()}\n\n<!-- /keys -->"
    return re.sub("<!-- keys -->.*?<!-- /keys -->", lambda _match: made, text, flags=re.DOTALL)


def schema_text() -> str:
    """Return docs/schemas/decision_table.json."""
    return json.dumps(decision_table_schema(), indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Write all of it."""
    PAGE.write_text(page(PAGE.read_text()))
    SCHEMA.write_text(schema_text())


if __name__ == "__main__":
    write()
