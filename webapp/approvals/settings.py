"""Which deeds need a second person: one document, stored, changed only with the approval of a second person itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema
import sqlalchemy as sa

from rules.text import msg
from webapp.approvals.deeds import LIMITED, SETTINGS, SWITCHES, Deed
from webapp.approvals.errors import BadSettings
from webapp.approvals.models import approval_value

KIND, NAME = "approvals", "settings"
PROFILES = ("evaluation", "production")
DAYS, BANNER_DAYS = 7, 7

profiles: dict[sa.URL, str] = {}
"""By the address of the database: the profile of the installation that uses it."""


@dataclass(frozen=True)
class Rule:
    """When a deed needs a second person: for rules that write to these connections (all if empty), in this profile."""

    connections: tuple[str, ...] = ()
    only: str = ""

    def asks(self, deed: Deed, profile: str | None) -> bool:
        """Tell whether a deed is meant; where the profile is not known it is taken for the one."""
        meant = not self.connections or bool(set(self.connections) & set(deed.connections))
        return meant and (not self.only or profile in (None, self.only))


@dataclass(frozen=True)
class Settings:
    """The settings; without any rule nothing needs a second person."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    days: int = DAYS
    banner_days: int = BANNER_DAYS

    def asks(self, deed: Deed, profile: str | None) -> bool:
        """Tell whether a deed needs a second person."""
        if SETTINGS in deed.switches and self.rules:
            return True
        return any(switch in self.rules and self.rules[switch].asks(deed, profile) for switch in deed.switches)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `kind: approvals` documents."""
    days = {"type": "integer", "minimum": 1, "maximum": 365}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:syncline:schema:approvals",
        "title": "Approvals",
        "description": "Which deeds a second person has to approve.",
        "type": "object",
        "required": ["kind", "name"],
        "additionalProperties": False,
        "properties": {
            "kind": {"const": KIND, "description": "What the document describes."},
            "name": {"const": NAME, "description": "There is one such document."},
            "deeds": {
                "type": "object",
                "additionalProperties": False,
                "description": "The deeds that need a second person; one that is not named needs none.",
                "properties": {switch: _rule_schema(switch) for switch in SWITCHES},
            },
            "days": {**days, "default": DAYS, "description": "Days after which a proposal expires."},
            "banner_days": {
                **days,
                "default": BANNER_DAYS,
                "description": "Days for which the home page tells of an emergency override.",
            },
        },
    }


def _rule_schema(switch: str) -> dict[str, Any]:
    only = {"enum": list(PROFILES), "description": "Only in an installation of this profile."}
    properties: dict[str, Any] = {"only": only}
    if switch in LIMITED:
        properties["connections"] = {
            "type": "array",
            "items": {"type": "string"},
            "uniqueItems": True,
            "minItems": 1,
            "description": "Only for these connections, and for rules that write to one of them.",
        }
    return {"type": "object", "additionalProperties": False, "properties": properties, "description": SWITCHES[switch]}


def parse(document: Mapping[str, Any]) -> Settings:
    """Return the settings of a document; raises `BadSettings`."""
    found = sorted(jsonschema.Draft202012Validator(schema()).iter_errors(dict(document)), key=lambda e: str(e.path))
    if found:
        path = "/".join(map(str, found[0].absolute_path))
        raise BadSettings(path, msg("{place}: {problem}", place=path or KIND, problem=found[0].message))
    rules = {
        switch: Rule(tuple(given.get("connections", ())), given.get("only", ""))
        for switch, given in document.get("deeds", {}).items()
    }
    return Settings(rules, document.get("days", DAYS), document.get("banner_days", BANNER_DAYS))


def to_document(settings: Settings) -> dict[str, Any]:
    """Return the document of settings, in the order of the page; two that mean the same have the same document."""
    deeds: dict[str, Any] = {}
    for switch in SWITCHES:
        if switch in settings.rules:
            rule = settings.rules[switch]
            limits = {"connections": sorted(rule.connections), "only": rule.only}
            deeds[switch] = {name: value for name, value in limits.items() if value}
    return {
        "kind": KIND,
        "name": NAME,
        "deeds": deeds,
        "days": settings.days,
        "banner_days": settings.banner_days,
    }


def current(tx: sa.Connection) -> Settings:
    """Return the settings that hold now."""
    value = stored(tx, NAME)
    return Settings() if value is None else parse(value)


def stored(tx: sa.Connection, name: str, *, alone: bool = False) -> Any:
    """Return a stored value, None where there is none; `alone` keeps others from changing it meanwhile."""
    query = sa.select(approval_value.c.value).where(approval_value.c.name == name)
    return tx.scalar(query.with_for_update() if alone else query)


def profile_of(tx: sa.Connection) -> str | None:
    """Return the profile of the installation, None in a process that has not said so."""
    return profiles.get(tx.engine.url)
