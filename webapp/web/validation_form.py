"""A list of validations as inputs of a form and as a document: `validations-2-check` is the key `validations/2/check`.

Rules and entities have the same list, so both use this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from werkzeug.datastructures import MultiDict

from webapp.web.storable import natural

PREFIX = "validations"
ASKS = ("check", "unique", "reference")
"""What a validation can ask."""
_NUMBER = re.compile(rf"^{PREFIX}-(\d+)-")
_REFERENCE = ("connection", "object", "field", "key")
_NOT_WORD = re.compile(r"[^a-z0-9]+")

Row = dict[str, Any]


def rows_of(form: MultiDict[str, str]) -> list[Row]:
    """Return the inputs of each validation, in order."""
    numbers = sorted({int(m[1]) for m in map(_NUMBER.match, form) if m})
    rows = []
    for number in numbers:
        start = f"{PREFIX}-{number}-"
        row: Row = {key[len(start) :]: form[key].strip() for key in form if key.startswith(start)}
        ask = row.get("ask") if row.get("ask") in ASKS else ASKS[0]
        rows.append({**row, "ask": ask, "unique": [name for name in form.getlist(f"{start}unique") if name]})
    return rows


def documents_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the validations that the inputs describe; what cannot be right is left for the checks to tell."""
    taken = {row["name"] for row in rows if row.get("name")}
    return [_document(row, number, taken) for number, row in enumerate(rows)]


def rows_from(validations: Any) -> list[Row]:
    """Return the inputs of the validations of a document; what a broken draft holds in their place is left out."""
    found = validations if isinstance(validations, Sequence) and not isinstance(validations, str) else ()
    return [_row(item) for item in found if isinstance(item, Mapping)]


def moved(rows: Sequence[Row], deed: str) -> tuple[list[Row], int | None]:
    """Return the rows after `add:check`, `up:3`, `down:3`, `remove:3` or `side:3`, and which one to show open."""
    word, _, rest = deed.partition(":")
    changed = list(rows)
    if word == "add":
        return [*changed, {"ask": rest if rest in ASKS else "check", "unique": []}], len(changed)
    number = natural(rest)
    if number is None or number >= len(changed):
        return changed, None
    if word == "side":
        return changed, number
    row = changed.pop(number)
    if word == "remove":
        return changed, None
    changed.insert(max(number - 1, 0) if word == "up" else number + 1, row)
    return changed, None


def input_of(path: str) -> str:
    """Return the name of the input for a key like `validations/2/reference/field`."""
    parts = path.split("/")
    if len(parts) < 2:
        return PREFIX
    start, rest = f"{PREFIX}-{parts[1]}-", parts[2:]
    if not rest:
        return f"{start}name"
    if rest[0] == "reference":
        return f"{start}{rest[1] if len(rest) > 1 else 'field'}"
    return start + rest[0]


def wrong_rows(errors: Mapping[str, Any]) -> set[int]:
    """Return the numbers of the validations that inputs with mistakes belong to."""
    return {int(m[1]) for m in map(_NUMBER.match, errors) if m}


def _document(row: Row, number: int, taken: set[str]) -> dict[str, Any]:
    document: dict[str, Any] = {"name": row.get("name") or _name(row, number, taken)}
    ask = row.get("ask", "check")
    if ask == "check" and row.get("check"):
        document["check"] = row["check"]
    elif ask == "unique" and row.get("unique"):
        document["unique"] = row["unique"]
    elif ask == "reference":
        held = {key: row[key] for key in _REFERENCE if row.get(key)}
        document["reference"] = {k: v for k, v in held.items() if (k, v) != ("connection", "hub")}
    if row.get("when"):
        document["when"] = row["when"]
    if row.get("severity", "quarantine") != "quarantine":
        document["severity"] = row["severity"]
    return {**document, **{key: row[key] for key in ("message", "side") if row.get(key)}}


def _name(row: Row, number: int, taken: set[str]) -> str:
    """Return a name made of what the validation says, or of its number."""
    words = _NOT_WORD.sub("_", row.get("message", "").lower()).strip("_")[:40].strip("_")
    name = words if words[:1].isalpha() else f"{row.get('ask', 'check')}_{number + 1}"
    while name in taken:
        name = f"{name}_{number + 1}"
    taken.add(name)
    return name


def _row(item: Mapping[str, Any]) -> Row:
    held = item.get("reference")
    reference = held if isinstance(held, Mapping) else {}
    ask = "reference" if "reference" in item else "unique" if item.get("unique") else "check"
    unique = item.get("unique")
    texts = {key: str(item.get(key) or "") for key in ("name", "check", "when", "message", "side")}
    pointed = {key: str(reference.get(key) or "") for key in _REFERENCE}
    names = [str(name) for name in unique] if isinstance(unique, Sequence) and not isinstance(unique, str) else []
    return {**texts, **pointed, "ask": ask, "unique": names, "severity": str(item.get("severity") or "quarantine")}
