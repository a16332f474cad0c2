"""The settings of a folder in which files arrive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.builtin.files_options import SPEC as FILES
from connectors.builtin.queue_options import CAPABILITIES
from connectors.errors import Misconfigured
from connectors.spi import ConnectorSpec, Setting, SettingKind
from rules.text import N_, msg

LEAVE, ARCHIVE, DELETE = "leave", "archive", "delete"
_OTHER = ("pattern", "place", "settle")

_OWN = (
    Setting("pattern", N_("File names"), required=True, placeholder="orders-*.csv",
            help=N_("The files that arrive; several patterns separated by commas. Each pattern is an object.")),
    Setting("order", N_("Order"), SettingKind.CHOICE, default="name",
            choices=(("name", N_("By name")), ("time", N_("By the time of the last change"))),
            help=N_("What a later file says of a record holds.")),
    Setting("processed", N_("Files that were processed"), SettingKind.CHOICE, default=LEAVE,
            choices=((LEAVE, N_("Leave them")), (ARCHIVE, N_("Move them to a folder")), (DELETE, N_("Delete them")))),
    Setting("archive", N_("Folder for processed files"), default="processed", when=("processed", (ARCHIVE,)),
            help=N_("Below the folder of the files. In it there is a folder for each day.")),
    Setting("reader", N_("Name of the reader"), default="syncline", advanced=True,
            help=N_("What was processed is noted under this name in the folder. Connections with different names each"
                    " read all files.")),
    Setting("marker", N_("Ending of the marker"), placeholder=".done", advanced=True,
            help=N_("A file counts as complete once a file with its name and this ending lies beside it.")),
    Setting("deleted_field", N_("Field that says 'deleted'"), placeholder="deleted",
            help=N_("A record whose field holds true, 1, yes, d or delete says that it is gone.")),
    Setting("template_header", N_("Template: header"), SettingKind.MULTILINE, advanced=True, placeholder="<orders>",
            help=N_("What new files begin with.")),
    Setting("template_record", N_("Template: record"), SettingKind.MULTILINE, advanced=True,
            placeholder='<order no="{{ record.id }}">{{ record.name }}</order>',
            help=N_("How a record is written to a new file; empty for the file's own format. In JSON write json.id and"
                    " so on. The words number, first, last and count can be used, too.")),
    Setting("template_footer", N_("Template: footer"), SettingKind.MULTILINE, advanced=True, placeholder="</orders>",
            help=N_("What new files end with.")),
    Setting("settle", N_("Seconds without a change before a file is read"), SettingKind.INTEGER, default=10,
            minimum=0, maximum=86400, advanced=True,
            help=N_("A file that was changed more recently may not be complete yet. It, and those behind it, are left"
                    " for the next run.")),
)  # fmt: skip


def _place(setting: Setting) -> Setting:
    return replace(setting, choices=tuple(choice for choice in setting.choices if choice[0] != "http"))


SPEC = ConnectorSpec(
    name="file_drop",
    label=N_("Files that arrive"),
    category=N_("Files"),
    summary=N_(
        "Reads each file that arrives in a folder once, when it is complete, and keeps account of it. Writes changes as"
        " new files."
    ),
    capabilities=CAPABILITIES,
    settings=(
        *(_place(s) for s in FILES.settings if s.name == "place"),
        *(s for s in FILES.settings if s.name not in _OTHER),
        *_OWN,
    ),
)


@dataclass(frozen=True)
class DropOptions:
    """What is done with files that arrive."""

    patterns: tuple[str, ...]
    by_time: bool = False
    processed: str = LEAVE
    archive: str = "processed"
    reader: str = "syncline"
    marker: str = ""
    deleted_field: str = ""
    settle: int = 10
    template_header: str = ""
    template_record: str = ""
    template_footer: str = ""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> DropOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        given = {s.name: settings[s.name] for s in _OWN if settings.get(s.name) not in (None, "")}
        patterns = tuple(part.strip() for part in str(given.pop("pattern", "")).split(",") if part.strip())
        if not patterns:
            raise Misconfigured(
                msg("The names of the files are not set."), msg("Enter a pattern such as orders-*.csv.")
            )
        found = cls(patterns, given.pop("order", "name") == "time", **given)
        if not re.fullmatch(r"[\w-]+", found.reader):
            raise Misconfigured(
                msg("'{name}' cannot be the name of a reader.", name=found.reader),
                msg("Use letters, digits, - and _ only."),
            )
        if found.archive.startswith("/") or ".." in found.archive.split("/"):
            raise Misconfigured(
                msg("The folder for processed files leads out of the folder of the files."),
                msg("Enter a name such as processed."),
            )
        return found
