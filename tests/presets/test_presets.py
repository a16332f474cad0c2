"""Every preset against its rebuilt product: all objects, changes, lookups, writes, expired credentials, limits."""

from __future__ import annotations

import datetime as dt
import importlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import registry
from connectors.errors import Fatal
from connectors.presets import Preset, Said, all_presets, answers_of, filled, named, problems_with
from connectors.presets.document import placeholders
from connectors.spi import Capture, Connector, Context, Cursor, Page, ReadRequest, SettingKind
from rules.schema import Change, Op, Schema
from tests.presets.server import Row, Site, Vendor
from webapp.connections.validation import validate_settings, with_defaults

HERE = Path(__file__).parent
VENDORS: list[type[Vendor]] = [
    next(c for c in vars(importlib.import_module(f"tests.presets.{path.stem}")).values()
         if isinstance(c, type) and issubclass(c, Vendor) and c.__module__ == f"tests.presets.{path.stem}")
    for path in sorted(HERE.glob("*.py"))
    if not path.stem.startswith(("__init__", "server", "test_"))
]  # fmt: skip
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+)(:\d+)?")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.preset)
def vendor(request: pytest.FixtureRequest, site: Site) -> Vendor:
    made: Vendor = request.param(site.url)
    site.vendor = made
    return made


@pytest.fixture
def preset(vendor: Vendor) -> Preset:
    return named(vendor.preset)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the waits instead of doing them."""
    noted: list[float] = []
    monkeypatch.setattr(time, "sleep", noted.append)
    return noted


def redirected(value: Any, url: str) -> Any:
    """Return settings with the rebuilt server in place of the vendor's hosts."""
    if isinstance(value, str):
        return _ORIGIN.sub(url, value)
    if isinstance(value, dict):
        return {name: redirected(item, url) for name, item in value.items()}
    return [redirected(item, url) for item in value] if isinstance(value, list) else value


def opened(vendor: Vendor, language: str = "en") -> Connector:
    """Return the connector of a connection that the form would make, led to the rebuilt server."""
    preset = named(vendor.preset)
    settings = filled(preset, {**vendor.answers, "language": language})
    connector = registry.get(preset.connector)
    clean, errors = validate_settings(connector.spec, settings)
    assert errors == {}
    assert {host for value in clean.values() for host in hosts(value)} == vendor.hosts
    return connector(with_defaults(connector.spec, redirected(clean, vendor.url)), Context(timeout=5))


def hosts(value: Any) -> set[str]:
    if isinstance(value, str):
        return {found[0] for found in _ORIGIN.findall(value)}
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {host for item in items for host in hosts(item)}


def everything(connector: Connector, name: str, cursor: Cursor | None = None) -> pl.DataFrame:
    pages = list(connector.read(ReadRequest(name, connector.schema(name), cursor)))
    assert [reject.message for page in pages for reject in page.rejects] == []
    return pl.concat([page.records for page in pages])


def test_a_preset_is_whole(preset: Preset, vendor: Vendor) -> None:
    """Its connector exists, secrets go to secret settings whole, answers can be told back, labels are there."""
    assert problems_with(preset, vendor.answers) == {}
    spec = registry.get(preset.connector).spec
    assert preset.log == vendor.captured
    kinds = {setting.name: setting.kind for setting in spec.settings}
    secrets = {setting.name for setting in preset.settings if setting.kind == "secret"}
    for name, template in preset.fixed.items():
        found = secrets & set(placeholders(template))
        assert not found or (kinds[name] is SettingKind.SECRET and template == f"{{{found.pop()}}}")
    for language in ("en", "zh"):
        answers = {**vendor.answers, "language": language}
        assert answers_of(preset, filled(preset, answers)).items() >= answers.items()
    for page, date in ((page, c.date) for c in (preset.checked,) if c for page in c.documents):
        assert page.title
        assert page.url.startswith("https://")
        assert not page.dated or dt.date.fromisoformat(page.dated) <= dt.date.fromisoformat(date)
    for text in said(preset):
        assert text.en.strip()
        assert text.zh.strip()


def said(preset: Preset) -> Iterator[Said]:
    yield from (preset.label, preset.category, preset.summary, *preset.limits)
    yield from (text for setting in preset.settings for text in (setting.label, setting.help) if text)
    for described in preset.objects:
        yield from (described.label, *(field.label for field in described.fields))


def test_a_connection_finds_its_objects(preset: Preset, vendor: Vendor) -> None:
    """The test of the connection succeeds; objects, fields and keys are the preset's, labelled in both languages."""
    for language in ("en", "zh"):
        with opened(vendor, language) as connector:
            steps = list(connector.check())
            assert all(step.ok for step in steps), [str(step.detail) for step in steps]
            found = {info.name: info for info in connector.objects()}
            for described in preset.objects:
                info = found[described.name]
                assert info.label == described.label.text(language)
                assert info.writable or not described.writes
                schema = connector.schema(described.name)
                assert schema.key == (described.key,)
                labels = {field.name: field.label for field in schema.fields}
                assert labels.items() >= {f.name: f.label.text(language) for f in described.fields}.items()


def test_all_records_are_read(preset: Preset, vendor: Vendor) -> None:
    """Every object is read to its end, once each, with typed values."""
    with opened(vendor) as connector:
        for described in preset.objects:
            records = everything(connector, described.name)
            keys = records[described.key].cast(pl.String).to_list()
            assert sorted(keys) == sorted(vendor.keys(described.name)), described.name
            wanted = vendor.truth.get(described.name)
            if wanted:
                row = records.filter(pl.col(described.key) == wanted[described.key]).row(0, named=True)
                assert {name: plain(row[name]) for name in wanted} == {n: plain(v) for n, v in wanted.items()}


def test_a_read_goes_on_behind_a_page(preset: Preset, vendor: Vendor) -> None:
    """Behind any page a later read gives the rest, once each, also of trees and of lists of several parents."""
    with opened(vendor) as connector:
        for described in preset.objects[:2]:
            schema = connector.schema(described.name)
            size = max(len(vendor.keys(described.name)) // 3, 2)
            pages = list(connector.read(ReadRequest(described.name, schema, page_size=size)))
            keys = [page.records[described.key].to_list() for page in pages]
            assert len(pages) > 1
            place = len(pages) // 2 - 1
            rest = connector.read(ReadRequest(described.name, schema, page_size=size, after=pages[place].position))
            found = [key for page in rest for key in page.records[described.key].to_list()]
            assert found == [key for part in keys[place + 1 :] for key in part]


def plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def test_changes_are_read(preset: Preset, vendor: Vendor) -> None:
    """What changed since is read by the cursor; a vendor that can filter is asked to."""
    with opened(vendor) as connector:
        for described in (o for o in preset.objects if o.cursor and o.name in vendor.since):
            before = vendor.filtered
            value = vendor.since[described.name]
            everyone = everything(connector, described.name)
            assert vendor.filtered == before
            found = everything(connector, described.name, Cursor(described.cursor, described.key, value))
            assert 0 < found.height < everyone.height
            expected = everyone.filter(pl.col(described.cursor) >= value)[described.key]
            assert sorted(found[described.key].to_list()) == sorted(expected.to_list())
            if asks(connector, described.name):
                assert vendor.filtered > before, described.name


def asks(connector: Connector, name: str) -> bool:
    """Tell whether the description of an object says how to ask for changes."""
    if connector.spec.name == "odata":
        return True
    objects = connector.settings.get("objects") or []
    return any(o["name"] == name and o.get("since") for o in objects)


def test_records_are_looked_up(preset: Preset, vendor: Vendor) -> None:
    """A record is found by its key, and one that is not there is not."""
    with opened(vendor) as connector:
        for described in preset.objects:
            schema = connector.schema(described.name)
            one = everything(connector, described.name)[described.key][0]
            absent = one + 987_654 if isinstance(one, int) else "no-such-record"
            values = pl.Series(described.key, [one, absent], schema[described.key].dtype)
            found = connector.lookup(described.name, schema, described.key, values)
            assert found[described.key].to_list() == [one], described.name


def test_records_are_written(preset: Preset, vendor: Vendor) -> None:
    """Records are created, changed and deleted where the preset says so; refusals are told in the vendor's words."""
    assert {o.name for o in preset.objects if o.writes} == set(vendor.samples)
    with opened(vendor) as connector:
        for described in (o for o in preset.objects if o.writes):
            schema = connector.schema(described.name)
            fresh, changed = vendor.samples[described.name]
            key = fresh.get(described.key)
            if "create" in described.writes:
                result = connector.write(described.name, schema, [change(Op.CREATE, schema, described.key, fresh)])
                assert [str(f.message) for f in result.failures] == []
                assert result.keys[0] is not None
                key = result.keys[0][0]
                assert str(key) in vendor.keys(described.name)
            if "update" in described.writes:
                row = {described.key: key, **changed}
                result = connector.write(described.name, schema, [change(Op.UPDATE, schema, described.key, row)])
                assert [str(f.message) for f in result.failures] == []
                self_same = (
                    everything(connector, described.name).filter(pl.col(described.key) == key).row(0, named=True)
                )
                assert {n: plain(self_same[n]) for n in changed} == {n: plain(v) for n, v in changed.items()}
                kept = set(fresh) - set(changed) - set(vendor.unseen)
                assert {n: plain(self_same[n]) for n in kept} == {n: plain(fresh[n]) for n in kept}
            if "delete" in described.writes:
                row = {described.key: key}
                result = connector.write(described.name, schema, [change(Op.DELETE, schema, described.key, row)])
                assert [str(f.message) for f in result.failures] == []
                assert str(key) not in vendor.keys(described.name)
                keys = pl.Series(described.key, [key], schema[described.key].dtype)
                assert connector.lookup(described.name, schema, described.key, keys).is_empty()
        for name, row in vendor.bad.items():
            described = next(o for o in preset.objects if o.name == name)
            schema = connector.schema(name)
            result = connector.write(name, schema, [change(Op.CREATE, schema, described.key, row)])
            assert len(result.failures) == 1
            assert vendor.words in str(result.failures[0].message)


def change(op: Op, schema: Schema, key: str, row: Row) -> Change:
    columns = {name: pl.Series(name, [value], schema[name].dtype, strict=False) for name, value in row.items()}
    return Change(op, key, pl.DataFrame(columns))


def test_changes_are_told(preset: Preset, vendor: Vendor) -> None:
    """Where the vendor keeps a log, what was written since a first read comes by it, and what is gone is named."""
    with opened(vendor) as connector:
        for described in (o for o in preset.objects if o.name in vendor.samples and vendor.captured):
            name, key, schema = described.name, described.key, connector.schema(described.name)
            capture = Capture("syncline", key)
            log = connector.change_log(name, capture)
            assert log.missing() == []
            log.keep()
            first = captured(connector, name, schema, capture)
            gone, changed = first[0].records[key][0], first[0].records[key][1]
            fresh, values = vendor.samples[name]
            made = connector.write(name, schema, [change(Op.CREATE, schema, key, fresh)]).keys[0]
            connector.write(name, schema, [change(Op.UPDATE, schema, key, {key: changed, **values})])
            connector.write(name, schema, [change(Op.DELETE, schema, key, {key: gone})])
            assert made is not None
            since = replace(capture, since=first[-1].captured)
            assert log.pending(dict(since.since or {}))
            pages = captured(connector, name, schema, since)
            assert {k for page in pages for k in page.records[key]} == {made[0], changed}
            assert [k for page in pages if page.deleted is not None for k in page.deleted[key]] == [gone]
            mark = dict(pages[-1].captured or {})
            assert not log.pending(mark)
            assert log.state(mark).lost is None
            vendor.forget(name)
            assert log.state(mark).lost is not None


def captured(connector: Connector, name: str, schema: Schema, capture: Capture) -> list[Page]:
    pages = list(connector.read(ReadRequest(name, schema, page_size=500, capture=capture)))
    assert [reject.message for page in pages for reject in page.rejects] == []
    return pages


def test_credentials_that_expire_are_renewed(preset: Preset, vendor: Vendor) -> None:
    """A token that expires is renewed in the middle of the work; one that cannot be ends the read."""
    name = preset.objects[0].name
    with opened(vendor) as connector:
        everything(connector, name)
        vendor.expire()
        if vendor.static:
            with pytest.raises(Fatal):
                everything(connector, name)
        else:
            assert everything(connector, name).height == len(vendor.keys(name))
            assert vendor.issued == 2


def test_limits_are_waited_for(preset: Preset, vendor: Vendor, waits: list[float]) -> None:
    """A vendor that asks to slow down is given the time it asks for, and nothing is lost."""
    name = preset.objects[0].name
    with opened(vendor) as connector:
        schema = connector.schema(name)
        waits.clear()
        vendor.limited = 2
        pages = list(connector.read(ReadRequest(name, schema)))
        assert sum(page.records.height for page in pages) == len(vendor.keys(name))
        assert vendor.limited == 0
        assert sum(waits) >= vendor.delay


def test_every_preset_has_a_rebuilt_server() -> None:
    """No preset is shipped without its test, and all names, files and versions agree."""
    assert {preset.name for preset in all_presets()} == {vendor.preset for vendor in VENDORS}


def test_what_kingdee_says_of_a_query_is_told(site: Site) -> None:
    """A query that is refused is answered with a status of its own in place of the list; its words reach the reader."""
    site.vendor = vendor = next(v for v in VENDORS if v.preset == "kingdee")(site.url)
    for row in vendor.rows["BD_Customer"].values():
        del row["FTEL"]
    with opened(vendor) as connector, pytest.raises(Fatal, match="字段 FTEL 不存在"):
        everything(connector, "BD_Customer")
