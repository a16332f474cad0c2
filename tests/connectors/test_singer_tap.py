"""Singer taps as connectors: a small tap with a log of changes keeps every promise, and no fault loses a record."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin import singer_process, singer_tap
from connectors.builtin.singer_catalog import asking_for, streams_of, unfinished
from connectors.builtin.singer_tap import SingerTap
from connectors.errors import ConnectorError, Fatal, Misconfigured, RecordRejected, Unavailable
from connectors.json_records import encode, json_values
from connectors.spi import Capture, Context, Cursor, ReadRequest
from connectors.testing import KEY, VERSION, ConnectorConformance, Settings
from rules.schema import Field, FieldType, Schema

TAP = Path(__file__).parent / "singer" / "tap.py"
_TYPES = {
    FieldType.TEXT: {"type": ["string", "null"]},
    FieldType.INTEGER: {"type": ["integer", "null"]},
    FieldType.DECIMAL: {"type": ["number", "null"], "multipleOf": 0.0001},
    FieldType.BOOLEAN: {"type": ["boolean", "null"]},
    FieldType.DATE: {"type": ["string", "null"], "format": "date"},
    FieldType.DATETIME: {"type": ["string", "null"], "format": "date-time"},
    FieldType.JSON: {"type": ["object", "array", "null"]},
}
ITEMS = Schema((Field("id", FieldType.INTEGER), Field("name")), ("id",))


def install(folder: Path, name: str, script: Path) -> Path:
    """Put a program where installed ones are."""
    place = folder / "programs" / name
    (place / "bin").mkdir(parents=True)
    path, own = place / "bin" / name, place / script.name
    shutil.copy(script, own)
    path.write_text(f'#!/bin/sh\nexec {Path(sys.executable).resolve()} -I -S "{own}" "$@"\n')
    path.chmod(0o755)
    (place / "program.json").write_text(json.dumps({"name": name, "version": "1.0", "path": str(path)}))
    return folder / "programs"


class Store:
    """The file that the tap reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.schema: dict[str, Any] = {}
        self.rows: dict[Any, str] = {}
        self.log: list[str] = []
        self.more: dict[str, Any] = {}

    def save(self, name: str = "sample", key: Sequence[str] = ("id",)) -> None:
        about = {"schema": self.schema, "key": key, "grows": [VERSION], "rows": [*self.rows.values()], "log": self.log}
        streams = {name: about | self.more} | ({"others": about} if name == "items" else {})
        self.path.write_text(json.dumps(streams, ensure_ascii=False), "utf-8")

    def delete(self, key: Any) -> None:
        del self.rows[key]
        self.log.append(json.dumps({KEY: key, "_sdc_deleted_at": "2026-01-01T00:00:00Z"}))


class TestConformance(ConnectorConformance):
    connector = SingerTap
    types = tuple(_TYPES)

    @pytest.fixture
    def context(self, tmp_path: Path) -> Context:
        (tmp_path / "files").mkdir(exist_ok=True)
        return Context((tmp_path / "files",), programs=install(tmp_path, "tap-sample", TAP), timeout=10)

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        (tmp_path / "files").mkdir(exist_ok=True)
        self.store = Store(tmp_path / "files" / "store.json")
        self.store.path.write_text("{}")
        secret = json.dumps({"token": "good-token"})
        return {"program": "tap-sample", "config": {"store": str(self.store.path)}, "secret_config": secret}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        properties = {f.name: _TYPES[f.type] for f in schema.fields} | {"_sdc_deleted_at": {"type": ["string", "null"]}}
        self.store.schema = {"type": "object", "properties": properties, "required": [KEY]}
        self.sample = schema
        self.store.rows = {row[KEY]: self._text(row) for row in records.iter_rows(named=True)}
        self.store.save()

    def _text(self, row: Mapping[str, Any]) -> str:
        return encode(json_values(row, self.sample)).decode()

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "program": "tap-nothing"},
            {**settings, "config": "{"},
            {**settings, "config": {}},
            {**settings, "secret_config": "token"},
        ]

    def change(self, settings: Settings, records: pl.DataFrame, removed: pl.Series) -> None:
        for row in records.iter_rows(named=True):
            self.store.rows[row[KEY]] = self._text(row)
            self.store.log.append(self._text(row))
        for key in removed:
            self.store.delete(key)
        self.store.save()

    def rename(self, settings: Settings, old: Any, new: Any) -> None:
        row = json.loads(self.store.rows[old]) | {KEY: new}
        self.store.delete(old)
        self.store.rows[new] = json.dumps(row)
        self.store.log.append(json.dumps(row))
        self.store.save()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "files").mkdir()
    made = Store(tmp_path / "files" / "items.json")
    made.schema = {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}
    made.rows = {n: json.dumps({"id": n, "name": f"n{n}"}) for n in range(1, 6)}
    made.save("items")
    install(tmp_path, "tap-sample", TAP)
    return made


def tap(store: Store, fault: str = "", **settings: Any) -> SingerTap:
    defaults = {s.name: s.default for s in SingerTap.spec.settings}
    config = {"store": str(store.path), "fault": fault}
    given = {"program": "tap-sample", "config": config, "secret_config": '{"token": "good-token"}', **settings}
    return SingerTap({**defaults, **given}, Context((store.path.parent,), programs=store.path.parents[1] / "programs"))


def ids(source: SingerTap, **request: Any) -> list[int]:
    return [i for page in source.read(ReadRequest("items", ITEMS, **request)) for i in page.records["id"]]


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        ("exit", Unavailable, r"code 1: the token ••• has expired"),
        ("kill", Unavailable, r"code -9"),
        ("early", Unavailable, r"sent 10 records, and 2 came"),
        ("miscount", Unavailable, r"sent 6 records, and 5 came"),
        ("unfinished", Unavailable, r"last state says"),
        ("cut", Fatal, r"no Singer message: \{\"type\": \"RECORD\", \"str"),
        ("noise", Fatal, r"no Singer message: hello from the tap"),
        ("no schema", Fatal, r"'items' before it has described it"),
        ("memory", Unavailable, r"code 1: MemoryError"),
    ],
)
def test_a_tap_that_does_not_come_to_its_end_is_no_complete_read(
    store: Store, fault: str, kind: type[Exception], told: str
) -> None:
    """However a tap ends early, the read ends with an error, so nothing that it did not send counts as deleted."""
    with pytest.raises(kind, match=told) as caught:
        ids(tap(store, fault, memory=512))
    assert "good-token" not in str(caught.value)


def test_a_tap_that_takes_too_long_is_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a tap that hangs nor a line without end keeps a worker."""
    source = tap(store, "hang")
    source.objects()
    monkeypatch.setattr(singer_tap, "bounds_of", lambda _: singer_process.Bounds(seconds=0.5))
    with pytest.raises(Unavailable, match="ran longer"):
        ids(source)
    monkeypatch.setattr(singer_tap, "bounds_of", lambda _: singer_process.Bounds(line=1000))
    with pytest.raises(Fatal, match="line of more than"):
        ids(tap(store, "long"))


def test_nothing_stays_behind(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that is given up halfway leaves no process and no file; secrets are never on the disk."""
    monkeypatch.setattr(singer_process.tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    source = tap(store)
    pages = source.read(ReadRequest("items", ITEMS, page_size=1))
    next(pages)
    (folder,) = (tmp_path / "t").iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert "good-token" not in "".join(path.read_text() for path in folder.iterdir())
    pages.close()  # type: ignore[attr-defined]
    assert list((tmp_path / "t").iterdir()) == []
    source.close()


def test_a_tap_gets_a_clean_environment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Syncline's own environment holds is not the program's business."""
    monkeypatch.setenv("SYNCLINE_CANARY", "secret")
    script = store.path.parent / "show.py"
    script.write_text("import os,sys; sys.exit(' '.join(sorted(os.environ)))")
    install(store.path.parents[1], "tap-show", script)
    with pytest.raises(Unavailable, match=r"ALL_PROXY HOME HTTPS_PROXY HTTP_PROXY LANG PATH PWD") as caught:
        tap(store, program="tap-show").objects()
    assert "SYNCLINE" not in str(caught.value)


def test_a_changed_stream_is_not_gone_on_with(store: Store) -> None:
    """What was read before a stop has to come again as it was, else the run begins anew."""
    source = tap(store)
    first = next(iter(source.read(ReadRequest("items", ITEMS, page_size=2))))
    assert ids(source, after=first.position) == [3, 4, 5]
    store.rows[1] = json.dumps({"id": 1, "name": "other"})
    store.save("items")
    with pytest.raises(Fatal, match="have changed since"):
        ids(source, after=first.position)
    store.rows = {}
    store.save("items")
    with pytest.raises(Fatal, match="have changed since"):
        ids(source, after=first.position)


def test_a_table_that_was_replaced_is_told(store: Store) -> None:
    """A new version of a stream says that all others are gone, without naming them."""
    store.more = {"emptied": True}
    store.save("items")
    source = tap(store)
    capture = Capture("c", "id")
    *_, last = source.read(ReadRequest("items", ITEMS, capture=capture))
    assert not last.emptied
    *_, last = source.read(ReadRequest("items", ITEMS, capture=replace(capture, since=last.captured)))
    assert last.emptied
    assert last.captured == {"log": 0}


def test_a_stream_without_a_log_or_a_key(store: Store) -> None:
    """Where deletions would not be told, a rule by the log is refused; a key can be stated."""
    store.save("items", ())
    source = tap(store, key="id")
    assert source.schema("items").key == ("id",)
    assert [*map(str, source.change_log("items", Capture("c", "name")).missing())] == [
        "The tap does not say that 'name' is a key."
    ]
    (stream,) = streams_of({"streams": [{"stream": "x", "schema": {"properties": {}}, "metadata": [
        {"breadcrumb": ["properties", "a"]}]}]}, "").values()  # fmt: skip
    log = singer_tap.TapLog(stream, Capture("c", "id"))
    assert len(log.missing()) == 2
    assert (log.keep(), log.drop(), log.pending({})) == (None, None, True)
    assert not unfinished("odd", stream)
    (asked,) = asking_for({"x": stream}, stream, "FULL_TABLE")["streams"]
    assert asked["metadata"][0] == {
        "breadcrumb": [],
        "metadata": {"selected": True, "replication-method": "FULL_TABLE"},
    }
    with pytest.raises(Misconfigured, match="no streams"):
        streams_of({"streams": [{}]}, "")


def test_a_bookmark_is_handed_over_where_the_tap_knows_it(store: Store) -> None:
    """A cursor becomes the tap's own state, so that it sends no more than what changed."""
    store.schema["properties"][VERSION] = {"type": "integer"}
    store.rows = {n: json.dumps({"id": n, "name": "x", VERSION: n}) for n in (1, 2, 3)}
    store.save("items")
    schema = Schema((*ITEMS.fields, Field(VERSION, FieldType.INTEGER)), ("id",))
    source = tap(store)
    pages = [*source.read(ReadRequest("items", schema, Cursor(VERSION, "id", 2)))]
    assert [i for page in pages for i in page.records["id"]] == [2, 3]
    with pytest.raises(Misconfigured, match="no field 'when'"):
        list(source.read(ReadRequest("items", schema, Cursor("when", "id"))))


def test_records_of_other_streams_and_bad_values(store: Store) -> None:
    """What was not asked for is passed over; a value of the wrong type puts its record aside."""
    store.rows[3] = '{"id": 3, "name": {"a": 1}}'
    store.rows[4] = '{"id": "four", "name": "n"}'
    store.save("items")
    source = tap(store, "other")
    (page,) = source.read(ReadRequest("items", ITEMS))
    assert page.records["id"].to_list() == [1, 2, 3, 5]
    assert [str(reject.place) for reject in page.rejects] == ["record 4"]
    assert source.lookup("items", ITEMS, "id", pl.Series("id", [2, 9]))["id"].to_list() == [2]


def test_a_setting_that_is_no_json_object_is_told(store: Store) -> None:
    """Each part of the configuration says what is wrong with it, and shows nothing."""
    for wrong in ({"config": "[1]"}, {"secret_config": "canary"}):
        with pytest.raises(ConnectorError, match="no JSON object") as caught:
            tap(store, **wrong).objects()
        assert "canary" not in str(caught.value)


def test_a_record_that_cannot_be_read_is_not_missing(store: Store) -> None:
    """A lookup of a record whose values do not fit says so."""
    store.rows[2] = '{"id": 2, "name": "x", "n": "many"}'
    store.save("items")
    schema = Schema((*ITEMS.fields, Field("n", FieldType.INTEGER)), ("id",))
    with pytest.raises(RecordRejected, match="many"):
        tap(store).lookup("items", schema, "id", pl.Series("id", [2]))


def test_what_is_secret_in_lists_is_not_told(store: Store) -> None:
    """Each text of the secret configuration is taken out of what a program says."""
    script = store.path.parent / "say.py"
    script.write_text("import json,sys; sys.exit(json.load(open(sys.argv[2]))['keys'][0]['key'] + ' is wrong')")
    install(store.path.parents[1], "tap-say", script)
    with pytest.raises(Unavailable, match="••• is wrong") as caught:
        tap(store, program="tap-say", secret_config='{"keys": [{"key": "canary-1"}], "n": 1}').objects()
    assert "canary" not in str(caught.value)


def test_a_stream_that_is_never_described_is_incomplete(store: Store) -> None:
    """A tap that says nothing about the stream has not read it."""
    store.rows = {}
    store.save("items")
    assert ids(tap(store)) == []
    with pytest.raises(Unavailable, match="never described"):
        ids(tap(store, "no schema"))


def test_a_deletion_without_a_good_key_is_told(store: Store) -> None:
    """A deleted record that cannot be named stops the run: it must not be lost."""
    store.log = ['{"id": "four", "_sdc_deleted_at": "2026-01-01T00:00:00Z"}']
    store.save("items")
    with pytest.raises(Fatal, match="four"):
        ids(tap(store), capture=Capture("c", "id", {"log": 0}))


def test_a_program_that_cannot_be_started_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the machine refuses a process, its folder is taken away."""
    monkeypatch.setattr(singer_process.tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(singer_process.subprocess, "Popen", refuse)
    with pytest.raises(Unavailable, match="no more processes"):
        tap(store).objects()
    assert list((tmp_path / "t").iterdir()) == []
