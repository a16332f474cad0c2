"""The settings of a connection to Salesforce: those of a web service, and from when on the Bulk API is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_settings import SPEC as REST
from connectors.errors import Misconfigured
from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from rules.text import N_, msg

_LAST = ("headers", "errors", "rate", "concurrency", "timeout", "certificate", "verify")
_SHARED = {setting.name: setting for setting in REST.settings if setting.name != "idempotency_header"}
_SERVICE = re.compile(r"(https?://[^/]+)/services/data/v(\d+\.\d+)/?")
_SOQL = re.compile(r"SELECT (?P<fields>.+?) FROM (?P<entity>\w+)(?P<where> WHERE .+?)?(?: ORDER BY [\w., ]+)?", re.S)
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'", re.S)
_INNER = re.compile(r"\bSELECT\b", re.I)
_ORDER = re.compile(r"\bORDER\b", re.I)
_SPECIAL = re.compile(r"\b(?:LIMIT|OFFSET|GROUP|HAVING|FOR|WITH|ALL\s+ROWS)\b", re.I)
"""What makes a query more than a choice of records."""

SPEC = ConnectorSpec(
    name="salesforce",
    label=N_("Salesforce"),
    category=N_("Web services"),
    summary=N_("Reads and writes objects of Salesforce by REST, by jobs of the Bulk API 2.0 and by change events."),
    capabilities=Capabilities(create=True, update=True, delete=True, cursor=True, generates_keys=True, capture=True),
    settings=(
        *(setting for name, setting in _SHARED.items() if name not in _LAST),
        Setting("bulk_from", N_("Bulk API from"), SettingKind.INTEGER, default=2000, minimum=0, advanced=True,
                help=N_("So many records or more are read or written by a job of the Bulk API 2.0; 0 means never.")),
        Setting("bulk_minutes", N_("Minutes to wait for a job"), SettingKind.INTEGER, default=60, minimum=1,
                maximum=1440, advanced=True),
        Setting("external_ids", N_("External ids"), SettingKind.JSON, advanced=True,
                placeholder='{"Account": "ERP_No__c"}',
                help=N_("The field of each object by which the Bulk API finds records that are there already.")),
        *(_SHARED[name] for name in _LAST),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """A query in parts: where it leads, and which records it wants."""

    entity: str
    where: str

    def of(self, fields: str) -> str:
        """Return the query that asks for other fields, in no particular order."""
        return f"SELECT {fields} FROM {self.entity}{self.where}"  # noqa: S608 - parts of the description

    def only(self, condition: str) -> Question:
        """Return the query for those of its records for which a condition holds as well."""
        own = self.where.removeprefix(" WHERE ")
        return Question(self.entity, f" WHERE ({own}) AND {condition}" if own else f" WHERE {condition}")


@dataclass(frozen=True)
class SalesforceOptions:
    """What is special to Salesforce among the settings."""

    bulk_from: int
    bulk_minutes: int
    external_ids: Mapping[str, str]
    origin: str
    version: str

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> SalesforceOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        found = _SERVICE.fullmatch(str(settings.get("base_url") or "").strip())
        if found is None:
            raise Misconfigured(
                msg("'{address}' is not the address of Salesforce's API.", address=settings.get("base_url") or "-"),
                msg("Write it as {example}.", example="https://acme.my.salesforce.com/services/data/v66.0"),
            )
        given: Any = settings.get("external_ids") or {}
        try:
            given = msgspec.json.decode(given) if isinstance(given, (str, bytes)) else given
            names = msgspec.convert(given, dict[str, str])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise Misconfigured(
                msg("The setting '{setting}' is wrong: {problem}.",
                    setting="external_ids", problem=str(error).replace("$", "external_ids")),
                msg("Correct it in the connection's settings."),
            ) from error  # fmt: skip
        minutes = int(settings.get("bulk_minutes") or 60)
        return cls(int(settings.get("bulk_from") or 0), minutes, names, found[1], found[2])


def question_of(soql: str) -> Question | None:
    """Return a query in parts, None for one that is too special to be asked in another way."""
    found = _SOQL.fullmatch(soql)
    if found is None or _INNER.search(found["fields"]):
        return None
    where = found["where"] or ""
    behind = _TEXT.sub("", soql[found.end("entity") :])
    if _SPECIAL.search(behind) or _ORDER.search(_TEXT.sub("", where)):
        return None
    return Question(found["entity"], where)


def entity_of(described: RestObject) -> Question | None:
    """Return the query that an object is described by, in parts."""
    return question_of(described.query.get("q", ""))


def quoted(value: str) -> str:
    """Return a text as it stands in a query."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
