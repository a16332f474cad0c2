"""Which connectors there are: the built-in ones, what the house registers, and plugins' entry points.

A plugin package declares `[project.entry-points."syncline.connectors"]  name = "package.module:Class"`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points, version

from connectors.errors import Misconfigured
from connectors.spi import Connector
from rules.text import msg

GROUP = "syncline.connectors"

BUILTIN: Mapping[str, str] = {
    "postgresql": "connectors.builtin.postgresql:PostgreSQL",
    "mysql": "connectors.builtin.mysql:MySQL",
    "sqlite": "connectors.builtin.sqlite:SQLite",
    "files": "connectors.builtin.files:Files",
    "file_drop": "connectors.builtin.files_drop:FileDrop",
    "rest": "connectors.builtin.rest:Rest",
    "salesforce": "connectors.builtin.salesforce:Salesforce",
    "graphql": "connectors.builtin.graphql:GraphQL",
    "airbyte_manifest": "connectors.builtin.airbyte_manifest:AirbyteManifest",
    "soap": "connectors.builtin.soap:Soap",
    "amqp": "connectors.builtin.amqp:Amqp",
    "redis_streams": "connectors.builtin.redis_streams:RedisStreams",
    "mqtt": "connectors.builtin.mqtt:Mqtt",
    "mssql": "connectors.builtin.mssql:MSSQL",
    "oracle": "connectors.builtin.oracle:Oracle",
    "sqlalchemy": "connectors.builtin.dialect:AnyDatabase",
    "kafka": "connectors.builtin.kafka:Kafka",
    "odata": "connectors.builtin.odata:OData",
    "ldap": "connectors.builtin.ldap:Ldap",
    "mail": "connectors.builtin.mail:Mailbox",
    "mail_out": "connectors.builtin.mail_out:Outgoing",
    "dav": "connectors.builtin.dav:Dav",
    "scim": "connectors.builtin.scim:Scim",
    "singer_tap": "connectors.builtin.singer_tap:SingerTap",
    "singer_target": "connectors.builtin.singer_target:SingerTarget",
}

_registered: dict[str, type[Connector]] = {}


@dataclass(frozen=True)
class Origin:
    """Where a connector comes from: the distribution with its version and documentation, and the package it lies in."""

    distribution: str
    version: str
    package: str
    documentation: str = ""
    plugin: bool = False


def register(connector: type[Connector]) -> None:
    """Add a connector class of the house itself (the hub), or of a test."""
    _registered[connector.spec.name] = connector


def names() -> tuple[str, ...]:
    """Return the names of all connectors, sorted."""
    plugins = {point.name for point in entry_points(group=GROUP)}
    return tuple(sorted({*BUILTIN, *_registered, *plugins}))


def get(name: str) -> type[Connector]:
    """Return the connector class called `name`; raises `Misconfigured` with the names that exist."""
    if name in _registered:
        return _registered[name]
    if name in BUILTIN:
        module, _, attribute = BUILTIN[name].partition(":")
        return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
    for point in entry_points(group=GROUP, name=name):
        return _loaded(point)
    known = ", ".join(names())
    raise Misconfigured(msg("There is no connector '{name}'. Known connectors: {known}.", name=name, known=known))


def origin(name: str) -> Origin:
    """Return where the connector called `name` comes from, also where it cannot be loaded."""
    if name not in _registered and name not in BUILTIN:
        for point in entry_points(group=GROUP, name=name):
            return _plugin(point)
    return Origin("syncline", version("syncline"), __package__)


def _plugin(point: EntryPoint) -> Origin:
    package = point.module.partition(".")[0]
    if point.dist is None:
        return Origin(package, "", package, plugin=True)
    pages = dict(text.split(", ", 1) for text in point.dist.metadata.get_all("Project-URL") or () if ", " in text)
    page = next((pages[label] for label in ("Documentation", "Homepage") if label in pages), "")
    return Origin(point.dist.name, point.dist.version, package, page, plugin=True)


def _loaded(point: EntryPoint) -> type[Connector]:
    """Return a plugin's class; whatever is wrong with the plugin must not reach further than its own name."""
    try:
        found = point.load()
    except Exception as error:
        raise _broken(point, f"{type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Connector)):
        raise _broken(point, f"{point.value} is no connector")
    return found


def _broken(point: EntryPoint, problem: str) -> Misconfigured:
    return Misconfigured(
        msg("The connector '{name}' of a plugin cannot be loaded: {problem}.", name=point.name, problem=problem),
        msg("Install the plugin again in the version for this Syncline, or remove it."),
    )
