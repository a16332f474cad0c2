"""The settings of a SCIM server, declared for the form; who we are is said as for any other web service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.builtin.described import Described, parsed, require_names
from connectors.builtin.rest_settings import SPEC as REST
from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from rules.schema import FieldType
from rules.text import N_

_OWN = frozenset({"base_url", "objects", "errors", "concurrency", "idempotency_header"})
_SHARED = {setting.name: setting for setting in REST.settings if setting.name not in _OWN}
_LAST = ("headers", "rate", "timeout", "certificate", "verify")

SPEC = ConnectorSpec(
    name="scim",
    label=N_("SCIM 2.0"),
    category=N_("Directories"),
    summary=N_("Reads and provisions users and groups of services that speak SCIM 2.0."),
    capabilities=Capabilities(create=True, update=True, delete=True, cursor=True, generates_keys=True),
    settings=(
        Setting("base_url", N_("Address"), SettingKind.URL, required=True, placeholder="https://example.com/scim/v2",
                help=N_("The root of the service, where Users and Groups lie.")),
        *(setting for name, setting in _SHARED.items() if name not in _LAST),
        Setting("objects", N_("Objects"), SettingKind.JSON,
                placeholder='["Users", {"name": "staff", "resource": "Users", "key": "userName", "filter": "active eq'
                            ' true"}]',
                help=N_("Empty for all kinds of resources; else a list of their names, or of objects with resource,"
                        " filter, key and fields.")),
        Setting("page_size", N_("Records per page"), SettingKind.INTEGER, default=100, minimum=1, maximum=5000,
                advanced=True),
        Setting("updating", N_("Updating"), SettingKind.CHOICE, default="auto", advanced=True,
                choices=(("auto", N_("As the service offers it")), ("patch", N_("Parts (PATCH)")),
                         ("put", N_("The whole resource (PUT)")))),
        Setting("bulk", N_("Many records in a call"), SettingKind.BOOLEAN, default=False, advanced=True,
                help=N_("Where the service offers bulk operations.")),
        Setting("etag", N_("Name the version (ETag)"), SettingKind.BOOLEAN, default=True, advanced=True,
                help=N_("A change names the version that it was made for, where the service has versions.")),
        *(_SHARED[name] for name in _LAST),
    ),
)  # fmt: skip


class ScimField(Described, frozen=True):
    """A field of an object: which attribute it holds, and a type other than its own."""

    name: str
    attribute: str = ""
    type: FieldType | None = None
    scale: int | None = None
    required: bool = False


class ScimObject(Described, frozen=True):
    """An object: a kind of resource, perhaps only some, perhaps with fields and a key of one's own."""

    name: str
    resource: str = ""
    filter: str = ""
    key: str = "id"
    label: str = ""
    fields: list[ScimField] = []


@dataclass(frozen=True)
class ScimOptions:
    """What is special to SCIM among the settings."""

    objects: tuple[ScimObject, ...]
    page_size: int
    updating: str
    bulk: bool
    etag: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ScimOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        given = parsed(settings.get("objects") or [], list[str | ScimObject])
        objects = tuple(ScimObject(name=one, resource=one) if isinstance(one, str) else one for one in given)
        require_names(described.name for described in objects)
        return cls(
            objects, int(settings.get("page_size") or 100), settings.get("updating") or "auto",
            bool(settings.get("bulk")), bool(settings.get("etag", True)),
        )  # fmt: skip
