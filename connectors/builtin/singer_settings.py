"""The settings that taps and targets share, and the configuration that they make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.builtin.singer_process import Bounds
from connectors.errors import Misconfigured
from connectors.spi import Setting, SettingKind
from rules.text import N_, msg

CATEGORY = N_("Programs")


def settings_of(program: Setting, *more: Setting) -> tuple[Setting, ...]:
    """Return the settings of a connector that runs a program."""
    return (
        program,
        Setting(
            "config", N_("Configuration"), SettingKind.JSON, default={},
            help=N_("What its documentation asks for, as JSON, without what is secret."),
        ),
        Setting(
            "secret_config", N_("Secret configuration"), SettingKind.SECRET,
            help=N_("The secret part as JSON. It is kept encrypted, and handed over in memory."),
            placeholder='{"api_key": "..."}',
        ),
        *more,
        Setting(
            "time_limit", N_("Minutes it may run"), SettingKind.INTEGER, default=60, minimum=1, maximum=1440,
            advanced=True, help=N_("A program that takes longer is ended, and what it gave is no complete read."),
        ),
        Setting(
            "memory", N_("Megabytes of memory"), SettingKind.INTEGER, default=2048, minimum=128, maximum=65536,
            advanced=True, help=N_("More than that it does not get."),
        ),
    )  # fmt: skip


def configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with its secret part."""
    return {**_object(settings.get("config") or {}, "config"), **_object(settings.get("secret_config") or {}, "secret")}


def secrets_of(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every text of the secret configuration, so that none of them is told."""
    return tuple(_texts(_object(settings.get("secret_config") or {}, "secret")))


def bounds_of(settings: Mapping[str, Any]) -> Bounds:
    """Return what one run may cost."""
    return Bounds(60.0 * int(settings.get("time_limit") or 60), int(settings.get("memory") or 2048))


def _object(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if isinstance(value, Mapping):
        return dict(value)
    if what == "secret":
        raise Misconfigured(
            msg("The secret configuration is no JSON object."), msg('Write it as {"name": "value"}, with its quotes.')
        ) from None
    raise Misconfigured(msg("The configuration is no JSON object."), msg('Write it as {"name": "value"}.')) from None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str) and len(value) > 3:
        yield value
