"""The settings of a calendar and address book server, declared for the form, and its objects as a document.

```json
["work", {"name": "meetings", "collection": "work", "kind": "events", "properties": ["X-ROOM"]},
 {"name": "people", "collection": "contacts", "key": "name",
  "fields": [{"name": "name"}, {"name": "full_name"}, {"name": "number", "property": "X-NUMBER", "type": "integer"}]}]
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from connectors.builtin.described import Described, DescribedField, parsed, require_names
from connectors.builtin.rest_settings import SPEC as REST
from connectors.errors import Misconfigured
from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from rules.text import N_, msg

_OWN = frozenset({"base_url", "objects", "errors", "concurrency", "idempotency_header"})
_SHARED = {setting.name: setting for setting in REST.settings if setting.name not in _OWN}
_LAST = ("headers", "rate", "timeout", "certificate", "verify")
_PROPERTY = re.compile(r"[A-Za-z0-9-]+")

SPEC = ConnectorSpec(
    name="dav",
    label=N_("Calendars and address books (CalDAV, CardDAV)"),
    category=N_("Mail and calendars"),
    summary=N_("Reads and writes appointments, tasks and contacts of a calendar or address book server."),
    capabilities=Capabilities(
        create=True, update=True, delete=True, cursor=True, generates_keys=True, capture=True, concurrent=True
    ),
    settings=(
        Setting("base_url", N_("Address"), SettingKind.URL, required=True, placeholder="https://dav.example.com",
                help=N_("The server, or one calendar or address book on it.")),
        *(setting for name, setting in _SHARED.items() if name not in _LAST),
        Setting("objects", N_("Objects"), SettingKind.JSON,
                placeholder='["work", {"name": "people", "collection": "contacts", "properties": ["X-NUMBER"]}]',
                help=N_("Empty for all calendars and address books; else a list of their names, or of objects with"
                        " collection, kind, properties, fields and key.")),
        Setting("hosts", N_("Further hosts of the service"), advanced=True, placeholder="p34-caldav.example.com",
                help=N_("Separated by blanks. The credentials are sent there, too, where the service says that its"
                        " calendars are on another host.")),
        Setting("page_size", N_("Entries per call"), SettingKind.INTEGER, default=100, minimum=1, maximum=1000,
                advanced=True),
        *(_SHARED[name] for name in _LAST),
    ),
)  # fmt: skip

Kind = Literal["events", "tasks", "contacts"]


class DavField(DescribedField, frozen=True):
    """A field of an object: a property of one's own, or (`field`, else by its name) a part that every entry has."""

    property: str = ""


class DavObject(Described, frozen=True):
    """A collection as an object: `collection` is its name on the server or its whole address."""

    name: str
    collection: str = ""
    kind: Kind | None = None
    label: str = ""
    key: str = "uid"
    properties: list[str] = []
    fields: list[DavField] = []


@dataclass(frozen=True)
class DavOptions:
    """What is special to calendars and address books among the settings."""

    objects: tuple[DavObject, ...]
    hosts: frozenset[str]
    page_size: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> DavOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        given = parsed(settings.get("objects") or [], list[str | DavObject])
        objects = tuple(DavObject(name=one) if isinstance(one, str) else one for one in given)
        _check(objects)
        hosts = frozenset((settings.get("hosts") or "").lower().split())
        return cls(objects, hosts, int(settings.get("page_size") or 100))


def _check(objects: tuple[DavObject, ...]) -> None:
    require_names(described.name for described in objects)
    for described in objects:
        for name in (*described.properties, *(f.property for f in described.fields if f.property)):
            if not _PROPERTY.fullmatch(name):
                raise Misconfigured(
                    msg("'{property}' of the object '{name}' is no name of a property.", property=name,
                        name=described.name),
                    msg("Write it as in X-ORDER-NUMBER."),
                )  # fmt: skip
