"""The connector `dav` against Radicale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin.dav import Dav
from connectors.builtin.dav_text import escaped, folded
from connectors.spi import Context
from connectors.testing import KEY, TITLE, ConnectorConformance, Settings
from connectors.value_text import PLAIN
from rules.schema import Schema
from tests import dav_servers
from tests.dav_servers import radicale

HERE = Context(timeout=10)


@pytest.fixture(scope="module")
def server() -> Iterator[dav_servers.Dav]:
    with radicale() as found:
        yield found


def settings_of(server: dav_servers.Dav, **more: Any) -> dict[str, Any]:
    return {"base_url": server.url, "authentication": "basic", "user": server.user, "password": server.password, **more}


class TestDav(ConnectorConformance):
    connector = Dav
    real_system = "Radicale 3.9"
    documented = "docs/connectors.md"

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, server: dav_servers.Dav, sample: Schema) -> Settings:
        self.server = server
        server.calendar("sample")
        fields = [
            {"name": f.name, "type": f.type.value, "scale": f.scale, "required": not f.nullable,
             **({"field": "name"} if f.name == KEY else {"property": _property(f.name)})}
            for f in sample.fields
        ]  # fmt: skip
        return settings_of(server, objects=[{"name": "sample", "key": KEY, "fields": fields}], page_size=5)

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        entries = [event(record) for record in records.iter_rows(named=True)]
        self.server.fill(
            "sample", [f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{''.join(entries)}END:VCALENDAR\r\n"]
        )

    def change(self, settings: Settings, records: pl.DataFrame, removed: pl.Series) -> None:
        for record in records.iter_rows(named=True):
            text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{event(record)}END:VCALENDAR\r\n"
            self.server.put(f"sample/{record[KEY]}.ics", text)
        for key in removed:
            self.server.ask("DELETE", f"sample/{key}.ics")

    def rename(self, settings: Settings, old: Any, new: Any) -> None:
        target = f"{self.server.url}/{self.server.user}/sample/{new}.ics"
        self.server.ask("MOVE", f"sample/{old}.ics", headers={"Destination": target})

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "base_url": "http://no-such-host.invalid"},
            {**settings, "base_url": "http://10.0.0.1"},
            {**settings, "password": "wrong"},
            {**settings, "objects": "[{]"},
            {**settings, "objects": ["nothing"]},
            {**settings, "objects": ["sample", "sample"]},
            {**settings, "objects": [{"name": "sample", "kind": "tasks"}]},
            {**settings, "objects": [{"name": "sample", "key": "nothing"}]},
            {**settings, "objects": [{"name": "sample", "properties": ["X Y"]}]},
            {**settings, "objects": [{"name": "sample", "fields": [{"name": "nothing"}]}]},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


def _property(name: str) -> str:
    return f"X-{name.upper().replace('_', '-')}"


def event(record: Mapping[str, Any]) -> str:
    lines = [f"BEGIN:VEVENT\r\nUID:{record[KEY]}\r\nDTSTAMP:20240101T000000Z\r\nDTSTART:20240101T000000Z\r\n"]
    lines += [folded(f"{_property(n)}:{escaped(PLAIN.text(v) or '')}") for n, v in record.items()
              if n != KEY and v is not None]  # fmt: skip
    return "".join([*lines, "END:VEVENT\r\n"])
