"""What a service says of itself (`$metadata`): its entity sets, their properties, keys and references. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lxml import etree

from connectors.builtin.odata_types import ENUMERATION, STRUCTURED, EdmType, edm_type, field_of
from connectors.errors import Misconfigured
from rules.schema import Field, FieldType, Schema
from rules.text import msg

ENTITY_KEY = "entity_key"
"""The field that stands for a key of several properties."""
_SAP = "{http://www.sap.com/Protocols/SAPData}"
_SERVICES = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"
_UNREAD = frozenset({"Edm.Stream"})


@dataclass(frozen=True)
class Property:
    """A property of an entity: the field that it becomes, and how its values are written."""

    name: str
    kind: EdmType
    field: Field
    bound: tuple[str, str] | None = None
    """The navigation and the set that its value leads to, where it is written as a reference (`@odata.bind`)."""
    path: tuple[str, str] | None = None
    """The navigation that it is expanded by, and its name there (empty for a list as a whole)."""


@dataclass(frozen=True)
class EntitySet:
    """A set of entities of one type."""

    name: str
    properties: Mapping[str, Property]
    key: tuple[str, ...]
    label: str = ""
    writable: bool = True
    guarded: bool = False
    """A change has to name the version of the entity (ETag)."""
    references: Mapping[str, str] = field(default_factory=dict)
    """The set that a property leads to."""

    @cached_property
    def schema(self) -> Schema:
        """Return the fields; a key of several properties has a field of its own."""
        fields = tuple(p.field for p in self.properties.values())
        if len(self.key) > 1:
            return Schema((Field(ENTITY_KEY, nullable=False, generated=True), *fields), (ENTITY_KEY,))
        return Schema(fields, self.key)


@dataclass(frozen=True)
class Navigation:
    """What a property leads to: one entity or `many`, with the properties of their type."""

    name: str
    many: bool
    properties: Mapping[str, Property]


@dataclass(frozen=True)
class Model:
    """All sets of a service; `old` says that it speaks version 2. `navigation` is asked with a set and a property."""

    old: bool
    sets: Mapping[str, EntitySet]
    navigation: Callable[[str, str], Navigation | None] = field(default=lambda _set, _name: None, repr=False)
    navigations: Callable[[str], Sequence[str]] = field(default=lambda _set: (), repr=False)


def model_of(content: bytes) -> Model:
    """Return the model that a document describes; raises `Misconfigured`."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise _wrong(str(error.msg)) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise _wrong("it has a document type definition")
    if etree.QName(root).localname != "Edmx":
        raise _wrong(f"it begins with {etree.QName(root).localname}")
    return _Reading(root).model()


def _wrong(problem: str) -> Misconfigured:
    return Misconfigured(
        msg("The description of the service ($metadata) cannot be read: {problem}.", problem=problem),
        msg("Check that the address leads to the root of an OData service."),
    )


class _Reading:
    """Reads one document."""

    def __init__(self, root: Any) -> None:
        self.root = root
        data = next(_below(root, "DataServices"), root)
        version = data.get(f"{_SERVICES}DataServiceVersion") or root.get("Version") or ""
        self.old = not version.startswith("4")
        self.types: dict[str, Any] = {}
        self.associations: dict[str, Any] = {}
        self.annotations: dict[str, dict[str, Any]] = {}
        self.owners: dict[str, str] = {}
        for schema in _below(root, "Schema"):
            for space in filter(None, (schema.get("Namespace"), schema.get("Alias"))):
                self._take(schema, space)

    def _take(self, schema: Any, space: str) -> None:
        for child in schema:
            if not isinstance(child.tag, str):
                continue
            kind, name = etree.QName(child).localname, f"{space}.{child.get('Name')}"
            if kind in ("EntityType", "ComplexType", "EnumType", "TypeDefinition"):
                self.types[name] = child
            elif kind == "Association":
                self.associations[name] = child
            elif kind == "Annotations":
                for note in _below(child, "Annotation"):
                    self.annotations.setdefault(child.get("Target") or "", {})[note.get("Term") or ""] = note

    def model(self) -> Model:
        """Return the sets of all containers, by name."""
        found = {}
        for container in _below(self.root, "EntityContainer"):
            for given in _below(container, "EntitySet"):
                made = self._set(given, container)
                if made is not None:
                    found[made.name] = made
        return Model(self.old, dict(sorted(found.items())), self.navigation, self.navigations)

    def navigations(self, set_name: str) -> list[str]:
        """Return the names of the properties that lead from the entities of a set to others."""
        return [n.get("Name") for n in self._navigating(self.owners.get(set_name, ""))]

    def navigation(self, set_name: str, name: str) -> Navigation | None:
        """Return what a property of a set's entities leads to; found out when it is asked for, as there are many."""
        given = next((n for n in self._navigating(self.owners.get(set_name, "")) if n.get("Name") == name), None)
        if given is None:
            return None
        target, many = self._led_to(given)
        chain = list(self._chain(target))
        return Navigation(name, many, {
            p.get("Name"): self._property(p, target, (), {})
            for t in reversed(chain) for p in _children(t, "Property") if p.get("Type") not in _UNREAD
        })  # fmt: skip

    def _navigating(self, type_name: str) -> Iterator[Any]:
        return (n for t in self._chain(type_name) for n in _children(t, "NavigationProperty"))

    def _led_to(self, given: Any) -> tuple[str, bool]:
        """Return the type that a navigation leads to, and whether it leads to many."""
        name = given.get("Type")
        if name is not None:
            inner = name.removeprefix("Collection(").removesuffix(")")
            return inner, inner != name
        ends = _children(self.associations.get(given.get("Relationship") or "", ()), "End")
        end = next((e for e in ends if e.get("Role") == given.get("ToRole")), None)
        return ("", False) if end is None else (end.get("Type") or "", end.get("Multiplicity") == "*")

    def _set(self, given: Any, container: Any) -> EntitySet | None:
        name, type_name = given.get("Name"), given.get("EntityType") or ""
        chain = list(self._chain(type_name))
        key = next(
            (tuple(r.get("Name") for r in _below(k, "PropertyRef")) for t in chain for k in _children(t, "Key")), ()
        )
        if not chain or not key:
            return None
        self.owners[name] = type_name
        found = [(p, type_of.get("Name")) for type_of in reversed(chain) for p in _children(type_of, "Property")]
        bindings = {b.get("Path"): b.get("Target") for b in _children(given, "NavigationPropertyBinding")}
        references = dict(self._references(chain, bindings, container))
        properties = {
            p.get("Name"): self._property(p, type_name, key, references)
            for p, _ in found if p.get("Type") not in _UNREAD
        }  # fmt: skip
        notes = self.annotations.get(f"{self._space(container)}.{container.get('Name')}/{name}", {})
        guarded = any(p.get("ConcurrencyMode") == "Fixed" for p, _ in found) or _concurrent(given, notes)
        writable = not (given.get(f"{_SAP}creatable") == "false" and given.get(f"{_SAP}updatable") == "false")
        return EntitySet(
            name, properties, key, given.get(f"{_SAP}label") or "", writable, guarded,
            {p: target for p, (_, target) in references.items()},
        )  # fmt: skip

    def _space(self, container: Any) -> str:
        return container.getparent().get("Namespace") or ""

    def _chain(self, name: str) -> Iterator[Any]:
        """Yield a type and those that it is derived from."""
        seen = set()
        while name in self.types and name not in seen:
            seen.add(name)
            yield self.types[name]
            name = self.types[name].get("BaseType") or ""

    def _property(
        self, given: Any, owner: str, key: tuple[str, ...], references: Mapping[str, tuple[str, str]]
    ) -> Property:
        name = given.get("Name")
        day = given.get(f"{_SAP}display-format") == "Date"
        kind = self._kind(given.get("Type") or "", day=day)
        notes = {
            **self.annotations.get(f"{owner}/{name}", {}),
            **{a.get("Term"): a for a in _children(given, "Annotation")},
        }
        length = given.get("MaxLength") or ""
        facets = {
            "nullable": given.get("Nullable") != "false" and name not in key,
            "length": int(length) if length.isdigit() and kind.type is FieldType.TEXT else None,
            "scale": self._scale(given),
            "generated": any(t.endswith("Computed") and n.get("Bool") != "false" for t, n in notes.items())
            or (given.get(f"{_SAP}creatable") == "false" and given.get(f"{_SAP}updatable") == "false"),
            "label": given.get(f"{_SAP}label") or next(
                (n.get("String") or "" for t, n in notes.items() if t.endswith("Label")), ""),
        }  # fmt: skip
        lookup = name.startswith("_") and name.endswith("_value")  # how Dynamics names what is written as a reference
        bound = references.get(name) if lookup and not self.old else None
        return Property(name, kind, field_of(name, kind, facets), bound)

    def _scale(self, given: Any) -> int | None:
        scale = given.get("Scale")
        if scale is None:
            return None if self.old or given.get("Precision") is None else 0
        return int(scale) if scale.isdigit() else None

    def _kind(self, name: str, *, day: bool) -> EdmType:
        found = edm_type(name, old=self.old, day=day)
        if found is not None:
            return found
        given = self.types.get(name)
        if given is None:
            return STRUCTURED
        local = etree.QName(given).localname
        if local == "EnumType":
            return ENUMERATION
        if local == "TypeDefinition":
            return edm_type(given.get("UnderlyingType") or "", old=self.old) or STRUCTURED
        return STRUCTURED

    def _references(
        self, chain: list[Any], bindings: Mapping[str, str], container: Any
    ) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield each property that holds another entity's key, with the navigation and the set that it leads to."""
        for navigation in (n for t in chain for n in _children(t, "NavigationProperty")):
            name = navigation.get("Name")
            for rule in _children(navigation, "ReferentialConstraint"):
                if rule.get("Property") and name in bindings:
                    yield rule.get("Property"), (name, bindings[name])
            yield from self._associated(navigation, name, container)

    def _associated(self, navigation: Any, name: str, container: Any) -> Iterator[tuple[str, tuple[str, str]]]:
        relation = navigation.get("Relationship") or ""
        association = self.associations.get(relation)
        for rule in [] if association is None else _below(association, "ReferentialConstraint"):
            dependent = next(_children(rule, "Dependent"), None)
            if dependent is None or dependent.get("Role") != navigation.get("FromRole"):
                continue
            ends = (
                end.get("EntitySet")
                for found in _children(container, "AssociationSet") if found.get("Association") == relation
                for end in _children(found, "End") if end.get("Role") == navigation.get("ToRole")
            )  # fmt: skip
            target = next(ends, "")
            for reference in _children(dependent, "PropertyRef"):
                yield reference.get("Name"), (name, target)


def _concurrent(given: Any, notes: Mapping[str, Any]) -> bool:
    inside = [note.get("Term") or "" for note in _children(given, "Annotation")]
    return any(term.endswith("OptimisticConcurrency") for term in (*inside, *notes))


def _below(element: Any, name: str) -> Iterator[Any]:
    return (child for child in element.iter() if isinstance(child.tag, str) and etree.QName(child).localname == name)


def _children(element: Any, name: str) -> Iterator[Any]:
    return (child for child in element if isinstance(child.tag, str) and etree.QName(child).localname == name)
