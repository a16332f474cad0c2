"""Writing SOAP messages: values as elements, in the order and form that the WSDL's types ask for."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from lxml import etree

from connectors.builtin.soap_types import ANY, TEXT, Member, Types, XsdType
from connectors.builtin.soap_wsdl import Operation, Service
from connectors.errors import Misconfigured
from connectors.value_text import PLAIN
from rules.text import msg

XSI = "http://www.w3.org/2001/XMLSchema-instance"
NIL, XSI_TYPE = f"{{{XSI}}}nil", f"{{{XSI}}}type"
ENVELOPES = {False: "http://schemas.xmlsoap.org/soap/envelope/", True: "http://www.w3.org/2003/05/soap-envelope"}
_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_TYPE_MEMBER = "@xsi:type"
Node = Any


class Unfit(Exception):
    """A value has no place or no form in the message; the text says which."""

    def __init__(self, message: Any) -> None:
        super().__init__(str(message))
        self.message = message


class Empty:
    """A value that is sent as an element without a value (`xsi:nil`)."""


EMPTY = Empty()


def envelope(service: Service, operation: Operation, values: Mapping[str, Any], headers: Mapping[str, Any]) -> Node:
    """Return the message that calls an operation; raises `Unfit`.

    Args:
        service: The service.
        operation: One of its operations.
        values: The parameters by name, nested as their types are.
        headers: What stands in the header, by the names of elements of the WSDL.
    """
    space = ENVELOPES[service.soap12]
    root = etree.Element(f"{{{space}}}Envelope", nsmap={"soap": space, "xsi": XSI})
    head = etree.SubElement(root, f"{{{space}}}Header")
    writer = Writer(service.types, encoded=False)
    for name, value in headers.items():
        element = service.types.element(name)
        writer.put(head, Member(str(element.name), str(element.qname.text), element.type), value)
    body = etree.SubElement(root, f"{{{space}}}Body")
    if operation.element is not None:
        element = operation.element
        writer = Writer(service.types, encoded=operation.encoded)
        if operation.parts:
            writer.fill(body, element.type, values, operation.name)
        else:
            writer.put(body, Member(str(element.name), str(element.qname.text), element.type), dict(values))
    elif values:
        raise Unfit(msg("The operation '{operation}' takes no parameters.", operation=operation.name))
    return root


class Writer:
    """Puts values into elements."""

    def __init__(self, types: Types, *, encoded: bool) -> None:
        self.types = types
        self.encoded = encoded

    def put(self, parent: Node, member: Member, value: Any) -> None:
        """Add the element of a member, once for each item of a list; no value adds nothing where that is allowed."""
        if value is None and (member.optional or not member.nillable):
            return
        if member.many and isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            for item in value:
                self._one(parent, member, EMPTY if item is None else item)
        else:
            self._one(parent, member, EMPTY if value is None else value)

    def fill(self, node: Node, xsd_type: XsdType, values: Mapping[str, Any], where: str) -> None:
        """Put the members of a value into its element, in the order of the type."""
        members = self.types.members(xsd_type)
        unknown = [name for name in values if name not in members and name != _TYPE_MEMBER]
        if unknown and ANY not in members:
            known = ", ".join(name for name in members if name != ANY) or "-"
            raise Unfit(
                msg("'{place}' has no member '{name}'; it has: {known}.", place=where, name=unknown[0], known=known)
            )
        for name, member in members.items():
            value = values.get(name)
            if name == TEXT:
                _set(node, None, lexical(value, self._hexadecimal(member.type)))
            elif member.attribute and value is not None:
                _set(node, member.tag, lexical(value, self._hexadecimal(member.type)))
            elif name != ANY and not member.attribute:
                self.put(node, member, value)
        for name in unknown:
            self.put(node, Member(name, name, None, many=True, optional=True), values[name])

    def _one(self, parent: Node, member: Member, value: Any) -> None:
        node = etree.SubElement(parent, member.tag)
        if value is EMPTY:
            node.set(NIL, "true")
            return
        xsd_type = self._type(node, member.type, value)
        members = self.types.members(xsd_type)
        if ANY in members and len(members) == 1 and isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            self._array(node, members[ANY], value)
        elif isinstance(value, Mapping) and not self.types.kind(xsd_type):
            self._nested(node, xsd_type, value, member.name)
        elif isinstance(value, (Mapping, list)):
            raise Unfit(msg("'{place}' takes a single value, not a list or an object.", place=member.name))
        elif members and TEXT not in members:
            raise Unfit(msg("'{place}' takes an object with members, not a single value.", place=member.name))
        else:
            _set(node, None, lexical(value, self._hexadecimal(xsd_type)))

    def _nested(self, node: Node, xsd_type: XsdType, value: Mapping[str, Any], where: str) -> None:
        if not self.types.is_any(xsd_type):
            self.fill(node, xsd_type, value, where)
            return
        for name, item in value.items():
            if name.startswith("@"):
                _set(node, name[1:], lexical(item))
            elif name == TEXT:
                _set(node, None, lexical(item))
            else:
                self.put(node, Member(name, name, None, many=True, optional=True), item)

    def _array(self, node: Node, item: Member, values: Sequence[Any]) -> None:
        qname = item.type.qname
        if self.encoded and qname is not None:
            node.set(f"{{{_ENCODING}}}arrayType", f"{_prefixed(node, qname)}[{len(values)}]")
        for value in values:
            self._one(node, item, EMPTY if value is None else value)

    def _type(self, node: Node, declared: XsdType, value: Any) -> XsdType:
        """Return the type of a value: the one that it names itself, else that of its place."""
        named = value.get(_TYPE_MEMBER) if isinstance(value, Mapping) else None
        xsd_type = self.types.named(named) if named else declared
        qname = getattr(xsd_type, "qname", None)
        if qname is not None and (named or (self.encoded and getattr(xsd_type, "is_global", False))):
            node.set(XSI_TYPE, etree.QName(qname.text))
        return xsd_type

    def _hexadecimal(self, xsd_type: XsdType) -> bool:
        kind = self.types.kind(xsd_type)
        return kind is not None and kind.hexadecimal


def lexical(value: Any, hexadecimal: bool = False) -> str | None:
    """Return a value as XML Schema writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else {"inf": "INF", "-inf": "-INF"}.get(repr(value), "NaN")
    if isinstance(value, bytes) and hexadecimal:
        return value.hex().upper()
    if isinstance(value, (bool, int, Decimal, dt.date, dt.time, bytes)):
        return PLAIN.text(value)
    raise Unfit(msg("'{value}' is no single value.", value=str(value)))


def put_at(values: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path of nested members, which are made where they are missing."""
    *above, last = [part for part in path.split("/") if part]
    for part in above:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            raise Misconfigured(
                msg("'{path}' leads through '{part}', which has a value of its own.", path=path, part=part),
                msg("Correct the parameters of the object."),
            )
        values = inner
    values[last] = value


def filled(value: Any, words: Mapping[str, str]) -> Any:
    """Return a JSON value with words such as `{user}` in its texts replaced."""
    if isinstance(value, str):
        for word, text in words.items():
            value = value.replace("{" + word + "}", text)
        return value
    if isinstance(value, dict):
        return {name: filled(item, words) for name, item in value.items()}
    return [filled(item, words) for item in value] if isinstance(value, list) else value


def _set(node: Node, attribute: str | None, text: str | None) -> None:
    try:
        if attribute is not None:
            node.set(attribute, text)
        else:
            node.text = text
    except ValueError as error:
        raise Unfit(
            msg("'{place}' has a character that XML does not have.", place=attribute or etree.QName(node).localname)
        ) from error


def _prefixed(node: Node, qname: Any) -> str:
    """Return a name with the prefix of its namespace, which is declared where it is missing."""
    prefix = next((p for p, space in node.nsmap.items() if p and space == qname.namespace), None)
    if prefix is None:
        node.set(XSI_TYPE, etree.QName(qname.text))  # lets lxml declare a prefix
        prefix = node.get(XSI_TYPE).partition(":")[0]
        del node.attrib[XSI_TYPE]
    return f"{prefix}:{qname.localname}"
