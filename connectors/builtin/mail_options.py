"""The settings of a mailbox, declared for the form, and its objects as a document.

```json
["INBOX", {"name": "orders", "folder": "INBOX/Orders", "headers": ["X-Order"]},
 {"name": "tickets", "folder": "Tickets", "key": "ticket",
  "fields": [{"name": "ticket", "header": "X-Ticket", "type": "integer"}, {"name": "subject"}, {"name": "text"}]}]
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.builtin.described import Described, DescribedField, parsed, require_names
from connectors.builtin.mail_server import LAST_SETTINGS, server_settings
from connectors.errors import Misconfigured
from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from rules.text import N_, msg

MEGABYTE = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9_.-]+")

SPEC = ConnectorSpec(
    name="mail",
    label=N_("Mailbox (IMAP)"),
    category=N_("Mail and calendars"),
    summary=N_("Reads the mails in the folders of a mailbox, marks and moves them, and puts new ones there."),
    capabilities=Capabilities(create=True, update=True, delete=True, cursor=True, generates_keys=True),
    settings=(
        *server_settings("imap.example.com", 993, encryption="tls", guest=False),
        Setting("objects", N_("Objects"), SettingKind.JSON,
                placeholder='["INBOX", {"name": "orders", "folder": "INBOX/Orders", "headers": ["X-Order"]}]',
                help=N_("Empty for all folders; else a list of their names, or of objects with folder, headers, fields"
                        " and key.")),
        Setting("attachments", N_("Attachments"), SettingKind.CHOICE, default="list",
                choices=(("list", N_("Names, types and sizes")), ("content", N_("With their content, as Base64")))),
        Setting("largest", N_("Largest mail in MB"), SettingKind.INTEGER, default=25, minimum=1, maximum=500,
                advanced=True, help=N_("A larger mail is put aside, if more than its headers are read.")),
        *LAST_SETTINGS,
    ),
)  # fmt: skip


class MailField(DescribedField, frozen=True):
    """A field of an object: a header of one's own, or (`field`, else by its name) a part that every mail has."""

    header: str = ""


class MailObject(Described, frozen=True):
    """A folder as an object, perhaps with further `headers` as fields, or with `fields` and a key of one's own."""

    name: str
    folder: str = ""
    label: str = ""
    key: str = "key"
    headers: list[str] = []
    fields: list[MailField] = []


@dataclass(frozen=True)
class MailOptions:
    """What is read and written."""

    objects: tuple[MailObject, ...]
    content: bool
    largest: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> MailOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        given = parsed(settings.get("objects") or [], list[str | MailObject])
        objects = tuple(MailObject(name=one) if isinstance(one, str) else one for one in given)
        _check(objects)
        return cls(objects, settings.get("attachments") == "content", int(settings.get("largest") or 25) * MEGABYTE)


def _check(objects: tuple[MailObject, ...]) -> None:
    require_names(described.name for described in objects)
    for described in objects:
        for header in (*described.headers, *(f.header for f in described.fields if f.header)):
            if not _NAME.fullmatch(header):
                raise Misconfigured(
                    msg("'{header}' of the object '{name}' is no name of a header.", header=header,
                        name=described.name),
                    msg("Write it as in X-Order-Number."),
                )  # fmt: skip
