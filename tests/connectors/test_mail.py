"""The connector `mail` against Dovecot."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin.mail import Mailbox
from connectors.spi import Context
from connectors.testing import TITLE, ConnectorConformance, Settings
from connectors.value_text import PLAIN
from rules.schema import Schema
from tests import servers
from tests.mail_servers import Imap, dovecot

HERE = Context(timeout=10)


@pytest.fixture(scope="module")
def server() -> Iterator[Imap]:
    with dovecot() as found:
        yield found


def settings_of(server: Imap, **more: Any) -> dict[str, Any]:
    return {"host": server.host, "port": server.port, "encryption": "none", "user": server.user,
            "password": server.password, **more}  # fmt: skip


class TestMail(ConnectorConformance):
    connector = Mailbox
    real_system = "Dovecot 2.3"
    documented = "docs/connectors.md"

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, server: Imap, sample: Schema) -> Settings:
        self.server = server
        fields = [
            {"name": f.name, "header": f"X-{f.name}", "type": f.type.value, "scale": f.scale,
             "required": not f.nullable}
            for f in sample.fields
        ]  # fmt: skip
        return settings_of(server, objects=[{"name": "sample", "folder": "样 & Co", "key": "id", "fields": fields}])

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        # the name is that of the folder in the UTF-7 of IMAP
        self.server.fill('"&aDc- &- Co"', [mail(record) for record in records.iter_rows(named=True)])

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "host": "no-such-host.invalid"},
            {**settings, "host": "10.0.0.1"},
            {**settings, "host": ""},
            {**settings, "port": servers.free_port()},
            {**settings, "password": "wrong"},
            {**settings, "password": ""},
            {**settings, "encryption": "tls"},
            {**settings, "encryption": "starttls", "tls_ca": "none"},
            {**settings, "authentication": "bearer"},
            {**settings, "objects": "[{]"},
            {**settings, "objects": ["INBOX", "INBOX"]},
            {**settings, "objects": ["nothing"]},
            {**settings, "objects": [{"name": "INBOX", "headers": ["X Y"]}]},
            {**settings, "objects": [{"name": "INBOX", "fields": [{"name": "nothing"}]}]},
            {**settings, "objects": [{"name": "INBOX", "key": "nothing"}]},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


def mail(record: Mapping[str, Any]) -> bytes:
    lines = [f"X-{name}: {word(PLAIN.text(value) or '')}" for name, value in record.items() if value is not None]
    return "\r\n".join([*lines, "", "Hello", ""]).encode()


def word(text: str) -> str:
    parts = [text[start : start + 10] for start in range(0, len(text), 10)]
    return "\r\n ".join(f"=?UTF-8?B?{base64.b64encode(part.encode()).decode()}?=" for part in parts)
