"""The settings that connections to message brokers share, and the objects of a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from connectors.builtin.described import Described, parsed, require_names
from connectors.spi import Capabilities, Setting, SettingKind
from rules.schema import Field, FieldType, Schema
from rules.text import N_

CATEGORY = N_("Message queues")
CAPABILITIES = Capabilities(create=True, update=True, delete=True, lookup=False, deletions=True, messages=True)
DELETED = ("true", "1", "yes", "d", "delete", "deleted")
_CSV, _TEXT = ("format", ("csv",)), ("format", ("json", "xml"))

PAYLOAD_SETTINGS = (
    Setting("format", N_("Format of the messages"), SettingKind.CHOICE, default="json",
            choices=(("json", N_("JSON")), ("xml", N_("XML")), ("csv", N_("CSV")))),
    Setting("key", N_("Key field"), placeholder="id",
            help=N_("The field that tells the records apart. If a message does not hold it, the key of the message"
                    " itself is taken. Write message_id where every message is a record of its own.")),
    Setting("deleted_field", N_("Field that says 'deleted'"), placeholder="deleted",
            help=N_("A message whose field holds true, 1, yes, d or delete says that the record is gone. An empty"
                    " message with a key says so, too.")),
    Setting("types", N_("Numbers and dates"), SettingKind.CHOICE, default="detect",
            choices=(("detect", N_("Detect")), ("text", N_("Keep everything as text")))),
    Setting("records_path", N_("Path to the records"), advanced=True, when=_TEXT, placeholder="data.items",
            help=N_("Where the record, or the list of records, is in a message; empty if the message is it.")),
    Setting("delimiter", N_("Delimiter"), SettingKind.CHOICE, default=",", advanced=True, when=_CSV,
            choices=((",", N_("Comma")), (";", N_("Semicolon")), ("tab", N_("Tab")), ("|", N_("Vertical bar")))),
    Setting("header", N_("First row holds the names"), SettingKind.BOOLEAN, default=True, advanced=True, when=_CSV),
    Setting("message_fields", N_("Show the message itself"), SettingKind.BOOLEAN, default=False, advanced=True,
            help=N_("Adds the fields message_id, message_key, message_time and message_headers.")),
)  # fmt: skip


class FieldDescription(Described, frozen=True):
    """A field whose type is given and not judged by a sample."""

    name: str
    type: FieldType = FieldType.TEXT
    required: bool = False
    scale: int | None = None
    length: int | None = None
    label: str = ""


class QueueObject(Described, frozen=True):
    """An object as the connection describes it; `fields` are judged by a sample where none are given."""

    name: str
    key: str = ""
    label: str = ""
    fields: list[FieldDescription] = []

    def schema(self, key: str) -> Schema | None:
        """Return the given fields, None where a sample has to tell them."""
        if not self.fields:
            return None
        own = self.key or key
        fields = tuple(
            Field(
                f.name, f.type, nullable=not f.required, length=f.length, label=f.label,
                precision=38 if f.type is FieldType.DECIMAL else None, scale=f.scale,
            )
            for f in self.fields
        )  # fmt: skip
        return Schema(fields, (own,) if own else ())


O = TypeVar("O", bound=QueueObject)  # noqa: E741 - one kind of object


@dataclass(frozen=True)
class PayloadOptions:
    """How messages are read and written."""

    format: str = "json"
    key: str = ""
    deleted_field: str = ""
    detect: bool = True
    records_path: str = ""
    delimiter: str = ","
    header: bool = True
    message_fields: bool = False
    as_json: Callable[[bytes], bytes] | None = None
    """Turns messages of another form into JSON text; raises `Unreadable`."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> PayloadOptions:
        """Return the options that the settings stand for."""
        given = {s.name: settings[s.name] for s in PAYLOAD_SETTINGS if settings.get(s.name) not in (None, "")}
        given["detect"] = given.pop("types", "detect") == "detect"
        given["delimiter"] = "\t" if given.get("delimiter") == "tab" else given.get("delimiter", ",")
        return cls(**given)


def objects_setting(example: str, help_text: str, *, required: bool) -> Setting:
    """Return the setting that names the objects of a connection."""
    return Setting(
        "objects", N_("Objects"), SettingKind.JSON, required=required, placeholder=example, help=help_text,
        advanced=not required,
    )  # fmt: skip


def objects_of(document: Any, kind: type[O]) -> dict[str, O]:
    """Return the described objects by name; raises `Misconfigured` with the place of the mistake.

    Args:
        document: A list of names and descriptions, or its JSON text.
        kind: What an object of this connector may say.
    """
    named = parsed(document, list[Any]) or []
    found = parsed([{"name": one} if isinstance(one, str) else one for one in named], list[kind])  # type: ignore[valid-type]
    names = [described.name for described in found]
    require_names(names)
    return dict(zip(names, found, strict=True))
