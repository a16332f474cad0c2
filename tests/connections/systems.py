"""A system that lives in the test: it has settings of every kind and can be slow, broken or talkative."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

import polars as pl

from connectors.errors import AuthFailed, ObjectMissing, Unavailable
from connectors.spi import (
    Capabilities,
    Connector,
    ConnectorSpec,
    ObjectInfo,
    Page,
    ReadRequest,
    Reject,
    Setting,
    SettingKind,
    Step,
)
from rules.schema import Field, FieldType, Schema
from rules.text import msg

SCHEMA = Schema(
    (
        Field("id", FieldType.INTEGER, nullable=False, label="Number"),
        Field("name"),
        Field("data", FieldType.JSON),
        Field("photo", FieldType.BINARY),
    ),
    key=("id",),
)
ROWS = pl.DataFrame(
    {
        "id": [1, 2, 3],
        "name": ["Ann", None, "王 <b>伟</b>"],
        "data": ['{"a": 1}', None, "x" * 5000],
        "photo": [b"\x00\x01", None, b"text"],
    },
    schema=SCHEMA.dtypes(),
)


class Notebook(Connector):
    """A notebook in memory."""

    spec: ClassVar[ConnectorSpec] = ConnectorSpec(
        name="notebook",
        label="Notebook",
        category="Tests",
        summary="Records in memory.",
        settings=(
            Setting("host", "Host", required=True, help="Where it lies."),
            Setting("port", "Port", SettingKind.INTEGER, default=7, minimum=1, maximum=99),
            Setting(
                "mood",
                "Mood",
                SettingKind.CHOICE,
                default="good",
                choices=(("good", "Good"), ("slow", "Slow"), ("bad", "Bad"), ("talks", "Talks"), ("broken", "Broken")),
            ),
            Setting("delay", "Delay", SettingKind.INTEGER, required=True, when=("mood", ("slow",))),
            Setting("password", "Password", SettingKind.SECRET),
            Setting("token", "Token", SettingKind.SECRET, advanced=True),
            Setting("strict", "Strict", SettingKind.BOOLEAN, default=True, advanced=True),
            Setting("loose", "Loose", SettingKind.BOOLEAN, default=False),
            Setting("why", "Why", required=True, when=("loose", ("true",))),
            Setting("path", "Path", SettingKind.PATH),
            Setting("site", "Site", SettingKind.URL, advanced=True),
            Setting("notes", "Notes", SettingKind.MULTILINE, advanced=True),
            Setting("headers", "Headers", SettingKind.JSON, advanced=True),
        ),
        capabilities=Capabilities(create=True, update=True),
    )

    def check(self) -> Iterator[Step]:
        """Greet."""
        yield Step("connect", True, msg("{host} answers.", host=self.settings["host"]))
        self._mood()
        yield Step("sign in", True, msg("Signed in."))

    def objects(self) -> list[ObjectInfo]:
        """Return two objects."""
        self._mood()
        return [ObjectInfo("notes", "table", "Notes", 3), ObjectInfo("a/b c?", "view", "", None, writable=False)]

    def schema(self, name: str) -> Schema:
        """Return the one schema."""
        self._mood()
        if name not in {"notes", "a/b c?"}:
            raise ObjectMissing(msg("There is no page '{name}'.", name=name), msg("Choose another page."))
        return SCHEMA

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield one record a page, and a reject."""
        for n in range(3):
            rejects = (
                (Reject("page 2", "b\x00ad", msg("'{value}' is not a number.", value="b"), "id"),) if n == 1 else ()
            )
            yield Page(ROWS[n : n + 1], {"n": n}, rejects)

    def _mood(self) -> None:
        mood = self.settings["mood"]
        if mood == "slow":
            time.sleep(self.settings["delay"])
        if mood == "bad":
            raise Unavailable(msg("No answer."), msg("Try later."))
        if mood == "talks":
            raise AuthFailed(
                msg("Refused '{said}'.", said=f"user:{self.settings['password']}@host"),
                msg(f"Not {self.settings['password']}."),
            )
        if mood == "broken":
            raise ZeroDivisionError(self.settings["password"])
