"""Settings checked against what a connector declares: a form's text or a file's typed values become clean values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from connectors.spi import ConnectorSpec, Setting, SettingKind
from rules.text import Message, msg

LONGEST = 100_000
LONGEST_DOCUMENT = 4_000_000
"""For settings of several lines, which hold whole descriptions of services."""

_DOCUMENTS = (SettingKind.JSON, SettingKind.MULTILINE)
_TRUE = ("true", "on", "yes", "1")
_FALSE = ("false", "off", "no", "0", "")


class _Wrong(Exception):
    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def validate_settings(spec: ConnectorSpec, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Message]]:
    """Return the clean settings and the errors by setting.

    Left out of the clean settings: what is empty, and what its `when` hides. Secrets pass as they are, values and
    references alike. Defaults are not filled in; `with_defaults` does that when the connector is opened.
    """
    clean: dict[str, Any] = {}
    errors: dict[str, Message] = {}
    for setting in spec.settings:
        try:
            value = _typed(setting, settings.get(setting.name))
        except _Wrong as wrong:
            errors[setting.name] = wrong.message
        else:
            if value is not None:
                clean[setting.name] = value
    hidden = _hidden(spec, {**_defaults(spec), **clean})
    clean = {name: value for name, value in clean.items() if name not in hidden}
    errors = {name: error for name, error in errors.items() if name not in hidden}
    for setting in spec.settings:
        absent = setting.name not in clean and setting.name not in errors and setting.name not in hidden
        if setting.required and absent and setting.default is None:
            errors[setting.name] = msg("This is needed.")
    errors.update(_unknown(spec, settings))
    return clean, errors


def with_defaults(spec: ConnectorSpec, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as the connector gets them: every setting is there, with its default or None."""
    return {**{setting.name: setting.default for setting in spec.settings}, **settings}


def shown(spec: ConnectorSpec, settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the settings that apply beside these values."""
    return frozenset(s.name for s in spec.settings) - _hidden(spec, {**_defaults(spec), **settings})


def _defaults(spec: ConnectorSpec) -> dict[str, Any]:
    return {s.name: s.default for s in spec.settings if s.default is not None}


def _hidden(spec: ConnectorSpec, values: Mapping[str, Any]) -> set[str]:
    """Return the settings whose condition does not hold; what depends on a hidden setting is hidden too."""
    hidden: set[str] = set()
    for _ in spec.settings:
        more = {
            s.name
            for s in spec.settings
            if s.when and (s.when[0] in hidden or _text(values.get(s.when[0])) not in s.when[1])
        }
        if more == hidden:
            break
        hidden = more
    return hidden


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value if value is not None else "")


def _unknown(spec: ConnectorSpec, settings: Mapping[str, Any]) -> dict[str, Message]:
    known = [s.name for s in spec.settings]
    return {
        n: msg(
            "The connector '{connector}' has no such setting. It has: {known}.",
            connector=spec.name,
            known=", ".join(known),
        )
        for n in settings
        if n not in known
    }


def _typed(setting: Setting, value: Any) -> Any:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    largest = LONGEST_DOCUMENT if setting.kind in _DOCUMENTS else LONGEST
    if isinstance(value, str) and len(value) > largest:
        raise _Wrong(msg("This is too long; at most {largest} characters.", largest=largest))
    return _READERS[setting.kind](setting, value)


def _line(_setting: Setting, value: Any) -> str:
    text = _string(value).strip()
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise _Wrong(msg("This has to be one line without control characters."))
    return text


def _lines(_setting: Setting, value: Any) -> str:
    text = _string(value).replace("\r\n", "\n")
    if "\0" in text:
        raise _Wrong(msg("This must not hold a zero character."))
    return text


def _secret(_setting: Setting, value: Any) -> str:
    return _string(value)


def _string(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Wrong(msg("This has to be text."))
    return str(value)


def _integer(setting: Setting, value: Any) -> int:
    number = _whole(value)
    low, high = setting.minimum, setting.maximum
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        raise _Wrong(_range(low, high))
    return number


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _range(low: int | None, high: int | None) -> Message:
    if low is not None and high is not None:
        return msg("Enter a whole number from {low} to {high}.", low=low, high=high)
    if low is not None:
        return msg("Enter a whole number, {low} or more.", low=low)
    if high is not None:
        return msg("Enter a whole number, {high} or less.", high=high)
    return msg("Enter a whole number.")


def _boolean(_setting: Setting, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in (*_TRUE, *_FALSE):
        return value.strip().lower() in _TRUE
    raise _Wrong(msg("This has to be yes or no (true or false)."))


def _choice(setting: Setting, value: Any) -> str:
    values = [v for v, _ in setting.choices]
    if _text(value) not in values:
        raise _Wrong(msg("Choose one of: {values}.", values=", ".join(v or "''" for v in values)))
    return _text(value)


def _url(setting: Setting, value: Any) -> str:
    text = _line(setting, value)
    try:
        parts = urlsplit(text)
        good = bool(parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0))
    except ValueError:
        good = False
    if not good:
        raise _Wrong(
            msg("Enter a web address that begins with https:// or http://, such as https://api.example.com/v1.")
        )
    if parts.username or parts.password:
        raise _Wrong(msg("Leave the user name and password out of the address; there are settings for them."))
    return text


def _json(_setting: Setting, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise _Wrong(
            msg("This is not JSON: line {line}, column {column}.", line=error.lineno, column=error.colno)
        ) from None
    except RecursionError:
        raise _Wrong(msg("This JSON is nested too deeply.")) from None


_READERS: Mapping[SettingKind, Callable[[Setting, Any], Any]] = {
    SettingKind.TEXT: _line,
    SettingKind.MULTILINE: _lines,
    SettingKind.INTEGER: _integer,
    SettingKind.BOOLEAN: _boolean,
    SettingKind.CHOICE: _choice,
    SettingKind.SECRET: _secret,
    SettingKind.PATH: _line,
    SettingKind.URL: _url,
    SettingKind.JSON: _json,
}
