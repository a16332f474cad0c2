"""The connector `odata` against SAP's own server (CAP), in versions 2 and 4."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import polars as pl
import pytest

from connectors.builtin.odata import OData
from connectors.spi import Capture, Context, ReadRequest
from connectors.testing import EXTREMES, TITLE, ConnectorConformance, Settings
from rules.schema import Change, FieldType, Op, Schema
from tests.connectors.odata_cap import cap

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with cap() as found:
        yield found


def opened(address: str, **more: Any) -> OData:
    defaults = {setting.name: setting.default for setting in OData.spec.settings}
    return OData({**defaults, "base_url": address, **more}, Context(timeout=10))


class TestVersion4(ConnectorConformance):
    connector = OData
    object_name = "samples"
    root = "/main"
    types = (
        FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.BOOLEAN, FieldType.DATE,
        FieldType.TIME, FieldType.DATETIME,
    )  # fmt: skip

    @pytest.fixture(autouse=True)
    def _no_delta_links(self, request: pytest.FixtureRequest) -> None:
        if "captured" in request.node.name:
            pytest.skip("CAP gives out no delta links")

    @pytest.fixture
    def settings(self, server: str) -> Settings:
        for row in httpx.get(f"{server}/main/samples?$select=id").json()["value"]:
            httpx.delete(f"{server}/main/samples({row['id']})").raise_for_status()
        return {"base_url": server + self.root, "page_size": 4}

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """JavaScript has no whole numbers beyond 2^53, and SQLite keeps decimals as floats."""
        return {
            **EXTREMES, FieldType.INTEGER: (0, -1, 2**53 - 1),
            FieldType.DECIMAL: EXTREMES[FieldType.DECIMAL][:3],
            FieldType.TIME: tuple(v.replace(microsecond=0) for v in EXTREMES[FieldType.TIME]),
            FieldType.DATETIME: tuple(
                v.replace(microsecond=v.microsecond // 1000 * 1000) for v in EXTREMES[FieldType.DATETIME]),
        }  # fmt: skip

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        with opened(settings["base_url"]) as odata:
            keys = [k for p in odata.read(ReadRequest("samples", schema.select(("id",)))) for k in p.records["id"]]
            if keys:
                odata.write("samples", schema, [Change(Op.DELETE, "id", pl.DataFrame({"id": keys}))])
            if records.height:
                assert not odata.write("samples", schema, [Change(Op.CREATE, "id", records)]).failures

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "base_url": "http://no-such-host.invalid"},
            {**settings, "base_url": settings["base_url"] + "/nothing"},
            {**settings, "parameters": "[]"},
            {**settings, "objects": ["nothing"]},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


class TestVersion2(TestVersion4):
    root = "/odata/v2/main"

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """Version 2 counts milliseconds."""
        return {**super().values(), FieldType.DATE: EXTREMES[FieldType.DATE][1:]}


@pytest.mark.parametrize("root", ["/main", "/odata/v2/main"])
def test_what_orders_lead_to(server: str, root: str) -> None:
    """The items of an order are JSON, the order of an item is fields; a service that tracks nothing says so."""
    expand = [{"name": "Orders", "expand": ["items"]}, {"name": "Items", "expand": ["parent"]}]
    order = {"ID": "11111111-2222-3333-4444-555555555555", "no": "A'1", "items": [{"pos": 1, "what": "w", "price": 2}]}
    if httpx.get(f"{server}/main/Orders({order['ID']})").status_code == httpx.codes.NOT_FOUND:
        httpx.post(f"{server}/main/Orders", json=order).raise_for_status()
    with opened(server + root, objects=expand) as odata:
        (page,) = odata.read(ReadRequest("Orders", odata.schema("Orders")))
        (item,) = json.loads(page.records["items"][0])
        assert (item["what"], float(item["price"])) == ("w", 2.0)
        (page,) = odata.read(ReadRequest("Items", odata.schema("Items")))
        assert page.records["parent.no"].to_list() == ["A'1"]
        assert odata.change_log("Orders", Capture("me", "ID")).missing()
