"""The conformance suite itself: a good connector passes in a few lines, and a broken promise is found."""

from __future__ import annotations

import textwrap

import pytest

pytest_plugins = ["pytester"]

GOOD = """
import pytest, polars as pl
from connectors.errors import ObjectMissing, Unavailable
from connectors.spi import Capabilities, Connector, ConnectorSpec, ObjectInfo, Page, Setting, SettingKind, Step
from connectors.testing import ConnectorConformance
from rules.text import msg

STORES = {}

class Memory(Connector):
    settings_ = (Setting("store", "Store", required=True), Setting("key", "Key", SettingKind.SECRET))
    spec = ConnectorSpec("memory", "Memory", "Tests", "Records in memory.", settings_, Capabilities())

    def _store(self):
        if self.settings["store"] not in STORES:
            raise Unavailable(msg("There is no store {name}.", name=self.settings["store"]))
        return STORES[self.settings["store"]]

    def _object(self, name):
        if name not in self._store():
            raise ObjectMissing(msg("There is no {name}.", name=name))
        return self._store()[name]

    def check(self):
        try:
            self._store()
        except Unavailable as error:
            yield Step("Find", ok=False, detail=error.message)
        else:
            yield Step("Find", ok=True, detail=msg("Found."))

    def objects(self):
        return [ObjectInfo(name) for name in sorted(self._store())]

    def schema(self, name):
        return self._object(name)[0]

    def read(self, request):
        records = self._object(request.object)[1].select(request.schema.names)
        start = (request.after or {}).get("at", 0)
        for at in range(start, max(records.height, start + 1), request.page_size):
            yield Page(records.slice(at, request.page_size), {"at": at + request.page_size})

class TestMemory(ConnectorConformance):
    connector = Memory

    @pytest.fixture
    def settings(self):
        STORES["main"] = {}
        return {"store": "main"}

    def seed(self, settings, schema, records):
        STORES[settings["store"]][self.object_name] = (schema, records)

    def broken(self, settings):
        return [{"store": "nowhere"}]
"""

BROKEN = {
    "records.slice(at, request.page_size), {": "records.slice(at, request.page_size + 1), {",
    '{"at": at + request.page_size}': '{"at": at + request.page_size + 1}',
    'if name not in self._store()': 'if False',
    'for name in sorted(self._store())': 'for name in ["z", *self._store()]',
    'raise Unavailable(msg("There is no store {name}.", name=self.settings["store"]))': 'raise KeyError("store")',
    'name=self.settings["store"]': 'name=self.settings.get("key") or "x"',
    '.select(request.schema.names)': '.select(request.schema.names).cast(pl.String, strict=False)',
    '"Memory", "Tests", "Records in memory."': '"Memory", "", "Records in memory."',
}  # fmt: skip


def test_a_good_connector_passes(pytester: pytest.Pytester) -> None:
    """A connector that only reads inherits the suite in a few lines; what it does not claim is skipped."""
    pytester.makepyfile(textwrap.dedent(GOOD))
    outcomes = pytester.runpytest("-p", "no:cacheprovider").parseoutcomes()
    assert outcomes.get("failed", 0) == outcomes.get("errors", 0) == 0
    assert outcomes["passed"] >= 15
    assert outcomes["skipped"] >= 15


@pytest.mark.parametrize("promise", BROKEN)
def test_a_broken_promise_is_found(pytester: pytest.Pytester, promise: str) -> None:
    """Each of these small mistakes fails a test."""
    assert promise in GOOD
    pytester.makepyfile(textwrap.dedent(GOOD.replace(promise, BROKEN[promise])))
    outcomes = pytester.runpytest("-p", "no:cacheprovider", "-x").parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) >= 1
