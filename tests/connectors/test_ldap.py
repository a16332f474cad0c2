"""The connector `ldap` against a real OpenLDAP server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin.ldap import Ldap
from connectors.spi import Context
from connectors.testing import EXTREMES, TITLE, ConnectorConformance, Settings
from connectors.value_text import PLAIN
from rules.schema import Field, FieldType, Schema
from tests import directory_servers, servers
from tests.directory_servers import SUFFIX, Directory

_OWN = "1.3.6.1.4.1.99999"
_SYNTAXES = {
    "integer": ("1.3.6.1.4.1.1466.115.121.1.27", "EQUALITY integerMatch ORDERING integerOrderingMatch"),
    "boolean": ("1.3.6.1.4.1.1466.115.121.1.7", "EQUALITY booleanMatch"),
    "datetime": (
        "1.3.6.1.4.1.1466.115.121.1.24",
        "EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch",
    ),
    "binary": ("1.3.6.1.4.1.1466.115.121.1.40", "EQUALITY octetStringMatch"),
    "text": ("1.3.6.1.4.1.1466.115.121.1.15", "EQUALITY caseExactMatch"),
}
_NATURAL = {"id": "integer", "version": "integer", "title": "text", **{f"f-{k}": k for k in _SYNTAXES}}
_NAMES = ["id", "title", "version", *(f"f-{kind}".replace("_", "-") for kind in FieldType)]
SCHEMA = (
    "\n".join(
        f"attributetype ( {_OWN}.1.{number} NAME 'own-{name}' {rules} SYNTAX {syntax} SINGLE-VALUE )"
        for number, name in enumerate(_NAMES, 1)
        for syntax, rules in [_SYNTAXES[_NATURAL.get(name, "text")]]
    )
    + f"""
objectclass ( {_OWN}.2.1 NAME 'ownSample' SUP top STRUCTURAL
  MUST ( own-id $ own-title ) MAY ( {" $ ".join(f"own-{name}" for name in _NAMES[2:])} ) )
"""
)
_count = itertools.count(1)


@pytest.fixture(scope="module")
def directory() -> Iterator[Directory]:
    with directory_servers.slapd(SCHEMA) as found:
        yield found


@pytest.fixture
def base(directory: Directory) -> str:
    """A branch of the test's own."""
    name = f"t{next(_count)}"
    directory.add([(f"ou={name},{SUFFIX}", {"objectClass": ["organizationalUnit"], "ou": [name]})])
    return f"ou={name},{SUFFIX}"


def plain(directory: Directory, base: str, **more: Any) -> dict[str, Any]:
    return {
        "host": directory.host, "port": directory.port, "encryption": "none", "user": directory.user,
        "password": directory.password, "base": base, **more,
    }  # fmt: skip


def opened(settings: Settings) -> Ldap:
    defaults = {setting.name: setting.default for setting in Ldap.spec.settings}
    return Ldap({**defaults, **settings}, Context(timeout=10))


def _attribute(name: str) -> str:
    return "own-" + name.replace("_", "-")


class TestLdap(ConnectorConformance):
    connector = Ldap

    @pytest.fixture(autouse=True)
    def _no_own_names(self, request: pytest.FixtureRequest) -> None:
        if "captured" in request.node.name:
            pytest.skip("a directory names what is gone by its own identifier; see test_ldap_changes")

    @pytest.fixture
    def settings(self, directory: Directory, base: str, sample: Schema) -> Settings:
        self.directory = directory
        fields = [
            {"name": f.name, "attribute": _attribute(f.name), "type": f.type.value, "scale": f.scale,
             "required": not f.nullable}
            for f in sample.fields
        ]  # fmt: skip
        described = {"name": "sample", "class": "ownSample", "rdn": "own-id", "key": "id", "fields": fields}
        return plain(directory, base, objects=[described], page_size=3)

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """A directory has no empty texts."""
        return {**EXTREMES, FieldType.TEXT: EXTREMES[FieldType.TEXT][1:]}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        base = settings["base"]
        self.directory.remove(base)
        self.directory.add([(base, {"objectClass": ["organizationalUnit"], "ou": [base[3:].partition(",")[0]]})])
        self.directory.add(
            (f"own-id={r['id']},{base}", {"objectClass": ["ownSample"], **self._values(r, schema)})
            for r in records.iter_rows(named=True)
        )

    def _values(self, record: Mapping[str, Any], schema: Schema) -> dict[str, list[str | bytes]]:
        return {_attribute(n): [_value(v, schema[n])] for n, v in record.items() if v is not None}

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "host": "no-such-host.invalid"},
            {**settings, "host": "10.0.0.1"},
            {**settings, "port": servers.free_port()},
            {**settings, "password": "wrong"},
            {**settings, "password": ""},
            {**settings, "base": "dc=nowhere"},
            {**settings, "objects": "[{]"},
            {**settings, "objects": ["nothing"]},
            {**settings, "objects": [{"name": "x", "filter": "(a=b"}]},
            {**settings, "encryption": "starttls"},
            {**settings, "encryption": "starttls", "tls_ca": "no PEM"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


def _value(value: Any, field: Field) -> str | bytes:
    if field.type is FieldType.BINARY:
        return value
    if field.type is FieldType.DATETIME:
        return value.strftime("%Y").zfill(4) + value.strftime("%m%d%H%M%S.%fZ")
    text = PLAIN.text(value) or ""
    return text.upper() if field.type is FieldType.BOOLEAN else text
