"""The connector `salesforce` against a server rebuilt from Salesforce's documentation: REST, Bulk API 2.0, CDC."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

from connectors.builtin import salesforce_changes, salesforce_read, salesforce_write
from connectors.builtin.salesforce import Salesforce
from connectors.builtin.salesforce_changes import channel_of
from connectors.builtin.salesforce_settings import question_of, quoted
from connectors.errors import Fatal, Misconfigured, Unavailable
from connectors.http_reply import TooLarge
from connectors.presets import filled, named
from connectors.spi import Capture, Context, Cursor, Fence, Page, ReadRequest
from connectors.testing import EXTREMES, TITLE, ConnectorConformance, Settings
from rules.schema import Change, FieldType, Op, Schema
from tests.presets import salesforce
from tests.presets.server import Asked, Refused, Reply, Row, Site
from tests.presets.server_salesforce import BASE
from tests.presets.test_presets import redirected

HERE = Context(timeout=5)
Org = salesforce.Salesforce


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the waits instead of doing them."""
    noted: list[float] = []
    monkeypatch.setattr(time, "sleep", noted.append)
    monkeypatch.setattr(salesforce_changes, "QUIET", 0.0)
    return noted


class SampleOrg(salesforce.Salesforce):
    """An organisation with one object that holds the samples; numbers are kept as they were written."""

    key = "id"

    def records(self) -> dict[str, dict[str, Row]]:
        return {"samples": {}}

    def said(self, value: Any) -> str:
        return f"'{value}'" if isinstance(value, str) else str(value)

    def create(self, asked: Asked, name: str) -> Reply:
        row = {**dict.fromkeys(self.fields), **self._values(name, asked)}
        if row["id"] in self.rows[name]:
            raise Refused(self._error(400, "DUPLICATE_VALUE", "duplicate value found"))
        if row[TITLE] is None:
            raise Refused(self._error(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [title]"))
        self.rows[name][row["id"]] = row
        return Reply({"id": row["id"], "success": True, "errors": []}, 201)

    def update(self, asked: Asked, name: str, key: str) -> Reply:
        row = self._values(name, asked)
        if row.get(TITLE, "-") is None:
            raise Refused(self._error(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [title]"))
        self._there(name, key).update(row)
        return Reply(None, 204)

    def _values(self, name: str, asked: Asked) -> Row:
        row: Row = json.loads(asked.body, parse_float=str)
        return {**row, **({"id": int(row["id"])} if row.get("id") is not None else {})}

    def _there(self, name: str, key: str) -> Row:
        rows: dict[Any, Row] = self.rows[name]  # type: ignore[assignment]
        if int(key) not in rows:
            raise Refused(self._error(404, "NOT_FOUND", "The requested resource does not exist"))
        return rows[int(key)]

    def remove(self, asked: Asked, name: str, key: str) -> Reply:
        self._there(name, key)
        del self.rows[name][int(key)]  # type: ignore[arg-type]
        return Reply(None, 204)

    create.routes = salesforce.Salesforce.create.routes  # type: ignore[attr-defined]
    update.routes = salesforce.Salesforce.update.routes  # type: ignore[attr-defined]
    remove.routes = salesforce.Salesforce.remove.routes  # type: ignore[attr-defined]
    fields: tuple[str, ...] = ()


class TestByRest(ConnectorConformance):
    connector = Salesforce
    object_name = "samples"
    bulk_from = 0
    rebuilt_system = "Salesforce 66.0"
    types = (
        FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.BOOLEAN, FieldType.DATE,
        FieldType.DATETIME,
    )  # fmt: skip

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, site: Site, sample: Schema) -> Settings:
        self.org = SampleOrg(site.url)
        self.org.fields = sample.names
        self.org.token = "good-token"
        site.vendor = self.org
        fields = [
            {"name": f.name, "type": f.type.value, "scale": f.scale, "required": not f.nullable} for f in sample.fields
        ]
        described = {
            "name": "samples", "path": "/query", "records": "records", "key": "id", "fields": fields,
            "query": {"q": f"SELECT {','.join(sample.names)} FROM samples ORDER BY id"},
            "paging": {"by": "link", "next": "nextRecordsUrl"},
            "create": {"path": "/sobjects/samples", "key": "id"},
            "update": {"method": "PATCH", "path": "/sobjects/samples/{key}"},
            "delete": {"method": "DELETE", "path": "/sobjects/samples/{key}"},
        }  # fmt: skip
        return {
            "base_url": site.url + BASE, "authentication": "bearer", "token": "good-token", "objects": [described],
            "bulk_from": self.bulk_from,
        }  # fmt: skip

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """Salesforce knows no empty text."""
        return {**EXTREMES, FieldType.TEXT: EXTREMES[FieldType.TEXT][1:]}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        self.org.rows["samples"] = {r["id"]: _row(r) for r in records.iter_rows(named=True)}  # type: ignore[misc]

    def change(self, settings: Settings, records: pl.DataFrame, removed: pl.Series) -> None:
        rows: dict[Any, Row] = self.org.rows["samples"]  # type: ignore[assignment]
        for row in records.iter_rows(named=True):
            rows[row["id"]] = _row(row)
            self.org.tell("samples", "UPDATE", str(row["id"]))
        for key in removed:
            del rows[key]
        self.org.tell("samples", "DELETE", *map(str, removed))

    def rename(self, settings: Settings, old: Any, new: Any) -> None:
        rows: dict[Any, Row] = self.org.rows["samples"]  # type: ignore[assignment]
        rows[new] = {**rows.pop(old), "id": new}
        self.org.tell("samples", "DELETE", str(old))
        self.org.tell("samples", "CREATE", str(new))

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "base_url": "http://no-such-host.invalid/services/data/v66.0"},
            {**settings, "base_url": "https://acme.my.salesforce.com"},
            {**settings, "token": "two\nlines"},
            {**settings, "external_ids": "[]"},
            {**settings, "objects": "[{]"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


class TestByJobs(TestByRest):
    bulk_from = 1

    @pytest.fixture(autouse=True)
    def _small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(salesforce_read, "PART", 4)
        monkeypatch.setattr(salesforce_write, "LARGEST", 600)


def _row(record: Row) -> Row:
    def plain(value: Any) -> Any:
        if isinstance(value, dt.datetime):
            return value.isoformat().replace("+00:00", "Z")
        return str(value) if isinstance(value, (Decimal, dt.date)) else value

    return {name: plain(value) for name, value in record.items()}


def opened(site: Site, org: Org | None = None, **more: Any) -> tuple[Org, Salesforce]:
    """Return an organisation and a connection to it, as the preset makes it."""
    made = org or salesforce.Salesforce(site.url)
    site.vendor = made
    settings = redirected(filled(named("salesforce"), made.answers), site.url)
    defaults = {setting.name: setting.default for setting in Salesforce.spec.settings}
    return made, Salesforce({**defaults, **settings, "bulk_from": 2, **more}, HERE)


def accounts(connector: Salesforce, *rows: Row, op: Op = Op.CREATE, fence: Fence | None = None) -> Any:
    schema = connector.schema("Account")
    return connector.write("Account", schema, [change_of(schema, rows, op)], fence)


def change_of(schema: Schema, rows: Sequence[Row], op: Op = Op.CREATE) -> Change:
    names = {name: None for row in rows for name in row}
    frame = pl.DataFrame({n: pl.Series([r.get(n) for r in rows], dtype=schema[n].dtype, strict=False) for n in names})
    return Change(op, "Id", frame)


def test_each_record_of_a_job_has_its_own_outcome(site: Site) -> None:
    """Results come back in another order: keys and refusals go to their records, also where two are alike."""
    org, connector = opened(site)
    with connector:
        result = accounts(connector, {"Name": "A"}, {"Phone": "1"}, {"Name": "A"}, {"Name": 'B, "x"\nü'})
    ((job),) = org.jobs.values()
    assert job["operation"] == "insert"
    (refused,) = result.failures
    assert (refused.row, "REQUIRED_FIELD_MISSING" in str(refused.message)) == (1, True)
    keys = result.keys[0].to_list()
    assert [org.rows["Account"][k]["Name"] if k else None for k in keys] == ["A", None, "A", 'B, "x"\nü']
    assert keys[0] != keys[2]


def test_an_external_id_finds_what_is_there(site: Site) -> None:
    """Written twice, as after a lost answer, the records are there once and have the same keys."""
    org, connector = opened(site, external_ids={"Account": "AccountNumber"})
    rows = [{"Name": f"N{n}", "AccountNumber": f"E{n}"} for n in range(3)]
    with connector:
        before = len(org.rows["Account"])
        first, second = (accounts(connector, *rows).keys[0].to_list() for _ in range(2))
    assert first == second
    assert len(org.rows["Account"]) == before + 3


def test_emptying_fields_and_texts_that_a_job_cannot_hold(site: Site) -> None:
    """A job empties a field by a mark; a text that is that mark goes by REST, so nothing is lost."""
    org, connector = opened(site)
    first, second = list(org.rows["Account"])[:2]
    with connector:
        assert not accounts(
            connector, {"Id": first, "Phone": None}, {"Id": second, "Phone": "2"}, op=Op.UPDATE
        ).failures
        assert len(org.jobs) == 1
        assert [org.rows["Account"][k]["Phone"] for k in (first, second)] == [None, "2"]
        assert not accounts(
            connector, {"Id": first, "Phone": "#N/A"}, {"Id": second, "Phone": ""}, op=Op.UPDATE
        ).failures
        assert (len(org.jobs), org.rows["Account"][first]["Phone"]) == (1, "#N/A")
        result = accounts(connector, {"Id": first}, {"Id": "001000000000nope"}, op=Op.DELETE)
        assert [f.row for f in result.failures] == [1]


def test_jobs_that_fail(site: Site) -> None:
    """What was written before is known, the rest is refused with the reason; a job without any outcome is an error."""
    org, connector = opened(site, type("Broken", (salesforce.Salesforce,), {"fails": "InvalidBatch : no"})(site.url))
    with connector:
        result = accounts(connector, {"Name": "A"}, {"Name": "B"}, {"Name": "C"})
        assert [f.row for f in result.failures] == [1, 2]
        assert "InvalidBatch : no" in str(result.failures[0].message)
        assert result.keys[0][0] in org.rows["Account"]
        org._work = lambda job: job.update(state="Failed", errorMessage="x", results=_NOTHING)  # type: ignore[method-assign]
        with pytest.raises(Fatal, match="Failed"):
            accounts(connector, {"Name": "A"}, {"Name": "B"})
        org._work = lambda job: job.update(results=_NOTHING)  # type: ignore[method-assign]
        assert "does not say" in str(accounts(connector, {"Name": "A"}, {"Name": "B"}).failures[0].message)


_NOTHING: Mapping[str, list[Row]] = {"successfulResults": [], "failedResults": [], "unprocessedrecords": []}


def test_jobs_that_do_not_end(site: Site, waits: list[float]) -> None:
    """After the minutes of the settings they are told of, and may be looked for later."""
    org, connector = opened(site, type("Slow", (salesforce.Salesforce,), {"polls": 10**9})(site.url), bulk_minutes=1)
    first, second = list(org.rows["Account"])[:2]
    with connector:
        with pytest.raises(Unavailable, match="1 minutes"):
            accounts(connector, {"Id": first, "Phone": "1"}, {"Id": second, "Phone": "2"}, op=Op.UPDATE)
        assert 60 <= sum(waits) < 80
        with pytest.raises(Fatal, match=r"1 minutes .* before the rule runs again"):
            accounts(connector, {"Name": "A"}, {"Name": "B"})
    failed = org._made({"query": "x", "rows": [], "fields": [], "state": "Failed", "errorMessage": "too long"})
    position = {"job": failed.body["id"], "locator": "", "skip": 0, "first": 1, "done": False}
    _, connector = opened(site, org)
    with connector, pytest.raises(Fatal, match="too long"):
        list(connector.read(ReadRequest("Account", connector.schema("Account"), after=position)))


@pytest.mark.parametrize(
    ("method", "path", "times", "arrived", "jobs"),
    [
        ("PATCH", "", 1, 0, 1), ("PATCH", "", 1, 1, 1), ("PATCH", "", 2, 1, 1), ("PATCH", "", 2, 0, 2),
        ("PUT", "/batches", 4, 0, 2), ("PUT", "/batches", 9, 0, 2),
    ],
)  # fmt: skip
def test_answers_that_get_lost_write_nothing_twice(
    site: Site, method: str, path: str, times: int, arrived: int, jobs: int
) -> None:
    """A job that has certainly not begun is given up for another; one that has is waited for."""
    org, connector = opened(site)
    answer, left = org.answer, [times]

    def shaky(asked: Asked) -> Reply:
        if asked.method == method and asked.path.endswith(path) and "/jobs/ingest/" in asked.path and left[0]:
            left[0] -= 1
            if left[0] < arrived:
                answer(asked)
            return Reply("upstream error", 503, kind="text/plain")
        return answer(asked)

    org.answer = shaky  # type: ignore[method-assign]
    before = len(org.rows["Account"])
    with connector:
        if times > 8:
            with pytest.raises(Unavailable):
                accounts(connector, {"Name": "A"}, {"Name": "B"})
            assert {job["state"] for job in org.jobs.values()} == {"Aborted"}
            return
        assert not accounts(connector, {"Name": "A"}, {"Name": "B"}).failures
    assert len(org.rows["Account"]) == before + 2
    assert len(org.jobs) == jobs


@pytest.mark.parametrize(
    ("method", "end", "jobs"),
    [("GET", "", 1), ("GET", "/successfulResults/", 1), ("PATCH", "", 1), ("PUT", "/batches", 2)],
)
def test_a_chunk_that_is_written_again_waits_for_its_job(site: Site, method: str, end: str, jobs: int) -> None:
    """No record is there twice when the service was away after a job had begun, and each has the key that it got."""
    org, connector = opened(site)
    answer, away, fence, rows = org.answer, [9], Fence("rule", 1, 7, 3), ({"Name": "A"}, {"Name": "B"})

    def shaky(asked: Asked) -> Reply:
        if "/jobs/ingest/" not in asked.path or not away[0]:
            return answer(asked)
        if away[0] == 9 and not (asked.method == method and asked.path.endswith(end)):
            return answer(asked)
        if away[0] == 9 and method == "PATCH":
            answer(asked)
        away[0] -= 1
        return Reply("upstream error", 503, kind="text/plain")

    org.answer = shaky  # type: ignore[method-assign]
    before = len(org.rows["Account"])
    with connector:
        with pytest.raises(Unavailable):
            accounts(connector, *rows, fence=fence)
        away[0] = 0
        assert connector.applied(fence) is None
        result = accounts(connector, *rows, fence=fence)
        assert [org.rows["Account"][key]["Name"] for key in result.keys[0]] == ["A", "B"]
        assert (len(org.rows["Account"]), len(org.jobs)) == (before + 2, jobs)
        assert not accounts(connector, *rows, fence=replace(fence, chunk=4)).failures
        assert len(org.rows["Account"]) == before + 4


def test_a_chunk_that_goes_both_ways_is_written_once(site: Site) -> None:
    """Single records before and behind a job are known when the chunk is written again, also if less is left of it."""
    org, connector = opened(site)
    schema, fence = connector.schema("Account"), Fence("rule", 1, 7, 3)
    ids = list(org.rows["Account"])[:2]
    parts: list[tuple[Op, list[Row]]] = [
        (Op.CREATE, [{"Name": "same"}]), (Op.CREATE, [{"Name": "A"}, {"Name": "B"}]), (Op.CREATE, [{"Name": "same"}]),
        (Op.UPDATE, [{"Id": key, "Phone": "9"} for key in ids]), (Op.CREATE, [{"Name": "last"}]),
    ]  # fmt: skip
    answer, away = org.answer, [True]

    def shaky(asked: Asked) -> Reply:
        if away[0] and asked.method == "POST" and b"last" in asked.body:
            return Reply("upstream error", 503, kind="text/plain")
        return answer(asked)

    org.answer = shaky  # type: ignore[method-assign]
    before = len(org.rows["Account"])
    with connector:
        with pytest.raises(Unavailable):
            connector.write("Account", schema, [change_of(schema, rows, op) for op, rows in parts], fence)
        away[0] = False
        parts[3] = (Op.UPDATE, parts[3][1][:1])
        result = connector.write("Account", schema, [change_of(schema, rows, op) for op, rows in parts], fence)
    names = [[org.rows["Account"][k]["Name"] for k in made] for made in result.keys if made is not None]
    assert names == [["same"], ["A", "B"], ["same"], ["last"]]
    assert len({key for made in result.keys if made is not None for key in made}) == 5
    assert len(org.rows["Account"]) == before + 5
    assert len([job for job in org.jobs.values() if job["operation"] == "insert"]) == 1


def test_a_refused_upload_is_an_error(site: Site) -> None:
    """The job is given up, and the reason told."""
    org, connector = opened(site)
    answer = org.answer
    refusal = org._error(400, "BadRequest", "too large")
    org.answer = lambda asked: refusal if asked.method == "PUT" else answer(asked)  # type: ignore[method-assign]
    with connector, pytest.raises(Fatal, match="too large"):
        accounts(connector, {"Name": "A"}, {"Name": "B"})
    assert [job["state"] for job in org.jobs.values()] == ["Aborted"]


def everything(connector: Salesforce, name: str = "Account", **more: Any) -> list[Page]:
    return list(connector.read(ReadRequest(name, connector.schema(name), **more)))


def test_large_objects_are_read_by_jobs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes, too; numbers are exact, and an object whose query is special, or that is small, is read by REST."""
    monkeypatch.setattr(salesforce_read, "PART", 100)
    org, connector = opened(site)
    rows = list(org.rows["Account"].values())
    rows[0] |= {"AnnualRevenue": "1.25E7", "NumberOfEmployees": "7.0"}
    rows[1] |= {"AnnualRevenue": "odd"}
    with connector:
        pages = everything(connector, page_size=60)
        assert [page.records.height for page in pages] == [59, 40, 60, 40, 30]
        assert len(org.jobs) == 1
        one = pages[0].records.row(0, named=True)
        assert (one["AnnualRevenue"], one["NumberOfEmployees"]) == (Decimal("12500000"), 7)
        assert pages[0].rejects[0].place == "record 2"
        (end,) = everything(connector, after=pages[-1].position)
        assert end.records.is_empty()
        since = org.since["Account"]
        changed = everything(connector, cursor=Cursor("SystemModstamp", "Id", since))
        assert sum(page.records.height for page in changed) == 31
        org.rows["Lead"].clear()
        everything(connector, "Lead")
        assert len(org.jobs) == 2
        org.part = 10**9
        org._made({"query": "x", "rows": [], "fields": connector.schema("Account").names, "state": "JobComplete"})
        position = {"job": list(org.jobs)[-1], "locator": "", "skip": 0, "first": 1, "done": False}
        (none,) = everything(connector, after=position)
        assert none.records.is_empty()
    org, connector = opened(site, bulk_from=1000)
    with connector:
        assert sum(page.records.height for page in everything(connector)) == 230
        assert not org.jobs


def test_parts_of_large_records_are_smaller(site: Site) -> None:
    """A part that is too large is asked for by halves from the same place, also behind a place in a larger one."""
    org, connector = opened(site)
    with connector:
        limits = connector.calls._flights._limits
        connector.calls._flights._limits = replace(limits, size=9_000)
        pages = everything(connector, page_size=1000)
        assert 2 < len(pages) < 20
        assert [key for page in pages for key in page.records["Id"]] == sorted(org.rows["Account"])
        position = {**pages[-1].position, "locator": "", "skip": 100, "first": 101, "done": False}
        rest = everything(connector, page_size=1000, after=position)
        assert [key for page in rest for key in page.records["Id"]] == sorted(org.rows["Account"])[100:]
        org.rows["Account"]["001000000000003AAA"]["BillingStreet"] = "x" * 9_000
        with pytest.raises(TooLarge):
            everything(connector)


def test_queries_are_understood_or_left_alone() -> None:
    """Only a plain query is asked in another way; texts in it cannot end it."""
    assert question_of("SELECT Id FROM X WHERE A = 'b' ORDER BY Id, Name") is not None
    for special in (
        "GROUP BY Id", "LIMIT 5", "WHERE A = 1 LIMIT 5", "WHERE A = 1 GROUP BY Id HAVING COUNT(Id) > 1",
        "WHERE A = 1 ORDER BY Id LIMIT 5", "ORDER BY Id OFFSET 3", "WHERE A = 1 order by Id", "WHERE A = 1 FOR VIEW",
        "WHERE A = 1 ALL ROWS", "WHERE A = 1 with SECURITY_ENFORCED",
    ):  # fmt: skip
        assert question_of(f"SELECT Id FROM X {special}") is None, special
    assert question_of("SELECT Id, (SELECT Id FROM Y WHERE A = 1) FROM X") is None
    text = question_of("SELECT Id FROM X WHERE A = 'no \\' LIMIT 5' OR Limit__c = 1 ORDER BY Id")
    assert text is not None
    assert text.only("B IN ('c')").where == " WHERE (A = 'no \\' LIMIT 5' OR Limit__c = 1) AND B IN ('c')"
    assert question_of("") is None
    assert quoted("a'b\\") == "'a\\'b\\\\'"


def test_texts_are_looked_up_exactly(site: Site) -> None:
    """Salesforce finds texts of any case; only those that were asked for are told, by queries of a bearable length."""
    org = type("NoCase", (salesforce.Salesforce,), {"said": lambda _self, value: _Folded(f"'{value}'")})(site.url)
    org, connector = opened(site, org)
    first, second = list(org.rows["Account"].values())[:2]
    first["Name"], second["Name"] = "ACME", "Acme"
    queries, answer = list[str](), org.answer

    def noting(asked: Asked) -> Reply:
        queries.append(quote(asked.query.get("q", ""), safe=""))
        return answer(asked)

    org.answer = noting  # type: ignore[method-assign]
    names = ["Acme", *("客" * 80 + f"{n}" for n in range(100))]
    with connector:
        found = connector.lookup("Account", connector.schema("Account"), "Name", pl.Series(names))
    assert found["Id"].to_list() == [second["Id"]]
    assert max(map(len, queries)) <= 8_100
    assert len([soql for soql in queries if soql]) > 9


class _Folded(str):
    """A text that is equal to those that differ by their case."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


def test_objects_of_other_paths_are_those_of_rest(site: Site) -> None:
    """An object that is no query is read and looked up as the connector for REST does."""
    other = {
        "name": "limits",
        "path": "/sobjects/User/005000000000001AAA?fields=Id",
        "key": "Id",
        "fields": [{"name": "Id"}],
    }
    org, connector = opened(site, objects=[other])
    log = connector.change_log("limits", Capture("me", "Id"))
    assert log.channel == "/data/limitsChangeEvent"
    with connector, pytest.raises(Misconfigured):
        connector.lookup("limits", connector.schema("limits"), "Id", pl.Series(["x"]))
    assert not org.jobs


def captured(connector: Salesforce, mark: Any = None) -> list[Page]:
    return everything(connector, capture=Capture("me", "Id", mark))


def test_events_name_what_was_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Undeleted records are there, gaps name records as well, and older events than the first read are passed over."""
    monkeypatch.setattr(salesforce_changes, "GROUP", 2)
    org, connector = opened(site, bulk_from=0)
    ids = list(org.rows["Account"])
    org.tell("Account", "UPDATE", ids[9], at=time.time() - 3600)
    with connector:
        mark = captured(connector)[-1].captured
        assert connector.change_log("Account", Capture("me", "Id")).state(dict(mark or {})).lost is None
        (nothing,) = captured(connector, mark)
        assert (nothing.records.height, nothing.deleted, nothing.captured["replay"]) == (0, None, -2)  # type: ignore[index]
        org.tell("Account", "UNDELETE", ids[0])
        org.tell("Account", "GAP_UPDATE", *ids[1:4])
        del org.rows["Account"][ids[4]]
        org.tell("Account", "GAP_DELETE", ids[4])
        org.tell("Account", "UPDATE", ids[5], at=time.time() + 60)
        org.tell("Account", "UPDATE", ids[6], at=time.time() + 60)
        pages = captured(connector, mark)
        assert [k for p in pages for k in p.records["Id"]] == [*ids[:4], ids[5], ids[6]]
        assert [k for p in pages if p.deleted is not None for k in p.deleted["Id"]] == [ids[4]]


@pytest.mark.parametrize(("change", "ids"), [("GAP_OVERFLOW", "000000000000000AAA"), ("UPDATE", "001*")])
def test_events_that_name_nothing_lead_to_a_full_comparison(site: Site, change: str, ids: str) -> None:
    """Where Salesforce had too many changes for its events, the next run compares all records."""
    org, connector = opened(site)
    log = connector.change_log("Account", Capture("me", "Id"))
    mark = log.start()
    org.tell("Account", change, ids)
    with connector:
        (page,) = captured(connector, mark)
        assert "more changes at once" in str(log.state(dict(page.captured or {})).lost)
        assert log.pending(dict(page.captured or {}))


def test_places_that_salesforce_does_not_know(site: Site) -> None:
    """An old moment, and a replay id that has expired, have lost changes."""
    org, connector = opened(site)
    log = connector.change_log("Account", Capture("me", "Id"))
    old = {**log.start(), "from": time.time() - 71 * 3600}
    assert "72 hours" in str(log.state(old).lost)
    org.tell("Account", "UPDATE", "x")
    org.forget("Account")
    expired = {"replay": 0, "time": time.time()}
    assert "replayId {0}" in str(log.state(expired).lost)
    assert log.pending(expired)
    with pytest.raises(Misconfigured, match="replayId"):
        list(log.tellings(expired))
    assert log.drop() is None


def test_what_keeps_events_away(site: Site) -> None:
    """An object that is not selected, and another key than the id, are told before a rule is published."""
    _, connector = opened(site, type("Closed", (salesforce.Salesforce,), {"unselected": {"Account"}})(site.url))
    log = connector.change_log("Account", Capture("me", "Id"))
    assert "Setup, Change Data Capture" in str(log.missing()[0])
    with pytest.raises(Misconfigured):
        log.keep()
    with pytest.raises(Misconfigured, match="Unknown channel"):
        next(connector.changed(["Account"], 1.0))
    assert "by 'Id'" in str(connector.change_log("Account", Capture("me", "Name")).missing()[0])
    assert channel_of("Deal__c") == "/data/Deal__ChangeEvent"


def test_listening_to_events(site: Site) -> None:
    """The objects with new events are named; a conversation that Salesforce ends is begun anew by who listens."""
    org, connector = opened(site)
    org.tell("Account", "UPDATE", "before")
    heard = connector.changed(["Account", "Lead"], 1.0)
    assert next(heard) == frozenset()
    org.tell("Lead", "CREATE", "x")
    assert next(names for names in heard if names) == {"Lead"}
    org.clients.clear()
    with pytest.raises(Unavailable, match="Unknown client"):
        next(heard)


@pytest.mark.parametrize(
    "answer", [[], [{"channel": "/meta/handshake", "successful": False, "error": "401::Authentication invalid"}]]
)
def test_conversations_that_cannot_begin(site: Site, answer: Any) -> None:
    """An empty answer and an expired session are tried again later; the session is renewed meanwhile."""
    org, connector = opened(site)
    plain = org.answer
    org.answer = lambda asked: Reply(answer) if "cometd" in asked.path else plain(asked)  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        connector.change_log("Account", Capture("me", "Id")).missing()
    org.answer = plain  # type: ignore[method-assign]
    assert connector.change_log("Account", Capture("me", "Id")).missing() == []


def test_files_of_jobs_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row stands in one file; a file is not much larger than allowed, and none is empty."""
    monkeypatch.setattr(salesforce_write, "LARGEST", 20)
    rows = [("x" * size,) for size in (1, 15, 1, 1, 30, 1, 30)]
    found = list(salesforce_write.contents(["a"], rows))
    assert [(start, count) for start, _, count in found] == [(0, 3), (3, 2), (5, 2)]
    assert b"".join(content for _, content, _ in found).count(b"\n") == len(rows) + len(found)
    assert list(salesforce_write.contents(["a"], [])) == []


def test_fields_that_no_job_can_hold(site: Site) -> None:
    """Records with JSON in them are read and written by REST."""
    fields = [{"name": "Id", "generated": True}, {"name": "Name", "required": True}, {"name": "Type", "type": "json"}]
    settings = filled(named("salesforce"), salesforce.Salesforce.answers)["objects"][0]
    org, connector = opened(site, objects=[{**redirected(settings, site.url), "fields": fields}])
    with connector:
        assert sum(page.records.height for page in everything(connector)) == 230
        assert not accounts(connector, {"Name": "A", "Type": "[1]"}, {"Name": "B", "Type": "[]"}).failures
        none = salesforce_read.texts_of(b"\n", connector.options.objects["Account"], connector.schema("Account"))
        assert none.is_empty()
    assert not org.jobs
