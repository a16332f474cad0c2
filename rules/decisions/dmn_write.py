"""A table as DMN 1.3 XML, which other decision modellers open.

What DMN has no place for (our types, time zone, dates of rows) stands in attributes of our own namespace, which others
pass over, and, for people, in annotations.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from rules.decisions.cells import Expression
from rules.decisions.feel import feel_tests, feel_value
from rules.decisions.grid import EXTRAS
from rules.decisions.placeholders import is_name
from rules.decisions.table_cells import TableCells, canonical_table, read_cells
from rules.documents.decision_table import Aggregation, DecisionTable, HitPolicy, Input, Output
from rules.documents.problems import DocumentError
from rules.schema import FieldType

DMN = "https://www.omg.org/spec/DMN/20191111/MODEL/"
DMNDI = "https://www.omg.org/spec/DMN/20191111/DMNDI/"
DC = "http://www.omg.org/spec/DMN/20180521/DC/"
OURS = "urn:syncline:dmn:1"
CEL = "https://cel.dev"
POLICIES = {policy: policy.value.replace("_", " ").upper() for policy in HitPolicy}
TYPE_REFS = {
    FieldType.TEXT: "string",
    FieldType.INTEGER: "number",
    FieldType.DECIMAL: "number",
    FieldType.FLOAT: "number",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.TIME: "time",
    FieldType.DATETIME: "dateTime",
    FieldType.LOCAL_DATETIME: "dateTime",
    FieldType.JSON: "Any",
}
_Element = etree._Element  # noqa: SLF001 - lxml has no public name for its elements


def write_dmn(table: DecisionTable) -> bytes:
    """Return a table as DMN 1.3 XML; raises `DocumentError` for cells that cannot be read. Tests stay behind."""
    table = canonical_table(table)
    cells, problems = read_cells(table)
    if problems:
        raise DocumentError(problems)
    return _Writer(table, cells).write()


class _Writer:
    """Writes one table."""

    def __init__(self, table: DecisionTable, cells: TableCells) -> None:
        self._table = table
        self._cells = cells
        self._extras = [key for key in EXTRAS if any(getattr(row, key) for row in table.rows)]

    def write(self) -> bytes:
        """Return the file."""
        table = self._table
        names: Any = {None: DMN, "dmndi": DMNDI, "dc": DC, "syncline": OURS}
        top = etree.Element(f"{{{DMN}}}definitions", nsmap=names)
        _set(top, id=f"definitions_{table.name}", name=table.label or table.name, namespace=OURS)
        decision = _below(top, "decision", id=table.name, name=table.label or table.name)
        if table.description:
            _below(decision, "description").text = _xml_text(table.description)
        whole = _below(decision, "decisionTable", id=f"table_{table.name}", hitPolicy=POLICIES[table.hit_policy])
        if table.hit_policy is HitPolicy.COLLECT and table.aggregation is not Aggregation.LIST:
            whole.set("aggregation", table.aggregation.value.upper())
        _own(whole, timezone=table.timezone if table.timezone != "UTC" else "")
        self._columns(whole)
        for number in range(len(table.rows)):
            self._row(whole, number)
        self._picture(top)
        return bytes(etree.tostring(top, xml_declaration=True, encoding="UTF-8", pretty_print=True))

    def _columns(self, whole: _Element) -> None:
        for number, column in enumerate(self._table.inputs):
            self._input(whole, number, column)
        for number, output in enumerate(self._table.outputs):
            self._output(whole, number, output)
        for key in self._extras:
            _below(whole, "annotation", name=key)

    def _input(self, whole: _Element, number: int, column: Input) -> None:
        element = _below(whole, "input", id=f"input_{number + 1}", label=column.label)
        type_ref = TYPE_REFS[column.type]
        asked = _below(element, "inputExpression", id=f"expression_{number + 1}", typeRef=type_ref)
        _own(element, type=column.type.value)
        plain = column.expression is None and is_name(column.name)
        if not plain:
            _own(element, name=column.name)
        if column.expression is not None:
            asked.set("expressionLanguage", CEL)
        _text(asked, column.name if column.expression is None else column.expression)
        allowed = self._cells.allowed[number]
        if allowed:
            texts = (feel_tests(entry, column.type) for entry in allowed)
            _text(_below(element, "inputValues", id=f"values_{number + 1}"), ", ".join(texts))

    def _output(self, whole: _Element, number: int, output: Output) -> None:
        type_ref = TYPE_REFS[output.type]
        element = _below(
            whole, "output", id=f"output_{number + 1}", label=output.label, name=output.name, typeRef=type_ref
        )
        _own(element, type=output.type.value)
        choices = self._cells.choices[number]
        if choices:
            texts = (feel_value(value, output.type) for value in choices)
            _text(_below(element, "outputValues", id=f"choices_{number + 1}"), ", ".join(texts))
        default = self._cells.defaults[number]
        if default is not None:
            entry = _below(element, "defaultOutputEntry", id=f"default_{number + 1}")
            _text(entry, feel_value(default, output.type))

    def _row(self, whole: _Element, number: int) -> None:
        row = self._table.rows[number]
        rule = _below(whole, "rule", id=f"row_{number + 1}")
        if row.note:
            _below(rule, "description").text = _xml_text(row.note)
        for place, (cell, column) in enumerate(zip(self._cells.when[number], self._table.inputs, strict=True)):
            entry = _below(rule, "inputEntry", id=f"in_{number + 1}_{place + 1}")
            if isinstance(cell, Expression):
                entry.set("expressionLanguage", CEL)
                _text(entry, cell.text)
            else:
                _text(entry, feel_tests(cell, column.type))
        for place, (value, output) in enumerate(zip(self._cells.then[number], self._table.outputs, strict=True)):
            entry = _below(rule, "outputEntry", id=f"out_{number + 1}_{place + 1}")
            if isinstance(value, Expression):
                entry.set("expressionLanguage", CEL)
                _text(entry, value.text)
            else:
                _text(entry, feel_value(value.value, output.type))
        for key in self._extras:
            _text(_below(rule, "annotationEntry"), str(getattr(row, key) or ""))

    def _picture(self, top: _Element) -> None:
        """Add the box by which graphical editors find the decision."""
        whole = etree.SubElement(top, f"{{{DMNDI}}}DMNDI")
        diagram = etree.SubElement(whole, f"{{{DMNDI}}}DMNDiagram", id="diagram_1")
        shape = etree.SubElement(diagram, f"{{{DMNDI}}}DMNShape", id="shape_1", dmnElementRef=self._table.name)
        etree.SubElement(shape, f"{{{DC}}}Bounds", height="80", width="180", x="160", y="100")


def _below(parent: _Element, tag: str, **attributes: str) -> _Element:
    element = etree.SubElement(parent, f"{{{DMN}}}{tag}")
    _set(element, **attributes)
    return element


def _set(element: _Element, **attributes: str) -> None:
    for name, value in attributes.items():
        if value:
            element.set(name, _xml_text(value))


def _own(element: _Element, **attributes: str) -> None:
    for name, value in attributes.items():
        if value:
            element.set(f"{{{OURS}}}{name}", _xml_text(value))


def _text(parent: _Element, text: str) -> None:
    _below(parent, "text").text = _xml_text(text)


def _xml_text(text: str) -> str:
    """Return a text without the characters that XML cannot hold, which no table needs."""
    return "".join(c for c in text if c in "\t\n\r" or c >= " ")
