"""Tables from DMN XML (1.1 to 1.5) as other modellers write it.

FEEL cells become ours. What has no counterpart (functions, the clock, variables, other languages) is never changed: the
cell says `FEEL: ...`, which keeps the table from being published, and a problem tells row and column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from rules.decisions.cells import CellError, Constant, Expression, Tests
from rules.decisions.dmn_file import Element, child, children, decision_tables, open_dmn, own, raw, refused, text_of
from rules.decisions.dmn_write import CEL, POLICIES
from rules.decisions.feel import from_feel, guessed_type, moments_type, value_from_feel
from rules.decisions.grid import EXTRAS
from rules.decisions.writing import write_input, write_output
from rules.documents.decision_table import KIND
from rules.documents.problems import DocumentProblem
from rules.schema import FieldType
from rules.text import N_, Message, msg

T = TypeVar("T")
_TYPES = {
    "string": FieldType.TEXT,
    "boolean": FieldType.BOOLEAN,
    "integer": FieldType.INTEGER,
    "long": FieldType.INTEGER,
    "int": FieldType.INTEGER,
    "short": FieldType.INTEGER,
    "number": FieldType.DECIMAL,
    "decimal": FieldType.DECIMAL,
    "double": FieldType.FLOAT,
    "float": FieldType.FLOAT,
    "date": FieldType.DATE,
    "time": FieldType.TIME,
    "dateTime": FieldType.LOCAL_DATETIME,
    "date and time": FieldType.LOCAL_DATETIME,
}
_MOMENTS = frozenset({FieldType.DATE, FieldType.LOCAL_DATETIME})
_NAME = re.compile(r"[^\W\d][\w ]*(\.[^\W\d][\w ]*)*")
_FEEL = re.compile(r"feel|/DMN/|^$", re.IGNORECASE)
_BY_POLICY = {text: policy.value for policy, text in POLICIES.items()}


@dataclass(frozen=True)
class Imported:
    """The document of a table that was made elsewhere, and what could not be translated."""

    document: dict[str, Any]
    problems: tuple[DocumentProblem, ...]


def read_dmn(data: bytes, decision: str | None = None) -> Imported:
    """Return the table of a DMN file; raises `DocumentError` if there is none, or several and none is chosen by id."""
    root = open_dmn(data)
    tables = decision_tables(root)
    if decision is not None:
        tables = [pair for pair in tables if pair[0].get("id") == decision]
    if not tables:
        raise refused(msg("There is no decision table in this file."))
    if len(tables) > 1:
        names = ", ".join(found.get("id", "") for found, _ in tables)
        raise refused(msg("This file has several decision tables. Choose one of: {names}.", names=names))
    return _Reader(root, *tables[0]).read()


class _Reader:
    """Reads one decision."""

    def __init__(self, root: Element, decision: Element, whole: Element) -> None:
        self._decision = decision
        self._whole = whole
        self._rules = children(whole, "rule")
        self._custom = {item.get("name", ""): item for item in children(root, "itemDefinition")}
        self._names: list[str] = []
        self._problems: list[DocumentProblem] = []

    def read(self) -> Imported:
        """Return the table and what could not be translated."""
        name, label = _slug(self._decision.get("id", "")), self._decision.get("name", "")
        document: dict[str, Any] = {"kind": KIND, "name": name}
        if label and label != name:
            document["label"] = label[:200]
        description = raw(child(self._decision, "description"))
        document |= {"description": description} if description else {}
        document |= self._policy()
        inputs = [self._input(n, element) for n, element in enumerate(children(self._whole, "input"))]
        outputs = [self._output(n, element) for n, element in enumerate(children(self._whole, "output"))]
        self._names = [column["name"] for column in inputs]
        types = [FieldType(column["type"]) for column in inputs], [FieldType(column["type"]) for column in outputs]
        rows = [self._row(n, rule, *types) for n, rule in enumerate(self._rules)]
        document |= {"inputs": inputs, "outputs": outputs, "rows": rows}
        return Imported(document, tuple(self._problems))

    def _policy(self) -> dict[str, str]:
        found = self._whole.get("hitPolicy", "UNIQUE")
        policy = _BY_POLICY.get(found)
        if policy is None:
            self._note("hit_policy", msg("The hit policy '{policy}' is not known.", policy=found))
        made = {"hit_policy": policy or "unique"}
        aggregation = self._whole.get("aggregation")
        made |= {"aggregation": aggregation.lower()} if aggregation and policy == "collect" else {}
        timezone = own(self._whole, "timezone")
        return made | ({"timezone": timezone} if timezone else {})

    def _note(self, path: str, message: Message) -> None:
        self._problems.append(DocumentProblem(path, message))

    # Columns

    def _input(self, number: int, element: Element) -> dict[str, Any]:
        asked = child(element, "inputExpression")
        cells = self._column("inputEntry", number)
        type_ = self._type(f"inputs/{number}/type", element, asked, (cells, []))
        text = text_of(asked)
        label = element.get("label", "")
        made: dict[str, Any] = {"name": own(element, "name") or text or label or f"input_{number + 1}"}
        made |= {"label": label[:200]} if label and label != made["name"] else {}
        made["type"] = type_.value
        if asked is not None and asked.get("expressionLanguage") == CEL:
            made["expression"] = text
        elif text and not own(element, "name") and not _NAME.fullmatch(text):
            self._note(f"inputs/{number}/expression", _untranslated(text))
            made |= {"name": label or f"input_{number + 1}", "expression": f"FEEL: {text}"}
        values = text_of(child(element, "inputValues")) or self._custom_values(asked)
        return made | self._allowed(f"inputs/{number}/allowed", values, lambda: _entries(values, type_))

    def _output(self, number: int, element: Element) -> dict[str, Any]:
        type_ = self._type(f"outputs/{number}/type", element, element, ([], self._column("outputEntry", number)))
        variable = child(self._decision, "variable")
        fallback = variable.get("name", "") if variable is not None else ""
        label = element.get("label", "")
        made: dict[str, Any] = {"name": element.get("name") or fallback or label or f"output_{number + 1}"}
        made |= {"label": label[:200]} if label and label != made["name"] else {}
        made["type"] = type_.value
        values = text_of(child(element, "outputValues")) or self._custom_values(element)
        made |= self._allowed(f"outputs/{number}/allowed", values, lambda: _choices(values, type_))
        default = text_of(child(element, "defaultOutputEntry"))
        if default:
            made["default"] = self._read(
                f"outputs/{number}/default", default, lambda: write_output(_constant(default, type_), type_)
            )
        return made

    def _allowed(self, path: str, text: str, read: Callable[[], list[str]]) -> dict[str, Any]:
        if not text:
            return {}
        try:
            return {"allowed": read()}
        except CellError as error:
            self._note(path, _untranslated(text, error.message))
            return {"allowed": [f"FEEL: {text}"]}

    def _custom_values(self, element: Element | None) -> str:
        item = None if element is None else self._custom.get(element.get("typeRef", ""))
        return "" if item is None else text_of(child(item, "allowedValues"))

    def _column(self, tag: str, number: int) -> list[str]:
        return [text_of(entries[number]) for rule in self._rules if len(entries := children(rule, tag)) > number]

    def _type(
        self, path: str, element: Element, typed: Element | None, cells: tuple[list[str], list[str]]
    ) -> FieldType:
        stated = own(element, "type")
        if stated in {type_.value for type_ in FieldType}:
            return FieldType(stated)
        written = "" if typed is None else typed.get("typeRef", "")
        item = self._custom.get(written)
        base = written if item is None else raw(child(item, "typeRef"))
        found = _TYPES.get(base.rpartition(":")[2].strip())
        if found is None:
            found = guessed_type(*cells)
            if found is None:
                text = N_("The type '{type}' is not known, and the cells do not tell it; it is taken for text.")
                self._note(path, msg(text, type=written))
                found = FieldType.TEXT
        return moments_type([*cells[0], *cells[1]], found) if found in _MOMENTS else found

    # Rows

    def _row(self, number: int, rule: Element, inputs: list[FieldType], outputs: list[FieldType]) -> dict[str, Any]:
        when = self._entries(number, "when", children(rule, "inputEntry"), inputs)
        then = self._entries(number, "then", children(rule, "outputEntry"), outputs)
        return {"when": when, "then": then, **self._extras(rule)}

    def _entries(self, number: int, key: str, entries: list[Element], types: list[FieldType]) -> list[str]:
        if len(entries) != len(types):
            text = N_("Row {row} has {count} cells, but the table has {columns} such columns.")
            words = msg(text, row=number + 1, count=len(entries), columns=len(types))
            self._note(f"rows/{number}/{key}", words)
        cells = []
        for place, type_ in enumerate(types):
            path = f"rows/{number}/{key}/{place}"
            entry = entries[place] if place < len(entries) else None
            cells.append(self._cell(path, entry, type_, is_input=key == "when"))
        return cells

    def _cell(self, path: str, entry: Element | None, type_: FieldType, *, is_input: bool) -> str:
        text = text_of(entry)
        language = "" if entry is None else entry.get("expressionLanguage", "")
        if language == CEL:
            return text if is_input or not text else write_output(Expression(text), type_, self._names)
        if not _FEEL.search(language):
            self._note(path, msg("The language {language} is not supported: {text}", language=language, text=text))
            return f"FEEL: {text}"
        if is_input:
            return self._read(path, text, lambda: write_input(from_feel(text, type_), type_))
        return self._read(path, text, lambda: write_output(_constant(text, type_), type_))

    def _read(self, path: str, text: str, read: Callable[[], str]) -> str:
        try:
            return read()
        except CellError as error:
            self._note(path, _untranslated(text, error.message))
            return f"FEEL: {text}"

    def _extras(self, rule: Element) -> dict[str, str]:
        names = [element.get("name", "") for element in children(self._whole, "annotation")]
        texts = [raw(child(entry, "text")) for entry in children(rule, "annotationEntry")]
        found = {name: text for name, text in zip(names, texts, strict=False) if text}
        extras = {name: text for name, text in found.items() if name in EXTRAS}
        others = [f"{name}: {text}" if name else text for name, text in found.items() if name not in EXTRAS]
        description = raw(child(rule, "description"))
        notes = [extras["note"]] if "note" in extras else [description] if description else []
        note = "\n".join([*notes, *others])
        return {**extras, **({"note": note[:2000]} if note else {})}


def _untranslated(text: str, reason: Message | None = None) -> Message:
    if reason is None:
        return msg("This FEEL expression cannot be translated: {text}", text=text)
    return msg("This FEEL expression cannot be translated: {text}. {reason}", text=text, reason=reason)


def _constant(text: str, type_: FieldType) -> Constant:
    return Constant(value_from_feel(text, type_) if text else None)


def _entries(text: str, type_: FieldType) -> list[str]:
    found = from_feel(text, type_)
    if not isinstance(found, Tests):
        return []
    parts = [found] if found.negated else [Tests((item,)) for item in found.items]
    return [write_input(part, type_) for part in parts]


def _choices(text: str, type_: FieldType) -> list[str]:
    """Return the listed values in their order, which is that of their importance."""
    return list(_values(from_feel(text, type_), type_))


def _values(found: object, type_: FieldType) -> Iterator[str]:
    items = found.items if isinstance(found, Tests) and not found.negated else ()
    for item in items:
        if not getattr(item, "point", True):
            raise CellError(msg("Only a list of values is possible here."))
        yield write_input(Tests((item,)), type_)


def _slug(text: str) -> str:
    """Return a name for a table: small letters, digits and underscores."""
    spread = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    plain = re.sub(r"[^a-z0-9]+", "_", spread.lower()).strip("_")
    name = plain if plain[:1].isalpha() else f"table_{plain}".rstrip("_")
    return name[:63]
