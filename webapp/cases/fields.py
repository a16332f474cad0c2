"""Fields in question as a page shows them: values side by side, what differs, and how a value of one's own is typed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rules.schema import Field, FieldType, Schema
from webapp.runs.pair_choices import LEFT, RIGHT, VALUE

LONG = 60
"""Texts from this length on are typed into a box of several lines."""
MARKED = 2_000
"""Texts up to this length have their differences marked."""
SHORT = 200
"""Texts up to this length are shown whole; of longer ones what differs, with a few words around it."""
AROUND = 40
_PIECES = re.compile(r"[A-Za-z0-9_À-ɏ]+|\s+|.", re.S)
_INPUTS: Mapping[FieldType, str] = {
    FieldType.INTEGER: "numeric",
    FieldType.DECIMAL: "decimal",
    FieldType.FLOAT: "decimal",
    FieldType.DATE: "date",
    FieldType.BOOLEAN: "boolean",
    FieldType.JSON: "long",
}
_NOTHING: Any = object()


@dataclass(frozen=True)
class Cell:
    """A value as it is shown: in pieces, of which some differ; `empty` is "null", "text" or nothing.

    `whole` is the full text where the pieces leave out some of it; `truth` is set for yes and no.
    """

    pieces: tuple[tuple[str, bool], ...] = ()
    empty: str = ""
    same: bool = False
    whole: str = ""
    truth: bool | None = None

    @property
    def text(self) -> str:
        """Return the whole text."""
        return "".join(piece for piece, _ in self.pieces)


@dataclass(frozen=True)
class FieldRow:
    """One field in question; `take` and `own` are what is chosen, `entry` how an own value is typed."""

    number: str
    label: str
    names: Mapping[str, str]
    left: Cell
    right: Cell
    base: Cell | None
    entry: str
    type: str
    length: int | None
    required: bool
    take: str = ""
    own: str = ""
    error: str = ""
    sides: tuple[str, ...] = field(default=(LEFT, RIGHT))


def rows(
    asked: Mapping[str, Mapping[str, Any]],
    schemas: Mapping[str, Schema],
    chosen: Mapping[str, Any] | None = None,
    error: tuple[str, str] = ("", ""),
) -> list[FieldRow]:
    """Return the fields in question; `chosen` is a choice to be shown, `error` a field's number and what is wrong."""
    given = (chosen or {}).get("fields") or {}
    return [
        _row(number, entry, schemas, given.get(number), error[1] if error[0] == number else "")
        for number, entry in asked.items()
    ]


def _row(
    number: str, entry: Mapping[str, Any], schemas: Mapping[str, Schema], given: Mapping[str, Any] | None, error: str
) -> FieldRow:
    sides = {side: entry.get(side) or {} for side in (LEFT, RIGHT)}
    names = {side: str(part.get("name") or "") for side, part in sides.items()}
    values = {side: part.get("value") for side, part in sides.items()}
    base: Mapping[str, Any] = entry.get("base") or {}
    known = _field(schemas, LEFT, names[LEFT]) or _field(schemas, RIGHT, names[RIGHT])
    agreed = base.get(LEFT) if base.get(LEFT) is not None else base.get(RIGHT)
    own = given.get(VALUE) if given else None
    return FieldRow(
        number,
        label(entry, known),
        names,
        cell(values[LEFT], base.get(LEFT) if base.get(LEFT) is not None else values[RIGHT]),
        cell(values[RIGHT], base.get(RIGHT) if base.get(RIGHT) is not None else values[LEFT]),
        cell(agreed) if base else None,
        _entry(known, values),
        known.type.value if known else "text",
        known.length if known else None,
        required=known is not None and not known.nullable,
        take=str(given.get("take") or "") if given is not None else _only_changed(values, base),
        own=plain(own) if given and given.get("take") == VALUE else "",
        error=error,
    )


def label(entry: Mapping[str, Any], known: Field | None = None) -> str:
    """Return what a field pair is called: its label, or the names of both fields where they differ."""
    if known is not None and known.label:
        return known.label
    names = [str((entry.get(side) or {}).get("name") or "") for side in (LEFT, RIGHT)]
    return " / ".join(dict.fromkeys(name for name in names if name)) or str(entry.get("field") or "?")


def cell(value: Any, against: Any = _NOTHING) -> Cell:
    """Return a value as it is shown, with what differs from another one marked."""
    if value is None:
        return Cell(empty="null", same=against is None)
    if value == "":
        return Cell(empty="text", same=against == "")
    if isinstance(value, bool):
        return Cell(same=value is against, truth=value)
    text = plain(value)
    same = against is not _NOTHING and value == against
    pieces = [(text, False)]
    if not same and against is not _NOTHING:
        pieces = list(_marked(text, "" if against is None else plain(against)))
    if len(text) <= SHORT:
        return Cell(tuple(pieces), same=same)
    return Cell(tuple(_shortened(pieces)), same=same, whole=text)


def plain(value: Any) -> str:
    """Return a value as text; what is no text as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _marked(text: str, against: str) -> Iterator[tuple[str, bool]]:
    if not against or len(text) > MARKED or len(against) > MARKED:
        yield text, bool(against)
        return
    mine, others = _PIECES.findall(text), _PIECES.findall(against)
    matcher = difflib.SequenceMatcher(None, others, mine, autojunk=False)
    if matcher.ratio() < 0.3:  # hardly anything is the same: marks in between would only confuse
        yield text, True
        return
    for tag, _a, _b, start, end in matcher.get_opcodes():
        if piece := "".join(mine[start:end]):
            yield from _tight(piece) if tag != "equal" else ((piece, False),)


def _tight(piece: str) -> Iterator[tuple[str, bool]]:
    """Yield a piece that differs with the spaces around it left unmarked."""
    core = piece.strip()
    if not core:
        yield piece, True
        return
    before, _core, after = piece.partition(core)
    yield from ((text, text is core) for text in (before, core, after) if text)


def _shortened(pieces: Sequence[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
    """Yield pieces with the middle of long stretches left out."""
    last = len(pieces) - 1
    for place, (text, differs) in enumerate(pieces):
        head = AROUND if place > 0 or last == 0 else 0
        tail = AROUND if place < last else 0
        head = 3 * AROUND if last == 0 or differs else head
        if len(text) <= head + tail + 2 * AROUND:
            yield text, differs
        else:
            yield f"{text[:head]} … {text[len(text) - tail :]}", differs


def _only_changed(values: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """Return the side that has changed since the last agreement, where only one has."""
    if not base:
        return ""
    changed = [side for side in (LEFT, RIGHT) if values[side] != base.get(side)]
    return changed[0] if len(changed) == 1 else ""


def _field(schemas: Mapping[str, Schema], side: str, name: str) -> Field | None:
    schema = schemas.get(side)
    return schema[name] if schema is not None and name in schema else None


def _entry(known: Field | None, values: Mapping[str, Any]) -> str:
    if known is not None and known.type in _INPUTS:
        return _INPUTS[known.type]
    texts = [plain(value) for value in values.values()]
    return "long" if any(len(text) > LONG or "\n" in text for text in texts) else "text"


def typed(text: str, known: Field | None) -> Any:
    """Return what a person has typed as a value of a field; what does not fit stays text, for the check to refuse."""
    text = text.replace("\r\n", "\n")
    if not text.strip():
        return None
    kind = known.type if known else FieldType.TEXT
    if kind is FieldType.TEXT:
        return text
    text = text.strip()
    if kind is FieldType.BOOLEAN and text in ("true", "false"):
        return text == "true"
    if kind is FieldType.INTEGER and re.fullmatch(r"-?[0-9]{1,19}", text):
        return int(text)
    return text
