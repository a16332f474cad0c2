"""The generated parts of the documentation; `python -m tests.rules.reference` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from rules.documents.build import plain
from rules.documents.defaults import actions
from rules.documents.lookup import lookup_schema
from rules.documents.parse import parse_sync, sync_schema
from rules.documents.shape import doc_of, hints, inner, required
from rules.documents.sync import Action, Direction, SyncRule
from rules.language.functions import FUNCTIONS
from rules.language.functions.registry import Group
from rules.mapping.columns import CONVERSIONS
from rules.schema import FieldType

DOCS = Path(__file__).parents[2] / "docs"
LOOKUP = DOCS / "schemas" / "lookup.json"
RULES, PAGE, SCHEMA = DOCS / "rules.md", DOCS / "functions.md", DOCS / "schemas" / "sync.json"


def functions_page() -> str:
    """Return docs/functions.md."""
    parts = [
        "# Functions of the expression language",
        "<!-- Generated from rules/language/functions by `python -m tests.rules.reference`. -->",
        "A function is written `trim(name)` or `name.trim()`; both mean the same. Every example here is run as a test.",
        "What the language itself is, and how empty values and decimals behave, is told in [rules.md](rules.md).",
    ]
    for group in Group:
        parts.append(f"## {group.value}")
        for name, function in FUNCTIONS.items():
            if function.group is group:
                signatures = "\n".join(overload.signature for overload in function.overloads)
                examples = "\n".join(f"- `{e.expression}` is `{e.result}`" for e in function.examples)
                parts.append(f"### {name}\n\n{function.doc}\n\n```text\n{signatures}\n```\n\n{examples}")
    return "\n\n".join(parts) + "\n"


def keys(cls: type, path: str = "") -> Iterator[tuple[str, Field[Any], Any]]:
    """Yield every key of a document: its path, its declaration, the class or type of its value."""
    types = hints(cls)
    for item in fields(cls):
        hint = types[item.name]
        many = str(hint).startswith("tuple")
        here = f"{path}{item.name}" + ("[]" if many and is_dataclass(inner(hint)) else "")
        yield here, item, inner(hint)
        if is_dataclass(inner(hint)):
            yield from keys(inner(hint), f"{here}.")


def keys_table() -> str:
    """Return the table of all keys of a sync rule."""
    head = ["| key | default | meaning |", "|---|---|---|", "| `kind` | required | always `sync` |"]
    return "\n".join([*head, *(key_row(*found) for found in keys(SyncRule))])


def key_row(path: str, item: Field[Any], type_: Any) -> str:
    """Return the line of a key in a table of keys."""
    return f"| `{path}` | {_default(item)} | {doc_of(item).replace('|', '/')}{_choices(type_, item)} |"


def _default(item: Field[Any]) -> str:
    if required(item):
        return "required"
    if item.default is None or is_dataclass(item.default) or item.default in ((), "", MISSING):
        return ""
    return f"`{json.dumps(plain(item.default))}`".replace('"', "")


def _choices(type_: Any, item: Field[Any]) -> str:
    bounds = item.metadata["document"][1].get("enum")
    options = bounds or ([member.value for member in type_] if hasattr(type_, "__members__") else [])
    return f" One of: {', '.join(f'`{option}`' for option in options)}." if options else ""


def situations_table() -> str:
    """Return what is done in each situation if the rule does not say so."""
    found = {}
    for direction in Direction:
        side = {"connection": "a", "object": "b"}
        document = {"kind": "sync", "name": "x", "left": side, "right": side, "key": {"left": "a", "right": "b"}}
        pairs = [{"left": "a", "right": "b"}]
        found[direction] = actions(parse_sync({**document, "fields": pairs, "direction": direction.value}))
    head = ["| situation | " + " | ".join(f"`{d.value}`" for d in Direction) + " |", "|---|---|---|---|"]
    return "\n".join(head + [_situation_row(name, found) for name in found[Direction.TWO_WAY]])


def _situation_row(name: str, found: dict[Direction, dict[str, Action]]) -> str:
    return f"| `{name}` | " + " | ".join(f"`{found[d][name].value}`" for d in Direction) + " |"


def conversions_table() -> str:
    """Return which field types can be copied into which."""
    kinds = list(FieldType)
    rows = ["| from \\ to | " + " | ".join(k.value for k in kinds) + " |", "|---|" + "---|" * len(kinds)]
    for source in kinds:
        cells = ["=" if source is t else "yes" if (source, t) in CONVERSIONS else "" for t in kinds]
        rows.append(f"| {source.value} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


TABLES = {"keys": keys_table, "situations": situations_table, "conversions": conversions_table}


def rules_page(text: str) -> str:
    """Return docs/rules.md with its tables made new; the prose between them is written by hand."""
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        text = re.sub(f"{start}.*?{end}", lambda _m, s=start, e=end, m=make: f"{s}\n\n{m()}\n\n{e}", text, flags=re.S)  # type: ignore[misc]
    return text


def schema_text() -> str:
    """Return docs/schemas/sync.json."""
    return json.dumps(sync_schema(), indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Write all generated documentation."""
    PAGE.write_text(functions_page())
    SCHEMA.write_text(schema_text())
    LOOKUP.write_text(json.dumps(lookup_schema(), indent=2, ensure_ascii=False) + "\n")
    RULES.write_text(rules_page(RULES.read_text()))


if __name__ == "__main__":
    write()
