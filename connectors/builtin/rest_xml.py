"""Answers and bodies in XML: elements as members, attributes as `@name`, entities and networks shut out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxml import etree

from connectors.builtin.files_xml import values_of
from connectors.builtin.safe_xml import parser
from connectors.errors import Forbidden
from rules.text import msg


class NotXml(ValueError):
    """Text that is no well-formed XML."""


def xml_value(content: bytes) -> Any:
    """Return what is below the outermost element; one that is repeated is a list.

    Raises:
        NotXml: It is not well-formed.
        Forbidden: It defines entities.
    """
    try:
        root = etree.fromstring(content, parser())
    except etree.XMLSyntaxError as error:
        raise NotXml(str(error.msg)) from None
    dtd: Any = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise Forbidden(
            msg("The answer of the service defines entities, which are not accepted."),
            msg("Ask the operator of the service for answers without a document type definition."),
        )
    return values_of(root)


def xml_list(found: Any) -> Any:
    """Return what a path to records leads to as a list: a single record is no list in XML, and none is empty text."""
    if isinstance(found, Mapping):
        return [found]
    return [] if found in (None, "") else found


def xml_body(values: Mapping[str, Any], name: str) -> bytes:
    """Return a document whose outermost element is `name` and holds the values; raises `ValueError` for bad ones."""
    names = [part for part in name.split(".") if part] or ["record"]
    root = element = etree.Element(names[0])
    for part in names[1:]:
        element = etree.SubElement(element, part)
    _fill(element, values)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _fill(element: Any, value: Any) -> None:
    if not isinstance(value, Mapping):
        element.text = None if value is None else str(value)
        return
    for name, part in value.items():
        if name.startswith("@"):
            if part is not None:
                element.set(name[1:], str(part))
        elif name == "#text":
            element.text = None if part is None else str(part)
        else:
            for item in part if isinstance(part, list) else [part]:
                _fill(etree.SubElement(element, name), item)
