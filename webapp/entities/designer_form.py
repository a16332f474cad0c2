"""The designer's form and the entity's document: the inputs `fields-3-label_en` and the key `fields/3/label/en`."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from werkzeug.datastructures import MultiDict

from rules.documents.problems import DocumentProblem
from rules.schema import FieldType
from rules.text import Message
from webapp.entities.encryption import ENCRYPTED, INDEXED
from webapp.entities.model import CHOICE_KINDS, FIELD_TYPES, LENGTHS, NUMBER_KINDS, TEXT_KINDS, UNINDEXED_KINDS, Kind
from webapp.web import validation_form
from webapp.web.storable import natural, read_json

FLAGS = ("required", "unique", "indexed", "searchable", "personal", "encrypted", "exact")
_TEXTS = ("name", "was", "computed", "default")
_PREFIX = re.compile(r"^fields-(\d+)-")
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_WITH_LENGTH = frozenset(LENGTHS) - {Kind.CHOICE, Kind.FILE}

Row = dict[str, Any]

GROUPS: dict[str, frozenset[Kind]] = {
    "length": _WITH_LENGTH,
    "digits": NUMBER_KINDS,
    "currency": frozenset({Kind.MONEY}),
    "choices": CHOICE_KINDS,
    "reference": frozenset({Kind.REFERENCE}),
    "unique": frozenset(Kind) - UNINDEXED_KINDS - {Kind.BOOLEAN},
    "indexed": frozenset(Kind) - UNINDEXED_KINDS - {Kind.REFERENCE},
    "searchable": TEXT_KINDS,
    "encrypted": ENCRYPTED,
    "exact": INDEXED & ENCRYPTED,
    "default": frozenset(Kind) - {Kind.REFERENCE, Kind.FILE},
    "computed": frozenset(Kind) - {Kind.MULTI_CHOICE, Kind.REFERENCE, Kind.FILE, Kind.JSON},
}
"""Which parts of a field's form its type shows."""


def document_of(form: MultiDict[str, str]) -> dict[str, Any]:
    """Return the document that the designer's form describes; what cannot be right is left for the checks to tell."""
    document: dict[str, Any] = {"kind": "entity", "name": form.get("name", "").strip()}
    for key in ("label", "help"):
        document |= _label(key, form.get(f"{key}_en", ""), form.get(f"{key}_zh", ""))
    if form.get("title"):
        document["title"] = form["title"]
    if not document["name"]:
        document["name"] = slug(form.get("label_en", ""))
    rows = rows_of(form)
    taken = {row["name"] for row in rows if row.get("name")}
    fields = [field_document(row, taken, number) for number, row in enumerate(rows)]
    validations = validation_form.documents_of(validation_form.rows_of(form))
    return {**document, "fields": fields, **({"validations": validations} if validations else {})}


def rows_of(form: MultiDict[str, str]) -> list[Row]:
    """Return the inputs of each field, in order."""
    numbers = sorted({int(m[1]) for m in map(_PREFIX.match, form) if m})
    return [{key[len(f"fields-{n}-") :]: form[key] for key in form if key.startswith(f"fields-{n}-")} for n in numbers]


def field_document(row: Row, taken: Iterable[str] = (), number: int = 0) -> dict[str, Any]:
    """Return the document of a field from its inputs."""
    kind = Kind(row["type"]) if row.get("type") in set(Kind) else Kind.TEXT
    field: dict[str, Any] = {"name": row.get("name", "").strip() or _new_name(row, taken, number), "type": kind.value}
    for key in ("label", "help"):
        field |= _label(key, row.get(f"{key}_en", ""), row.get(f"{key}_zh", ""))
    field |= {flag: True for flag in FLAGS if row.get(flag) and kind in GROUPS.get(flag, frozenset(Kind))}
    if row.get("was") and row["was"] != field["name"]:
        field["was"] = row["was"]
    if row.get("computed", "").strip() and kind in GROUPS["computed"]:
        field["computed"] = row["computed"].strip()
    elif row.get("default", "").strip() and kind in GROUPS["default"]:
        field["default"] = _default(kind, row["default"].strip())
    if row.get("validation", "").strip():
        message = _label("message", row.get("message_en", ""), row.get("message_zh", ""))
        field["validation"] = {"expression": row["validation"].strip(), **message}
    return field | _special(kind, row)


def form_of(document: Mapping[str, Any]) -> tuple[dict[str, str], list[Row]]:
    """Return the inputs of an entity and of its fields."""
    head = {"name": document.get("name", ""), "title": document.get("title", "")}
    for key in ("label", "help"):
        head |= _inputs(key, document.get(key))
    return head, [_row(field) for field in document.get("fields", [])]


def columns_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the fields as far as they have names, as expressions see them."""
    found = [{"name": "id", "type": FieldType.INTEGER.value, "label": "", "nullable": False}]
    for row in rows:
        if row.get("name"):
            kind = Kind(row["type"]) if row.get("type") in set(Kind) else Kind.TEXT
            type_ = FIELD_TYPES.get(kind, FieldType.TEXT).value
            name = {"name": row["name"], "label": row.get("label_en", "")}
            found.append({**name, "type": type_, "nullable": not row.get("required")})
    return found


def moved(rows: Sequence[Row], deed: str) -> tuple[list[Row], int | None]:
    """Return the rows after `add:text`, `up:3`, `down:3` or `remove:3`, and which one to show open."""
    word, _, rest = deed.partition(":")
    changed = list(rows)
    if word == "add":
        return [*changed, {"type": rest if rest in set(Kind) else Kind.TEXT.value}], len(changed)
    number = natural(rest)
    if number is None or number >= len(changed):
        return changed, None
    row = changed.pop(number)
    if word == "remove":
        return changed, None
    place = max(number - 1, 0) if word == "up" else number + 1
    changed.insert(place, row)
    return changed, None


def errors_of(problems: Iterable[DocumentProblem]) -> dict[str, Message]:
    """Return input -> sentence; of several problems of one input the first, with its place in an expression."""
    errors: dict[str, Message] = {}
    for problem in problems:
        errors.setdefault(input_of(problem.path), _placed(problem))
    return errors


def input_of(path: str) -> str:
    """Return the name of the input for a key of the document."""
    parts = path.split("/")
    prefix = ""
    if parts[0] == validation_form.PREFIX:
        return validation_form.input_of(path)
    if parts[0] == "fields" and len(parts) > 1:
        prefix, parts = f"fields-{parts[1]}-", parts[2:] or ["name"]
    if parts[:2] == ["validation", "message"]:
        parts = ["message", *parts[2:]]
    if parts[0] in ("label", "help", "message"):
        return f"{prefix}{parts[0]}_{parts[1] if len(parts) > 1 else 'en'}"
    return prefix + (parts[0] or "name")


def wrong_fields(errors: Iterable[str]) -> set[int]:
    """Return the numbers of the fields that inputs with mistakes belong to."""
    return {int(m[1]) for m in map(_PREFIX.match, errors) if m}


def slug(text: str) -> str:
    """Return a name made of a label; empty where the label has no Latin letter."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = _NOT_WORD.sub("_", plain).strip("_")[:40].rstrip("_")
    return name if name[:1].isalpha() else ""


def _new_name(row: Row, taken: Iterable[str], number: int) -> str:
    name = slug(row.get("label_en", "")) or f"field_{number + 1}"
    return f"{name}_{number + 1}" if name in set(taken) else name


def _special(kind: Kind, row: Row) -> dict[str, Any]:
    field: dict[str, Any] = {}
    if kind in GROUPS["length"] and row.get("length", "").strip():
        field["length"] = _number(row["length"])
    if kind in GROUPS["digits"]:
        field |= {key: _number(row[key]) for key in ("precision", "scale") if row.get(key, "").strip()}
    if kind is Kind.MONEY and row.get("currency", "").strip():
        field["currency"] = row["currency"].strip().upper()
    if kind in CHOICE_KINDS:
        field["choices"] = _choices(row.get("choices", ""))
    if kind is Kind.REFERENCE:
        field |= {"entity": row.get("entity", ""), "on_delete": row.get("on_delete") or "restrict"}
    return field


def _choices(text: str) -> list[dict[str, Any]]:
    lines = [[part.strip() for part in line.split("|")] for line in text.splitlines() if line.strip()]
    return [{"value": en_zh[0], **_label("label", en_zh[1], en_zh[2])} for en_zh in ([*line, "", ""] for line in lines)]


def _label(key: str, en: str, zh: str) -> dict[str, Any]:
    both = {k: v for k, v in (("en", en.strip()), ("zh", zh.strip())) if v}
    return {key: both} if both else {}


def _number(text: str) -> Any:
    number = natural(text.strip())
    return text if number is None else number


def _default(kind: Kind, text: str) -> Any:
    if kind is Kind.BOOLEAN:
        return {"true": True, "false": False}.get(text, text)
    if kind is Kind.MULTI_CHOICE:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is Kind.JSON:
        try:
            return read_json(text)
        except ValueError:
            return text
    return text


def _row(field: Mapping[str, Any]) -> Row:
    validation = field.get("validation") or {}
    row: Row = {**{k: v for k, v in field.items() if isinstance(v, (str, int))}, "was": field["name"]}
    for key in ("label", "help"):
        row |= _inputs(key, field.get(key))
    row |= _inputs("message", validation.get("message"))
    row["validation"] = validation.get("expression", "")
    row["choices"] = "\n".join(_choice_line(choice) for choice in field.get("choices", ()))
    if "default" in field:
        row["default"] = _default_text(field["default"])
    return row


def _choice_line(choice: Mapping[str, Any]) -> str:
    label = _inputs("label", choice.get("label"))
    parts = [choice["value"], label["label_en"], label["label_zh"]]
    while not parts[-1]:
        parts.pop()
    return " | ".join(parts)


def _default_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, (bool, dict)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _inputs(key: str, label: Any) -> dict[str, str]:
    if isinstance(label, str):
        label = {"en": label}
    return {f"{key}_{lang}": (label or {}).get(lang, "") for lang in ("en", "zh")}


def _placed(problem: DocumentProblem) -> Message:
    if problem.column is None:
        return problem.message
    values = {"column": problem.column, "line": problem.line, "problem": problem.message}
    if problem.line and problem.line > 1:
        return Message("Line {line}, column {column}: {problem}", values)
    return Message("Column {column}: {problem}", values)
