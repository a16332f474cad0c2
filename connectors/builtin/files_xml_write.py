"""Changing the records of an XML document in place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from lxml import etree

from connectors.builtin.files_overlay import Overlay, Values
from connectors.casting import cast
from connectors.value_text import PLAIN, Style
from rules.text import Message, msg

_FORBIDDEN = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]"
_NAME = re.compile(r"^@?[^\W\d][\w.-]*$|^#text$")
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
Element = Any


class XmlWriter:
    """Applies an overlay to the record elements of a tree."""

    def __init__(self, overlay: Overlay, styles: Mapping[str, Style], tree: Any, wanted: Sequence[str]) -> None:
        self.overlay = overlay
        self.styles = styles
        self.tree = tree
        self.wanted = wanted
        self._there: list[Any] = []
        self._parent: Element = None

    def copy(self, found: Sequence[Element], values: Sequence[Mapping[str, Any]]) -> None:
        """Change and remove records of the document."""
        key = self.overlay.key
        texts = [v.get(key) if isinstance(v.get(key), str) else None for v in values]
        keys = cast(pl.Series(key, texts, pl.String), self.overlay.schema[key]).to_list()
        self._there = [value for value in keys if value in self.overlay.created]
        if found:
            self._parent = found[-1].getparent()
        for element, change in zip(found, self.overlay.verdicts(keys), strict=True):
            if change is None:
                _remove(element)
            else:
                self._set(element, change)

    def append(self, last: Element | None) -> None:
        """Add the new records behind the last one, written like it."""
        known = pl.Series(self._there, dtype=self.overlay.schema[self.overlay.key].dtype)
        parent = self._place() if self._parent is None else self._parent
        tag = last.tag if last is not None else self._tag(parent)
        for record in self.overlay.new(self.overlay.schema, known).iter_rows(named=True):
            element = etree.SubElement(parent, tag)
            self._set(element, {name: value for name, value in record.items() if value is not None})
            _indent_like(element, last)

    def _place(self) -> Element:
        """Return the element that holds the records of a document without any."""
        place = self.tree.getroot()
        for name in self.wanted[1:-1]:
            below = next((child for child in place if etree.QName(child).localname == name), None)
            place = etree.SubElement(place, name) if below is None else below
        return place

    def _tag(self, parent: Element) -> str:
        namespace = etree.QName(parent).namespace
        name = self.wanted[-1] if self.wanted else "record"
        return f"{{{namespace}}}{name}" if namespace else name

    def _set(self, element: Element, values: Values) -> None:
        for name, value in values.items():
            text = self.styles.get(name, PLAIN).text(value)
            if name.startswith("@"):
                _set_attribute(element, name[1:], text)
            elif name == "#text":
                element.text = text
            else:
                _set_child(element, name, text)


def unstorable(records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
    """Return the rows with characters or names that XML does not have."""
    found: dict[int, tuple[str, Message]] = {}
    for column in records:
        if not _NAME.match(column.name):
            problem = msg("'{field}' cannot be the name of an XML element.", field=column.name)
            found.update((row, (column.name, problem)) for row in range(records.height))
        if column.dtype == pl.String:
            bad = column.str.contains(_FORBIDDEN).fill_null(value=False)
            problem = msg("Field '{field}' has a control character, which XML cannot hold.", field=column.name)
            found.update((row, (column.name, problem)) for row in bad.arg_true().to_list())
    return found


def _set_attribute(element: Element, name: str, text: str | None) -> None:
    full = next((n for n in element.attrib if etree.QName(n).localname == name), name)
    if text is None:
        element.attrib.pop(full, None)
    else:
        element.set(full, text)


def _set_child(element: Element, name: str, text: str | None) -> None:
    found = [child for child in element.iterchildren(tag=etree.Element) if etree.QName(child).localname == name]
    for child in found[1:] if text is not None else found:
        _remove(child)
    if text is None:
        return
    child = found[0] if found else _new_child(element, name)
    for below in list(child):
        child.remove(below)
    child.attrib.pop(_NIL, None)
    child.text = text


def _new_child(element: Element, name: str) -> Element:
    namespace = etree.QName(element).namespace
    before = element[-1] if len(element) else None
    child = etree.SubElement(element, f"{{{namespace}}}{name}" if namespace else name)
    if before is not None:
        child.tail, before.tail = before.tail, element.text if element.text and not element.text.strip() else None
    return child


def _remove(element: Element) -> None:
    """Take an element out; text behind it that means something stays."""
    parent, before, tail = element.getparent(), element.getprevious(), element.tail
    parent.remove(element)
    if tail and tail.strip():
        if before is not None:
            before.tail = (before.tail or "") + tail
        else:
            parent.text = (parent.text or "") + tail


def _indent_like(element: Element, model: Element | None) -> None:
    """Put line breaks and blanks around a new record and its fields as the model has them."""
    before = element.getprevious()
    parent = element.getparent()
    if before is not None:
        element.tail, before.tail = before.tail, parent.text if not (parent.text or "").strip() else before.tail
    if model is None or not len(model) or not len(element) or (model.text or "").strip():
        return
    element.text = model.text
    for child in element[:-1]:
        child.tail = model.text
    element[-1].tail = model[-1].tail
