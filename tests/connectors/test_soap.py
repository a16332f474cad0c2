"""The connector `soap` against spyne, a SOAP server that is not ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin.soap import Soap
from connectors.spi import Context
from connectors.testing import EXTREMES, TITLE, ConnectorConformance, Settings
from rules.schema import Change, FieldType, Op, Schema

if sys.version_info >= (3, 12):
    pytest.skip("spyne does not run on this version of Python", allow_module_level=True)
from tests.spyne_servers import Store, spyne_server

pytestmark = pytest.mark.usefixtures("waits")

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
SAMPLES = {
    "name": "samples",
    "key": "id",
    "read": {
        "operation": "ListSamples",
        "records": "ListSamplesResult/samples/Sample",
        "paging": {
            "by": "page",
            "parameter": "page",
            "size": 6,
            "size_parameter": "size",
            "total": "ListSamplesResult/total",
        },
    },
    "get": {"operation": "GetSample", "key": "id", "record": "GetSampleResult"},
    "create": {"operation": "AddSample", "record": "sample", "key": "AddSampleResult"},
    "update": {"operation": "ChangeSample", "record": "sample", "key_parameter": "id", "whole": True},
    "delete": {"operation": "RemoveSample", "key_parameter": "id"},
    "fields": [{"name": "f_local_datetime", "type": "local_datetime"}, {"name": "f_json", "type": "json"}],
}


@pytest.fixture(scope="module")
def spyne() -> Iterator[tuple[Store, str]]:
    """A running service, and what it holds."""
    store = Store()
    with spyne_server(store) as url:
        yield store, url


class TestSoap(ConnectorConformance):
    connector = Soap
    object_name = "samples"

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, spyne: tuple[Store, str]) -> Settings:
        self.store, url = spyne
        self.store.rows = {}
        return {"wsdl": url, "objects": [SAMPLES]}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        self.store.rows = {row["id"]: row for row in records.iter_rows(named=True)}

    def broken(self, settings: Settings) -> Sequence[Settings]:
        wrong: dict[str, Any] = {**SAMPLES, "delete": {"operation": "Nothing", "key_parameter": "id"}}
        lost: dict[str, Any] = {**SAMPLES, "read": {"operation": "ListSamples", "records": "Result"}}
        return [
            {**settings, "wsdl": "http://no-such-host.invalid/?wsdl"},
            {**settings, "wsdl": "http://10.0.0.1/?wsdl"},
            {**settings, "wsdl": "ftp://example.com"},
            {**settings, "wsdl": ""},
            {**settings, "port": "Other"},
            {**settings, "objects": "[{]"},
            {**settings, "objects": [wrong]},
            {**settings, "objects": [lost]},
            {**settings, "zone": "Nowhere"},
            {**settings, "authentication": "basic"},
        ]

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """Spyne takes an empty binary value for none."""
        return {**EXTREMES, FieldType.BINARY: EXTREMES[FieldType.BINARY][1:]}

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: ""}


def test_objects_are_proposed() -> None:
    """Without a description the names of the operations make objects that can be read and written at once."""
    store = Store()
    store.rows = {1: {"id": 1, "title": "x"}}
    with spyne_server(store, soap12=True) as url, Soap({"wsdl": url}, HERE) as soap:
        assert [step.ok for step in soap.check()] == [True] * 4
        (found,) = soap.objects()
        assert (found.name, found.writable) == ("Sample", True)
        schema = soap.schema("Sample")
        assert schema.key == ("id",)
        soap.write("Sample", schema, [Change(Op.CREATE, "id", pl.DataFrame({"id": [5], "title": ["new"]}))])
        soap.write("Sample", schema, [Change(Op.DELETE, "id", pl.DataFrame({"id": [1]}))])
        assert soap.lookup("Sample", schema, "id", pl.Series([1, 5]))["title"].to_list() == ["new"]
    assert list(store.rows) == [5]
