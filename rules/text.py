"""Messages that a person reads: an English template and its values, translated where they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for "mark for translation"
    """Mark a string for translation and return it as it is."""
    return text


@dataclass(frozen=True)
class Message:
    """A sentence with `{name}` places; `str()` gives it in English. A value may be a message itself.

    The console translates `template` and fills in `values`, so this package needs no translator.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the English sentence."""
        return self.template.format(**self.values) if self.values else self.template

    def to_json(self) -> dict[str, Any]:
        """Return a plain form that a log or a table can hold."""
        return {"template": self.template, "values": {k: _plain(v) for k, v in self.values.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Message:
        """Return the message that `to_json` gave."""
        values = {k: cls.from_json(v) if isinstance(v, Mapping) else v for k, v in data["values"].items()}
        return cls(data["template"], values)


def msg(template: str, **values: Any) -> Message:
    """Return a `Message`; the translator extracts the template from calls of this function."""
    return Message(template, values)


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
