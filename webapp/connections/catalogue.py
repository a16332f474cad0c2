"""The connectors that a connection can use."""

from __future__ import annotations

import logging

from connectors import registry
from connectors.errors import ConnectorError, Misconfigured
from connectors.spi import Connector, ConnectorSpec
from rules.text import msg

HUB = "hub"
"""The connector, and the one connection, that stands for Syncline's own entities."""

_log = logging.getLogger(__name__)


def connector_class(name: str) -> type[Connector]:
    """Return a connector; one that cannot be loaded is a `Misconfigured`, like one that does not exist."""
    try:
        return registry.get(name)
    except ConnectorError:
        raise
    except Exception as error:  # a plugin's own module may raise anything
        _log.exception("the connector %s cannot be loaded", name)
        raise Misconfigured(
            msg("The connector '{name}' cannot be loaded.", name=name),
            msg("Ask the operator to look into the log and to repair or remove its package."),
        ) from error


def specs() -> list[ConnectorSpec]:
    """Return the specs of all connectors that a new connection can use, by label; broken plugins are left out."""
    found = []
    for name in registry.names():
        if name == HUB:
            continue
        try:
            found.append(connector_class(name).spec)
        except ConnectorError:
            continue  # logged where it was found
    return sorted(found, key=lambda spec: spec.label.lower())
