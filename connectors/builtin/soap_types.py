"""The types of a WSDL: what the members of an element are, and which of our field types a value has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zeep.exceptions import LookupError as UnknownName
from zeep.xsd import ComplexType
from zeep.xsd.elements import Any as AnyElement
from zeep.xsd.elements import Element
from zeep.xsd.elements.indicators import Choice, Group
from zeep.xsd.types.any import AnyType
from zeep.xsd.types.builtins import BuiltinType, HexBinary
from zeep.xsd.types.collection import ListType
from zeep.xsd.types.simple import AnySimpleType

from connectors.errors import Misconfigured
from rules.schema import Field, FieldType
from rules.text import msg

XsdType = Any
"""A type as zeep keeps it."""
TEXT = "#text"
ANY = "*"
_KINDS: Mapping[str, FieldType] = {
    "Boolean": FieldType.BOOLEAN,
    "Integer": FieldType.INTEGER,
    "Decimal": FieldType.DECIMAL,
    "Float": FieldType.FLOAT,
    "Double": FieldType.FLOAT,
    "DateTime": FieldType.DATETIME,
    "Date": FieldType.DATE,
    "Time": FieldType.TIME,
    "Base64Binary": FieldType.BINARY,
    "HexBinary": FieldType.BINARY,
}


@dataclass(frozen=True)
class Facets:
    """What a simple type says beside its base: how long a text, how many digits a number may be."""

    length: int | None = None
    digits: int | None = None
    decimals: int | None = None


@dataclass(frozen=True)
class Kind:
    """A simple type: its field type, and how binary values are written."""

    type: FieldType
    facets: Facets = Facets()
    hexadecimal: bool = False

    def field(self, member: Member, path: str) -> Field:
        """Return the field for a member of this type."""
        return Field(
            path, self.type, nullable=member.optional or member.nillable,
            length=self.facets.length if self.type is FieldType.TEXT else None,
            precision=(self.facets.digits or 38) if self.type is FieldType.DECIMAL else None,
            scale=self.facets.decimals if self.type is FieldType.DECIMAL else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Member:
    """An element or attribute inside an element: `@id` is an attribute, `#text` the text, `*` whatever is there."""

    name: str
    tag: str
    type: XsdType
    many: bool = False
    optional: bool = False
    nillable: bool = False

    @property
    def attribute(self) -> bool:
        """Tell whether it is an attribute."""
        return self.name.startswith("@")


class Types:
    """The types of one WSDL."""

    def __init__(self, schema: Any, facets: Mapping[str, Facets | None]) -> None:
        self.schema = schema
        self.facets = facets
        self._members: dict[int, tuple[XsdType, dict[str, Member]]] = {}

    def members(self, xsd_type: XsdType) -> Mapping[str, Member]:
        """Return the members of a type by name, in their order; a simple type has none."""
        known = self._members.get(id(xsd_type))
        if known is None:
            known = self._members[id(xsd_type)] = (xsd_type, dict(_members(xsd_type)))
        return known[1]

    def kind(self, xsd_type: XsdType) -> Kind | None:
        """Return the kind of a simple type, None for one with members of its own or of any content."""
        if not isinstance(xsd_type, AnySimpleType):
            return None
        if isinstance(xsd_type, ListType):
            return Kind(FieldType.TEXT)
        names = [cls.__name__ for cls in type(xsd_type).__mro__ if BuiltinType in cls.__mro__]
        found = next((_KINDS[name] for name in names if name in _KINDS), FieldType.TEXT)
        return Kind(found, self._facets(xsd_type), isinstance(xsd_type, HexBinary))

    def is_any(self, xsd_type: XsdType) -> bool:
        """Tell whether a type allows any content, so that nothing is known of its members."""
        return xsd_type is None or (isinstance(xsd_type, AnyType) and type(xsd_type) is AnyType)

    def named(self, name: str) -> XsdType:
        """Return the type with a name, `Customer` or `{namespace}Customer`; raises `Misconfigured`."""
        found = [t for t in self.schema.types if t.qname is not None and name in (t.qname.text, t.qname.localname)]
        if len(found) != 1:
            problem = msg("The WSDL has no type '{name}'.", name=name)
            several = msg("The WSDL has several types '{name}'.", name=name)
            raise Misconfigured(
                several if found else problem,
                msg("Name it as it is in the WSDL, with its namespace: {example}.", example="{http://...}" + name),
            )
        return found[0].resolve()

    def derived(self, qname: Any) -> XsdType | None:
        """Return the type that an `xsi:type` names, None where the WSDL has none."""
        try:
            return self.schema.get_type(qname, fail_silently=True)
        except UnknownName:  # it is silent of unknown namespaces only
            return None

    def element(self, name: str) -> Any:
        """Return the global element with a name, `{namespace}Name` or `Name`; raises `Misconfigured`."""
        found = [e for e in self.schema.elements if name in (e.qname.text, e.qname.localname)]
        if not found:
            raise Misconfigured(
                msg("The WSDL has no element '{name}'.", name=name), msg("Correct it in the connection's settings.")
            )
        found[0].resolve()
        return found[0]

    def _facets(self, xsd_type: XsdType) -> Facets:
        qname = xsd_type.qname
        return (self.facets.get(qname.text) if qname is not None else None) or Facets()


def _members(xsd_type: XsdType) -> Iterator[tuple[str, Member]]:
    if not isinstance(xsd_type, ComplexType):
        return
    array = xsd_type._array_type  # noqa: SLF001 - zeep has no public word for the items of an encoded array
    if array is not None and array.array_type is not None:
        yield ANY, Member(ANY, "item", array.array_type.resolve(), many=True, optional=True)
        return
    content = xsd_type._element  # noqa: SLF001 - nor for the tree of what may stand where
    if isinstance(content, Element) and isinstance(content.type, AnySimpleType):
        yield TEXT, Member(TEXT, "", content.type, optional=True)
    elif content is not None:
        for member in _particles(content, optional=False, many=False):
            yield member.name, member
    for _, attribute in xsd_type.attributes:
        if attribute.name is not None:
            name = "@" + attribute.name
            yield name, Member(name, str(attribute.qname.text), attribute.type, optional=not attribute.required)


def _particles(node: Any, *, optional: bool, many: bool) -> Iterator[Member]:
    """Yield the elements below a sequence, choice, group or all; one of a choice may always be missing."""
    optional, many = optional or node.is_optional, many or node.accepts_multiple
    if isinstance(node, AnyElement):
        yield Member(ANY, "", None, many=True, optional=True)
    elif isinstance(node, Element):
        yield Member(str(node.name), str(node.qname.text), node.type.resolve(), many, optional, node.nillable)
    elif isinstance(node, Group):
        yield from _particles(node.child, optional=optional, many=many)
    else:
        for child in node:
            yield from _particles(child, optional=optional or isinstance(node, Choice), many=many)
