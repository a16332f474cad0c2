"""A directory as a whole: what it is, what it knows, its objects, and finding entries by a key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from connectors.builtin import ldap_filter
from connectors.builtin.ldap_columns import Column, Columns, Role
from connectors.builtin.ldap_names import below
from connectors.builtin.ldap_options import LdapObject, LdapOptions, filter_of, place_settings
from connectors.builtin.ldap_session import Session
from connectors.builtin.ldap_subschema import Subschema
from connectors.builtin.ldap_wire import Entry, Query
from connectors.builtin.queue_network import Place
from connectors.errors import Misconfigured, ObjectMissing
from connectors.spi import Context
from rules.text import N_, msg

_ACTIVE_DIRECTORY = "1.2.840.113556.1.4.800"
_ANY = ldap_filter.present("objectClass")
_RANGE = re.compile(r"^(.+);range=\d+-(\d+|\*)$", re.IGNORECASE)
_CHUNK = 100

_ACTIVE = (
    LdapObject(name="groups", label=N_("Groups"), class_="group"),
    LdapObject(name="units", label=N_("Organisational units"), class_="organizationalUnit", rdn="ou"),
    LdapObject(name="users", label=N_("Users"), class_="user", filter="(objectCategory=person)"),
)
_PLAIN = (
    LdapObject(
        name="groups", label=N_("Groups"), classes=["groupOfNames"], attributes_of=["groupOfUniqueNames", "posixGroup"],
        filter="(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))",
    ),
    LdapObject(name="units", label=N_("Organisational units"), class_="organizationalUnit", rdn="ou"),
    LdapObject(
        name="users", label=N_("Users"), classes=["inetOrgPerson"], attributes_of=["posixAccount"], rdn="uid",
        filter="(|(objectClass=person)(objectClass=account))",
    ),
)  # fmt: skip


class Directory:
    """One directory, as a connection sees it."""

    def __init__(self, settings: Mapping[str, Any], context: Context) -> None:
        self._settings, self._context = settings, context
        self._session: Session | None = None

    @cached_property
    def options(self) -> LdapOptions:
        """Return the parsed settings; raises `Misconfigured`."""
        return LdapOptions.of(self._settings)

    @cached_property
    def place(self) -> Place:
        """Return where the directory is."""
        seconds = float(self._settings.get("timeout") or self._context.timeout)
        context = Context(self._context.file_roots, self._context.egress_allow, seconds)
        return Place(place_settings(self._settings), context, N_("The directory"))

    @property
    def session(self) -> Session:
        """Return a connection that is signed in, a new one where the server has closed the last."""
        if self._session is not None and not self._session.alive:
            self.close()
        if self._session is None:
            self._session = self.opened()
        return self._session

    def opened(self) -> Session:
        """Return a connection of its own: the pages of a search belong to the connection that asked for them."""
        return Session(self.options, self.place)

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()
        self._session = None

    @cached_property
    def root(self) -> Mapping[str, list[str]]:
        """Return what the directory says of itself."""
        wanted = ("subschemaSubentry", "supportedControl", "supportedCapabilities", "vendorName", "namingContexts")
        found = self.session.found(Query("", _ANY, wanted, 0))
        values = found[0].values if found else {}
        return {name.lower(): [v.decode(errors="replace") for v in given] for name, given in values.items()}

    @property
    def active(self) -> bool:
        """Tell whether this is Active Directory."""
        return _ACTIVE_DIRECTORY in self.root.get("supportedcapabilities", ())

    @cached_property
    def subschema(self) -> Subschema:
        """Return the attributes and classes that the directory knows."""
        place = next(iter(self.root.get("subschemasubentry", ())), "")
        wanted = ("attributeTypes", "objectClasses", "dITContentRules")
        found = self.session.found(Query(place, _ANY, wanted, 0), missing_ok=True) if place else []
        told = {n.lower(): [v.decode(errors="replace") for v in given] for e in found for n, given in e.values.items()}
        return Subschema(*(told.get(name.lower(), ()) for name in wanted))

    @cached_property
    def columns(self) -> Columns:
        """Return what makes the fields of objects."""
        return Columns(self.options, self.subschema, active=self.active)

    @cached_property
    def objects(self) -> dict[str, LdapObject]:
        """Return the objects by name."""
        ready = {described.name: described for described in (_ACTIVE if self.active else _PLAIN)}
        found = {}
        for given in self.options.objects:
            described = ready[given] if isinstance(given, str) else given
            found[described.name] = _based(described, self.options.base)
        return found

    def described(self, name: str) -> LdapObject:
        """Return an object; raises `ObjectMissing`."""
        if name not in self.objects:
            raise ObjectMissing(
                msg("The connection describes no object '{name}'.", name=name),
                msg("Add it to the objects in the connection's settings."),
                object_name=name,
            )
        return self.objects[name]

    def column(self, described: LdapObject, name: str) -> Column:
        """Return a field of an object; raises `Misconfigured`."""
        columns = self.columns.of(described)
        if name not in columns:
            raise Misconfigured(
                msg("The object '{name}' has no field '{field}'.", name=described.name, field=name),
                msg("Choose another field, or add it to the object's description."),
                object_name=described.name,
            )
        return columns[name]

    def with_key(
        self, described: LdapObject, column: Column, keys: Sequence[Any], attributes: Sequence[str]
    ) -> Iterator[Entry]:
        """Yield the entries of an object whose field has one of some values, as the directory compares them."""
        if column.role is Role.NAME:
            yield from self._named(described, keys, attributes)
            return
        own = filter_of(described)
        for start in range(0, len(keys), _CHUNK):
            sought = [ldap_filter.equal(column.attribute, column.sought(key)) for key in keys[start : start + _CHUNK]]
            wanted = ldap_filter.every((own, ldap_filter.some(sought)))
            query = Query(described.base, wanted, attributes, described.depth)
            for entry in self.session.found(query, what=described.name):
                yield self.whole(entry)

    def _named(self, described: LdapObject, keys: Iterable[Any], attributes: Sequence[str]) -> Iterator[Entry]:
        for name in keys:
            if below(name, described.base):
                query = Query(name, filter_of(described), attributes, 0)
                for entry in self.session.found(query, what=described.name, missing_ok=True):
                    yield self.whole(entry)

    def whole(self, entry: Entry) -> Entry:
        """Return an entry with all values: Active Directory sends long lists in parts (`member;range=0-1499`)."""
        if not any(_RANGE.match(name) for name in entry.values):
            return entry
        values: dict[str, list[bytes]] = {}
        for name, given in entry.values.items():
            found = _RANGE.match(name)
            if found is None:
                values.setdefault(name, given)
            else:
                values[found[1]] = given + self._rest(entry.name, found[1], found[2])
        return Entry(entry.name, values)

    def _rest(self, name: str, attribute: str, end: str) -> list[bytes]:
        values: list[bytes] = []
        while end != "*":
            wanted = f"{attribute};range={int(end) + 1}-*"
            answer = next(iter(self.session.found(Query(name, _ANY, (wanted,), 0))), None)
            part = next(((found, given) for n, given in (answer.values if answer else {}).items()
                         if (found := _RANGE.match(n))), None)  # fmt: skip
            if part is None:
                break
            end = part[0][2]
            values += part[1]
        return values


def _based(described: LdapObject, base: str) -> LdapObject:
    if described.base:
        return described
    members = {name: getattr(described, name) for name in LdapObject.__struct_fields__}
    return LdapObject(**{**members, "base": base})
