"""Where the secrets of a connection go: who changes that gives them anew, or could have them sent to themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from connectors.spi import ConnectorSpec, Setting, SettingKind
from rules.text import msg

AGAIN = msg("The connection leads to another place than before. Enter this once more: it would be sent there.")
_PLACES = ("host", "url", "manifest", "program")
"""Settings beside those that are web addresses; a manifest names the services that it asks."""


def elsewhere(spec: ConnectorSpec, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Tell whether settings lead to another place than before."""
    places = [s for s in spec.settings if s.kind is SettingKind.URL or s.name in _PLACES]
    return any(_place(s, before) != _place(s, after) for s in places)


def _place(setting: Setting, settings: Mapping[str, Any]) -> Any:
    """Return the server of an address, and anything else as it is."""
    value = settings.get(setting.name)
    if setting.name == "manifest" or not isinstance(value, str) or "://" not in value:
        return value
    try:
        parts = urlsplit(value)
    except ValueError:
        return value
    return parts.scheme, parts.netloc.rpartition("@")[2]
