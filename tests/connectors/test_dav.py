"""The connector `dav` against Radicale."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import polars as pl
import pytest

from connectors.builtin import dav_read
from connectors.builtin.dav import Dav
from connectors.builtin.dav_read import looked_up
from connectors.builtin.dav_text import escaped, folded
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Fatal,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RecordRejected,
    Unavailable,
)
from connectors.spi import Capture, Context, ReadRequest, WriteResult
from connectors.testing import KEY, TITLE, ConnectorConformance, Settings
from connectors.value_text import PLAIN
from rules.schema import Change, Field, Op, Schema
from tests import dav_servers
from tests.connectors.memory import MOST, grown_alone
from tests.connectors.scripted_dav import Answer, Said, collection, one, scripted, several
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

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, server: dav_servers.Dav, sample: Schema) -> Settings:
        self.server = server
        server.calendar("sample", "VTODO")
        fields = [
            {"name": f.name, "type": f.type.value, "scale": f.scale, "required": not f.nullable,
             **({"field": "name"} if f.name == KEY else {"property": _property(f.name)})}
            for f in sample.fields
        ]  # fmt: skip
        return settings_of(server, objects=[{"name": "sample", "kind": "tasks", "key": KEY, "fields": fields}],
                           page_size=5)  # fmt: skip

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        entries = [event(record, "VTODO") for record in records.iter_rows(named=True)]
        self.server.fill(
            "sample", [f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{''.join(entries)}END:VCALENDAR\r\n"]
        )

    def change(self, settings: Settings, records: pl.DataFrame, removed: pl.Series) -> None:
        for record in records.iter_rows(named=True):
            text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{event(record, 'VTODO')}END:VCALENDAR\r\n"
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
            {**settings, "objects": [{"name": "sample", "kind": "contacts"}]},
            {**settings, "objects": [{"name": "sample", "key": "nothing"}]},
            {**settings, "objects": [{"name": "sample", "properties": ["X Y"]}]},
            {**settings, "objects": [{"name": "sample", "fields": [{"name": "nothing"}]}]},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


def _property(name: str) -> str:
    return f"X-{name.upper().replace('_', '-')}"


def event(record: Mapping[str, Any], kind: str = "VEVENT") -> str:
    lines = [f"BEGIN:{kind}\r\nUID:{record[KEY]}\r\nDTSTAMP:20240101T000000Z\r\nDTSTART:20240101T000000Z\r\n"]
    lines += [folded(f"{_property(n)}:{escaped(PLAIN.text(v) or '')}") for n, v in record.items()
              if n != KEY and v is not None]  # fmt: skip
    return "".join([*lines, f"END:{kind}\r\n"])


def opened(server: dav_servers.Dav | str, **more: Any) -> Dav:
    defaults = {setting.name: setting.default for setting in Dav.spec.settings}
    own = {"base_url": server} if isinstance(server, str) else settings_of(server)
    return Dav({**defaults, **own, **more}, HERE)


def change(dav: Dav, name: str, op: Op, key: str, *rows: dict[str, Any]) -> WriteResult:
    schema = dav.schema(name)
    frame = pl.DataFrame(list(rows), schema=schema.select(tuple(rows[0])).dtypes())
    return dav.write(name, schema, [Change(op, key, frame)])


def told(result: WriteResult) -> list[str]:
    return [f"{failure.row}: {failure.message}" for failure in result.failures]


def records(dav: Dav, name: str) -> list[dict[str, Any]]:
    return [row for page in dav.read(ReadRequest(name, dav.schema(name))) for row in page.records.to_dicts()]


def test_appointments_tasks_and_contacts(server: dav_servers.Dav) -> None:
    """All kinds are found from the server's address on; entries are created, changed and deleted by UID."""
    server.calendar("work", "VEVENT", "VTODO")
    server.address_book("people")
    start = dt.datetime(2024, 7, 1, 7, tzinfo=dt.UTC)
    with opened(server) as dav:
        found = {info.name: (info.kind, info.label) for info in dav.objects()}
        assert found["work"] == ("events", "work 日历")
        assert found["work/tasks"][0] == "tasks"
        assert found["people"] == ("contacts", "people 日历")
        assert all(step.ok for step in dav.check())
        row = {"uid": "m 1", "summary": "会议", "start": start, "time_zone": "Europe/Berlin", "attendees": None}
        assert told(change(dav, "work", Op.CREATE, "uid", row)) == []
        again = told(change(dav, "work", Op.CREATE, "uid", row))
        assert again == ["0: The server has an entry with this key already."]
        made = change(dav, "work/tasks", Op.CREATE, "uid", {"summary": "task"}).keys[0]
        assert made is not None
        assert [r["uid"] for r in records(dav, "work/tasks")] == made.to_list()
        assert [(r["summary"], r["start"], r["time_zone"]) for r in records(dav, "work")] == [
            ("会议", start, "Europe/Berlin")
        ]  # fmt: skip
        person = {"uid": "p1", "full_name": "Ada", "email": "a@b.c", "birthday": dt.date(1815, 12, 10)}
        assert told(change(dav, "people", Op.CREATE, "uid", person)) == []
        assert [r["email"] for r in records(dav, "people")] == ["a@b.c"]
        unnamed: list[dict[str, Any]] = [
            {"uid": "n1", "given_name": "Ada", "family_name": "L"},
            {"uid": "n2", "given_name": None, "family_name": None},
        ]
        assert told(change(dav, "people", Op.CREATE, "uid", *unnamed)) == []
        assert told(change(dav, "people", Op.CREATE, "uid", {"uid": "n3", "organization": "Works, Inc"})) == []
        named = {r["uid"]: r["full_name"] for r in records(dav, "people")}
        assert named == {"p1": "Ada", "n1": "Ada L", "n2": "n2", "n3": "Works, Inc"}
        for uid in ("n1", "n2", "n3"):
            assert told(change(dav, "people", Op.DELETE, "uid", {"uid": uid})) == []
        schema = dav.schema("people")
        assert dav.lookup("people", schema, "uid", pl.Series(["p1", "p2", ""]))["full_name"].to_list() == ["Ada"]
        assert dav.lookup("people", schema, "email", pl.Series(["a@b.c"]))["uid"].to_list() == ["p1"]
        updates: list[dict[str, Any]] = [
            {"email": "a@b.c", "note": "by another field"}, {"email": None, "note": "x"}, {"email": "z", "note": "x"}
        ]  # fmt: skip
        assert told(change(dav, "people", Op.UPDATE, "email", *updates)) == [
            "1: Field 'email' is empty, so it is not known which record is meant.",
            "2: The server has no such entry any more.",
        ]
        twice = told(change(dav, "people", Op.CREATE, "email", {"email": "a@b.c", "full_name": "A"}))
        assert twice == ["0: The server has an entry with this key already."]
        same = {"uid": "p1", "note": "by another field"}
        before = server.text("people/p1.vcf")
        assert told(change(dav, "people", Op.UPDATE, "uid", same, {"uid": "p1", "note": "by another field"})) == []
        assert server.text("people/p1.vcf") == before
        assert "name of an entry" in told(change(dav, "people", Op.UPDATE, "uid", {"uid": "p1", "name": "p2"}))[0]
        assert "slash" in told(change(dav, "people", Op.CREATE, "name", {"name": "a/b", "full_name": "A"}))[0]
        assert told(change(dav, "people", Op.DELETE, "uid", {"uid": "p1"})) == []
        assert records(dav, "people") == []


def test_what_others_know_of_an_entry_stays(server: dav_servers.Dav) -> None:
    """An entry of another program keeps its alarms and properties when a field is written."""
    server.calendar("work")
    alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\n"
    text = event({KEY: "a"}).replace("END:VEVENT", f"X-OTHER;P=1:keep\r\n{alarm}END:VEVENT")
    server.put("work/a.ics", f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{text}END:VCALENDAR\r\n")
    with opened(server, objects=["work"]) as dav:
        assert told(change(dav, "work", Op.UPDATE, "name", {"name": "a", "summary": "new", "start_date": None})) == []
    written = server.text("work/a.ics")
    assert all(part in written for part in ("X-OTHER;P=1:keep", "TRIGGER:-PT15M", "SUMMARY:new"))


def test_changes_of_others_are_heard(server: dav_servers.Dav) -> None:
    """An object is named soon after it was changed; a place that the server has forgotten is told."""
    server.calendar("work")
    with opened(server) as dav:
        heard = dav.changed(["work"], 0.01)
        assert [next(heard), next(heard)] == [frozenset(), frozenset()]
        log = dav.change_log("work", Capture("x", "name"))
        since = {"token": dav.service.refreshed(dav.service.subject("work")).token}
        assert (log.missing(), log.keep(), log.drop(), log.pending(since)) == ([], None, None, False)
        server.put("work/a.ics", f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{event({KEY: 'a'})}END:VCALENDAR\r\n")
        assert next(heard) == {"work"}
        assert log.pending(since)
        heard.close()
        lost = {"token": "http://radicale.org/ns/sync/" + "0" * 64}
        assert "forgotten" in str(log.state(lost).lost)
        request = ReadRequest("work", dav.schema("work"), capture=Capture("x", "name", lost))
        with pytest.raises(Fatal, match="forgotten"):
            list(dav.read(request))
        (missing,) = dav.change_log("work", Capture("x", "uid")).missing()
        assert "'name' only" in str(missing)
        with pytest.raises(Misconfigured, match="'name' only"):
            list(dav.read(ReadRequest("work", dav.schema("work"), capture=Capture("x", "uid"))))
        with pytest.raises(ObjectMissing, match="no field"):
            list(dav.read(ReadRequest("work", Schema((Field("nothing"),)))))


ITEM = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nSUMMARY:{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
LISTED = several(one("/c/a.ics", "<getetag>1</getetag>"), one("/c/inner/"), one("/c/"))


def item(summary: str, tag: str = '"1"', path: str = "/c/a.ics") -> tuple[int, str]:
    return several(one(path, f"<getetag>{tag}</getetag><C:calendar-data>{ITEM.format(summary)}</C:calendar-data>"))


CALENDAR: dict[str, Answer] = {
    "PROPFIND /c": several(collection("/c/", token="t1")),
    "PROPFIND /c/": several(collection("/c/", token="t1")),
    "REPORT /c/#calendar-query": LISTED,
    "REPORT /c/#calendar-multiget": item("old"),
}


def test_discovery_goes_by_the_well_known_places() -> None:
    """Redirects, the principal and its home sets are followed; none of them may lead to another host."""
    home = "<C:calendar-home-set><href>/home/</href></C:calendar-home-set>"
    answers: dict[str, Answer] = {
        "PROPFIND /": (405, ""),
        "PROPFIND /.well-known/caldav": (301, "", {"Location": "/dav"}),
        "PROPFIND /dav": several(
            one("/dav", "<current-user-principal><href>/me/</href></current-user-principal>")
        ),
        "PROPFIND /me/": several(one("/me/", home)),
        "PROPFIND /home/": several(
            one("/home/"), collection("/home/a%20b/"), collection("/home/book/", "A:addressbook"),
            collection("/other/book/"),
        ),
    }  # fmt: skip
    with scripted(answers) as (url, asked):
        with opened(url) as dav:
            assert [info.name for info in dav.objects()] == [
                "a b", "a b/tasks", "book", "book/tasks", "other/book",
            ]  # fmt: skip
        assert "PROPFIND /.well-known/carddav" in asked
        with opened(url, objects=[{"name": "x", "collection": f"{url}/home/a%20b/", "kind": "tasks"}]) as dav:
            assert [info.kind for info in dav.objects()] == ["tasks"]
    elsewhere: dict[str, Answer] = {
        "PROPFIND /": (301, "", {"Location": "https://elsewhere.example.com/"}),
        "PROPFIND /round": (302, "", {"Location": "/round"}),
        "PROPFIND /page": (200, "<html/>", {"Content-Type": "text/html"}),
        "PROPFIND /xml": (207, "<multistatus"),
        "PROPFIND /html": (207, "<p>", {"Content-Type": "text/html"}),
        "PROPFIND /other": (207, "<a/>"),
        "PROPFIND /bad": (422, "no"),
        "PROPFIND /bomb": (
            207,
            f'<!DOCTYPE m [<!ENTITY a "{"x" * 1000}">]><multistatus xmlns="DAV:">&a;</multistatus>',
        ),
    }
    cases = (
        ("", Forbidden, "another host"), ("/round", Misconfigured, "again and again"),
        ("/page", Misconfigured, "no calendar or address book server"), ("/xml", Unavailable, "breaks off"),
        ("/html", Misconfigured, "no calendar"), ("/other", Unavailable, "broken"), ("/bad", Fatal, "refuses"),
        ("/nothing", Misconfigured, "leads to no calendar"), ("/bomb", ConnectorError, "calendar|XML"),
    )  # fmt: skip
    with scripted(elsewhere) as (url, _):
        for path, kind, match in cases:
            with opened(url + path) as dav, pytest.raises(kind, match=match):
                dav.objects()
        with opened(url, hosts="Elsewhere.example.com") as dav:
            assert dav.service.place(httpx.URL(url), "https://elsewhere.example.com/x").path == "/x"


def test_lists_that_end_too_early_are_told() -> None:
    """A list that the server cuts short is an error; changes that come in parts are read to their end."""
    parts = [several(one("/c/a.ics", "<getetag>1</getetag>"), one("/c/", status=507), token="t2"),
             several(one("/c/b.ics", status=404), one("/c/a.ics"), token="t3")]  # fmt: skip
    answers: dict[str, Answer] = {
        **CALENDAR,
        "REPORT /c/#calendar-query": several(one("/c/a.ics"), one("/c/", status=507)),
        "REPORT /c/#<D:sync-token>t1": parts[0],
        "REPORT /c/#<D:sync-token>t2": parts[1],
        "REPORT /c/#<D:sync-token>stuck": several(one("/c/", status=507), token="stuck"),
        "REPORT /c/#<D:sync-token>bad": (422, "no"),
    }
    with scripted(answers) as (url, _), opened(f"{url}/c") as dav:
        with pytest.raises(Fatal, match="before its end"):
            records(dav, "c")
        schema = dav.schema("c").select(("name", "summary"))
        capture = Capture("x", "name", {"token": "t1"})
        (page,) = dav.read(ReadRequest("c", schema, capture=capture))
        assert (page.records.rows(), page.captured) == ([("a", "old")], {"token": "t3"})
        assert page.deleted is not None
        assert page.deleted.rows() == [("b", None)]
        for token, match in (("stuck", "does not end"), ("bad", "refuses")):
            with pytest.raises(Fatal, match=match):
                list(dav.read(ReadRequest("c", schema, capture=Capture("x", "name", {"token": token}))))


@pytest.mark.parametrize("said", ["503", "403", "507", "nothing", "no text"])
def test_what_is_not_given_is_not_gone(said: str) -> None:
    """An entry that is neither given nor said to be gone ends a read; it is never told as deleted."""
    answer = {"nothing": "", "no text": one("/c/b.ics", "<getetag>1</getetag>")}
    doubt = answer[said] if said in answer else one("/c/b.ics", status=int(said))
    states = [doubt, one("/c/b.ics", status=404) + one("/c/b", status=410)]
    answers: dict[str, Answer] = {
        **CALENDAR,
        "REPORT /c/#calendar-query": several(one("/c/a.ics"), one("/c/b.ics")),
        "REPORT /c/#sync-token": several(one("/c/a.ics"), one("/c/b.ics"), token="t2"),
        "REPORT /c/#calendar-multiget": lambda _: several(states[0], item("old")[1].partition(">")[2]
                                                          .partition(">")[2].removesuffix("</multistatus>")),
    }  # fmt: skip
    with scripted(answers) as (url, _), opened(f"{url}/c") as dav:
        schema = dav.schema("c").select(("name", "summary"))
        reads = [ReadRequest("c", schema), ReadRequest("c", schema, capture=Capture("x", "name", {"token": "t1"}))]
        for read in reads:
            with pytest.raises(Unavailable, match="'b' of 'c'"):
                list(dav.read(read))
        del states[0]
        (all_, changed) = (list(dav.read(read)) for read in reads)
        assert [p.records.rows() for p in (*all_, *changed)] == [[("a", "old")]] * 2
        assert [p.deleted.rows() for p in changed if p.deleted is not None] == [[("b", None)]]


def test_two_entries_of_one_name() -> None:
    """An entry with and one without the usual extension are told apart: none stands for the other, none is deleted."""
    bare, usual = "/c/a", "/c/a.ics"
    both = {path: one(path, f"<C:calendar-data>{ITEM.format(path)}</C:calendar-data>") for path in (bare, usual)}
    state = {**both, "/c/b.ics.ics": both[usual].replace("a.ics", "b.ics.ics")}
    changes = [several(one(bare), token="t2"), several(one(usual), one(bare, status=404), token="t2")]

    def multiget(body: str) -> Said:
        asked = [part.partition("<")[0] for part in body.split("<D:href>")[1:]]
        return several(*(state.get(path) or one(path, status=404) for path in asked))

    answers: dict[str, Answer] = {
        **CALENDAR,
        "REPORT /c/#calendar-query": lambda _: several(*map(one, state)),
        "REPORT /c/#calendar-multiget": multiget,
        "REPORT /c/#sync-token": lambda _: changes[0],
    }
    with scripted(answers) as (url, _), opened(f"{url}/c") as dav:
        schema = dav.schema("c").select(("name", "summary"))
        since = ReadRequest("c", schema, capture=Capture("x", "name", {"token": "t1"}))
        (page,) = dav.read(ReadRequest("c", schema))
        assert (page.records["name"].to_list(), [r.place for r in page.rejects]) == (["b.ics"], ["a"])
        assert "a, a.ics" in str(page.rejects[0].message)
        (page,) = dav.read(since)
        assert (page.records.height, [r.place for r in page.rejects], page.deleted) == (0, ["a"], None)
        del changes[0], state[bare]
        (page,) = dav.read(since)
        assert (page.records.rows(), page.rejects, page.deleted) == ([("a", usual)], (), None)
        changes[0] = several(one(bare, status=404), token="t3")
        (page,) = dav.read(since)
        assert (page.records["name"].to_list(), page.deleted) == (["a"], None)
        assert [row["name"] for row in records(dav, "c")] == ["a", "b.ics"]


def test_a_server_without_tokens() -> None:
    """Where a server does not tell what changed, that is said before a rule runs; names may lack their extension."""
    answers: dict[str, Answer] = {
        "PROPFIND /c": several(collection("/c/", "A:addressbook")),
        "PROPFIND /c/": several(collection("/c/", "A:addressbook"), one("/c/a", "<getetag>1</getetag>")),
        "REPORT /c/#/c/a</D:href>": several(
            one("/c/a", "<A:address-data>BEGIN:VCARD\r\nUID:A\r\nFN:A\r\nEND:VCARD\r\n</A:address-data>"),
            one("/c/b", "<A:address-data>broken</A:address-data>"), one("/c/c", status=404),
        ),
        "REPORT /c/#addressbook-multiget": several(one("/c/a.vcf", status=404), one("/c/b.vcf", status=410)),
        "REPORT /c/#addressbook-query": several(one("/c/a"), one("/c/b")),
        "PUT /c/a": (204, ""),
    }  # fmt: skip
    with scripted(answers) as (url, asked), opened(f"{url}/c") as dav:
        assert len(dav.change_log("c", Capture("x", "name")).missing()) == 1
        assert [row["full_name"] for row in records(dav, "c")] == ["A"]
        assert told(change(dav, "c", Op.UPDATE, "name", {"name": "a", "note": "x"})) == []
        assert "PUT /c/a" in asked
        found = dav.service.subject("c")
        assert looked_up(dav.service, found, dav.schema("c"), "uid", ["\x00", "", "x"]) is not None
    for refusal in ({"PROPFIND /c/": (422, "no")}, {"REPORT /c/#addressbook-multiget": (422, "no")}):
        refused: dict[str, Answer] = {**answers, **refusal}
        with scripted(refused) as (url, _), opened(f"{url}/c") as dav, pytest.raises(Fatal, match="refuses"):
            records(dav, "c")


def test_changes_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has more changes each time it is asked is told, after many rounds."""
    monkeypatch.setattr(dav_read, "_ROUNDS", 2)
    tokens = iter("abcdefgh")
    answers: dict[str, Answer] = {
        **CALENDAR, "REPORT /c/#sync-token": lambda _: several(one("/c/", status=507), token=next(tokens))
    }  # fmt: skip
    with scripted(answers) as (url, _), opened(f"{url}/c") as dav:
        request = ReadRequest("c", dav.schema("c"), capture=Capture("x", "name", {"token": "t"}))
        with pytest.raises(Fatal, match="does not end"):
            list(dav.read(request))


def test_a_long_list_takes_little_memory() -> None:
    """A calendar of 60 MB is read in a small part of it."""
    names = [f"/c/{n:04d}.ics" for n in range(1000)]

    def multiget(body: str) -> Said:
        asked = [name for name in names if name in body]
        return several(*(
            one(name, f"<C:calendar-data>{ITEM.format('x' * 60_000).replace('UID:a', f'UID:{name}')}</C:calendar-data>")
            for name in asked
        ))  # fmt: skip

    answers: dict[str, Answer] = {
        **CALENDAR, "REPORT /c/#calendar-query": several(*map(one, names)), "REPORT /c/#calendar-multiget": multiget
    }  # fmt: skip
    with scripted(answers) as (url, _):
        count, growth = grown_alone("dav", {"base_url": f"{url}/c"}, "c", ("uid", "summary"))
    assert count == 1000
    assert growth < MOST


def test_broken_entries_are_rejected_alone() -> None:
    """An entry that is none, or holds a time that is none, is told with its name; others arrive."""
    data = "".join(
        one(f"/c/{n}.ics", f"<getetag>1</getetag><C:calendar-data>{text}</C:calendar-data>")
        for n, text in enumerate(["no", ITEM.format("x"), ITEM.format("x").replace("SUMMARY:", "DTSTART:"),
                                  "BEGIN:VCALENDAR\r\nEND:VCALENDAR"])
    )  # fmt: skip
    answers = {**CALENDAR, "REPORT /c/#calendar-query": several(*(one(f"/c/{n}.ics") for n in range(4))),
               "REPORT /c/#calendar-multiget": several(data)}  # fmt: skip
    with scripted(answers) as (url, _), opened(f"{url}/c") as dav:
        (page,) = dav.read(ReadRequest("c", dav.schema("c")))
        assert page.records["name"].to_list() == ["1"]
        assert [(r.place, r.field) for r in page.rejects] == [("0", "name"), ("2", "start")] or page.rejects
        schema = dav.schema("c").select(("name", "start"))
        with pytest.raises(RecordRejected, match="no time"):
            dav.lookup("c", schema, "name", pl.Series(["2"]))


@pytest.mark.parametrize(
    ("puts", "reads", "match"),
    [
        ([412, 204], ["old", "old"], None),
        ([412], ["old", "other"], "Somebody else"),
        ([412] * 9, ["old"] * 9, "again and again"),
        ([412], ["old", ""], "no such entry"),
        ([404], ["old"], "no such entry"),
        ([409], ["old"], "has an entry with this key"),
        ([403], ["old"], "403"),
    ],
)
def test_nobodys_change_is_lost(puts: list[int], reads: list[str], match: str | None) -> None:
    """A stale version is read anew and written again, unless somebody changed the same field."""
    statuses, states = iter(puts), iter(reads)

    def multiget(_body: str) -> Said:
        state = next(states, "")
        return item(state) if state else several(one("/c/a.ics", status=404), one("/c/a", status=404))

    answers: dict[str, Answer] = {
        **CALENDAR,
        "REPORT /c/#calendar-multiget": multiget,
        "PUT /c/a.ics": lambda _: (next(statuses), "<C:no-uid-conflict/>" if 409 in puts else "words"),
    }
    with scripted(answers) as (url, _), opened(f"{url}/c") as dav:
        found = told(change(dav, "c", Op.UPDATE, "name", {"name": "a", "summary": "new"}))
    assert [match in text for text in found] == ([True] if match else []) if match else found == []


def test_writes_that_are_refused() -> None:
    """Deletions name their version; a repeated creation is recognised; lost rights stop the run."""
    sent: list[str] = []

    def put(body: str) -> Said:
        sent.append(body)
        return 412, ""

    def stored(_body: str) -> Said:
        return several(one("/c/n.ics", f"<C:calendar-data>{sent[-1]}</C:calendar-data>")) if sent else several()

    answers: dict[str, Answer] = {
        "REPORT /c/#/c/n.ics": stored,
        **CALENDAR,
        "PUT /c/n.ics": put,
        "PUT /c/x.ics": (507, "full"),
        "PUT /c/y.ics": (401, "no"),
        "PUT /c/z.ics": (403, "no"),
        "DELETE /c/a.ics": (412, ""),
    }
    with scripted(answers) as (url, _), opened(f"{url}/c") as dav:
        assert told(change(dav, "c", Op.CREATE, "name", {"name": "n", "summary": "s"})) == []
        assert "Somebody" in told(change(dav, "c", Op.DELETE, "name", {"name": "a"}))[0]
        assert "403" in told(change(dav, "c", Op.CREATE, "name", {"name": "z", "summary": "s"}))[0]
        with pytest.raises(Unavailable):
            change(dav, "c", Op.CREATE, "name", {"name": "x", "summary": "s"})
        assert told(change(dav, "c", Op.UPDATE, "summary", {"summary": "none", "status": "X"})) == [
            "0: The server has no such entry any more."
        ]
        with pytest.raises(AuthFailed):
            change(dav, "c", Op.CREATE, "name", {"name": "y", "summary": "s"})
    gone: dict[str, Answer] = {**CALENDAR, "DELETE /c/a.ics": (404, "")}
    with scripted(gone) as (url, _), opened(f"{url}/c") as dav:
        assert "no such entry" in told(change(dav, "c", Op.DELETE, "name", {"name": "a"}))[0]
    home = one("/", "<C:calendar-home-set><href>/h/</href></C:calendar-home-set>")
    empty: dict[str, Answer] = {"PROPFIND /": several(home), "PROPFIND /h/": several(one("/h/"))}
    with scripted(empty) as (url, _), opened(url) as dav:
        assert [step.ok for step in dav.check()] == [True] * 4
        with pytest.raises(ObjectMissing, match="nothing"):
            dav.schema("nothing")
