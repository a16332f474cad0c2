"""The settings of an OData service, declared for the form; who we are is said as for any other web service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.builtin.described import Described, parsed, require_names
from connectors.builtin.rest_settings import SPEC as REST
from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from rules.text import N_

_OWN = frozenset({"base_url", "objects", "errors", "concurrency", "idempotency_header"})
_SHARED = {setting.name: setting for setting in REST.settings if setting.name not in _OWN}
_LAST = ("headers", "rate", "timeout", "certificate", "verify")

SPEC = ConnectorSpec(
    name="odata",
    label=N_("OData"),
    category=N_("Web services"),
    summary=N_("Reads and writes entities of a service that speaks OData 2 or 4, such as SAP or Dynamics 365."),
    capabilities=Capabilities(create=True, update=True, delete=True, cursor=True, generates_keys=True, capture=True),
    settings=(
        Setting("base_url", N_("Address"), SettingKind.URL, required=True,
                placeholder="https://sap.example.com/sap/opu/odata/sap/API_BUSINESS_PARTNER",
                help=N_("The root of the service, where $metadata lies.")),
        *(setting for name, setting in _SHARED.items() if name not in _LAST),
        Setting("objects", N_("Objects"), SettingKind.JSON,
                placeholder='["A_BusinessPartner", {"name": "open", "set": "Orders", "filter": "Status eq \'open\'"}]',
                help=N_("Empty for all entity sets; else a list of names, or of objects with set, filter and expand.")),
        Setting("parameters", N_("Parameters of every call"), SettingKind.JSON, advanced=True,
                placeholder='{"sap-client": "100"}'),
        Setting("paging", N_("Paging"), SettingKind.CHOICE, default="auto", advanced=True,
                choices=(("auto", N_("As usual for its version")), ("server", N_("The service divides the list")),
                         ("skip", N_("By $top and $skip")))),
        Setting("page_size", N_("Records per page"), SettingKind.INTEGER, default=1000, minimum=1, maximum=20000,
                advanced=True),
        Setting("writing", N_("Writing"), SettingKind.CHOICE, default="single", advanced=True,
                choices=(("single", N_("Each record alone")), ("batch", N_("Many records in a call")),
                         ("atomic", N_("All records of a call or none")))),
        Setting("etag", N_("Versions (ETag)"), SettingKind.CHOICE, default="auto", advanced=True,
                choices=(("auto", N_("Where the service wants it")), ("always", N_("Always")), ("never", N_("Never"))),
                help=N_("A change names the version that it was made for, so that nobody's work is overwritten.")),
        *(_SHARED[name] for name in _LAST),
    ),
)  # fmt: skip


class ODataObject(Described, frozen=True):
    """An object: an entity set, perhaps only a part of it; `labels` are what its fields are called.

    `expand` names navigations that are read with it: the fields of one entity as `Customer.Name`, many as JSON.
    """

    name: str
    set: str = ""
    filter: str = ""
    label: str = ""
    labels: dict[str, str] = {}
    expand: list[str] = []


@dataclass(frozen=True)
class ODataOptions:
    """What is special to OData among the settings."""

    objects: tuple[ODataObject, ...]
    parameters: Mapping[str, str]
    paging: str
    page_size: int
    writing: str
    etag: str

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ODataOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        given = parsed(settings.get("objects") or [], list[str | ODataObject])
        objects = tuple(ODataObject(name=o, set=o) if isinstance(o, str) else o for o in given)
        require_names(described.name for described in objects)
        parameters = parsed(settings.get("parameters") or {}, dict[str, str], "parameters")
        return cls(
            objects, parameters, settings.get("paging") or "auto", int(settings.get("page_size") or 1000),
            settings.get("writing") or "single", settings.get("etag") or "auto",
        )  # fmt: skip
