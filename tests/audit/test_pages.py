"""The pages, the files and the API of the audit log."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html

from tests.webapp.conftest import client_of, events
from webapp.audit import personal, queries, searches, sentences
from webapp.audit.facets import facets
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.audit.views import instant
from webapp.extensions import Actor, House
from webapp.vault import people

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(house: House) -> House:
    """Return a house whose log holds events of several kinds."""
    wei, key = Actor("user", "wei", "7", "10.0.0.7", "req-1"), Actor("key", "shop", "3")
    with house.db.begin() as tx:
        record(
            tx,
            wei,
            START,
            Event(Tag.CONNECTION_CREATED, Subject("connection", "erp"), None, {"host": "db1", "note": "=1+1"}),
        )
        record(
            tx,
            wei,
            START + timedelta(days=1),
            Event(Tag.CONNECTION_UPDATED, Subject("connection", "erp"), {"host": "db1"}, {"host": "db2"}, "moved"),
        )
        record(
            tx,
            key,
            START + timedelta(days=2),
            Event(
                Tag.RECORD_UPDATED,
                Subject("entity", "customer", "客户-1"),
                {"phone": None},
                {"phone": "100%"},
                None,
                17,
            ),
        )
    return house


def _shown(client: FlaskClient, query: str) -> list[str]:
    items = client.get(f"/api/v1/audit/?{query}").json["items"]
    return [item["tag"].rpartition(":")[2] + " " + item["subject"] for item in items]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tag=connections", ["updated erp", "created erp"]),
        ("tag=connections:connection:created", ["created erp"]),
        ("tag=connection", []),
        ("actor=shop", ["updated customer"]),
        ("kind=connection&subject=erp&until=2026-03-01", ["created erp"]),
        ("since=2026-03-02&until=2026-03-02", ["updated erp"]),
        ("record=客户-1", ["updated customer"]),
        ("run=17", ["updated customer"]),
        ("text=db2", ["updated erp"]),
        ("text=DB1 moved", ["updated erp"]),
        ("text=客户", ["updated customer"]),
        ("text=100%25", ["updated customer"]),
        ("text=100_", []),
    ],
)
def test_filters(log: House, admin_client: FlaskClient, query: str, found: list[str]):
    """Each filter finds what it should and nothing else, alone and together."""
    assert _shown(admin_client, query) == found


def test_wrong_filters_are_told(admin_client: FlaskClient):
    """A date or number that cannot be read is told at its field, on the page and in the API."""
    page = admin_client.get("/audit/?since=yesterday&run=x")
    assert page.status_code == 200
    assert page.text.count('class="field-error"') == 2
    answer = admin_client.get("/api/v1/audit/?since=yesterday")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["at"] == "?since"


def test_dates_are_days_of_the_installation():
    """A date means the day in the installation's time zone; an end includes its day."""
    assert instant("2026-03-01", "Asia/Shanghai", end=False) == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert instant("2026-03-01", "Asia/Shanghai", end=True) == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert instant("2026-03-01T08:00:00+02:00", "UTC", end=True) == datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert instant("", "UTC", end=False) is None


def test_pages_by_key_show_each_event_once(house: House, admin_client: FlaskClient):
    """Going on to the end and back shows every event exactly once, also while new ones arrive."""
    who = Actor("cli", "cli")

    def more(count: int) -> None:
        with house.db.begin() as tx:
            record(tx, who, START, *(Event(Tag.RULE_UPDATED, Subject("rule", "r")) for _event in range(count)))

    more(120)
    seen, after = [], ""
    while after is not None:
        answer = admin_client.get(f"/api/v1/audit/?kind=rule&limit=50{after and '&after=' + after}").json
        seen += [item["id"] for item in answer["items"]]
        after = answer["next"]
        more(3)
    assert len(seen) == len(set(seen)) == 120
    assert admin_client.get("/api/v1/audit/?after=x").status_code == 422


def test_list_links_to_older_and_newer(house: House, admin_client: FlaskClient):
    """The page leads to older events and back, keeping the filter."""
    with house.db.begin() as tx:
        record(
            tx,
            Actor("cli", "cli"),
            START,
            *(Event(Tag.RULE_UPDATED, Subject("rule", f"r{number}")) for number in range(60)),
        )
    first = admin_client.get("/audit/?kind=rule").text
    assert "r59" in first
    assert ">r0<" not in first
    assert "kind=rule&amp;before=" in first
    last = events(house, "rulebook")
    older = admin_client.get(f"/audit/?kind=rule&before={last[10].id}").text
    assert ">r9<" in older
    assert ">r10<" not in older
    newer = admin_client.get(f"/audit/?kind=rule&after={last[9].id}").text
    assert ">r10<" in newer
    assert ">r9<" not in newer


def test_event_shows_what_changed(log: House, admin_client: FlaskClient):
    """The page of an event has the values before and after, and who did it from where."""
    changed = events(log, "connections:connection:updated")[0]
    text = admin_client.get(f"/audit/{changed.id}").text
    assert "<del>db1</del>" in text
    assert "<ins>db2</ins>" in text
    assert "10.0.0.7" in text
    assert "wei changed the connection erp" in text
    assert admin_client.get("/audit/999999").status_code == 404


def test_every_tag_has_a_sentence():
    """Each kind of event is told in a sentence that uses known places only."""
    assert {str(tag) for tag in Tag} == {str(tag) for tag in sentences.SENTENCES}
    for template in sentences.SENTENCES.values():
        template.format(actor="a", subject="s", record="r", run=1)


def test_jsonl_holds_the_filtered_events(log: House, admin_client: FlaskClient):
    """A download for programs has one event a line, the oldest first, and is itself told to the log."""
    answer = admin_client.post("/audit/export/jsonl?tag=connections")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [row["tag"] for row in rows] == ["connections:connection:created", "connections:connection:updated"]
    assert rows[1]["after"] == {"host": "db2"}
    assert rows[1]["sentence"] == "wei changed the connection erp"
    assert 'filename="audit-' in answer.headers["Content-Disposition"]
    told = events(log, "audit:events:exported")
    assert told[0].after == {"format": "jsonl", "tag": "connections"}


def test_csv_opens_safely_in_a_spreadsheet(house: House, admin_client: FlaskClient):
    """A value that a spreadsheet would take for a formula is shown as text, and Chinese can be read."""
    with house.db.begin() as tx:
        for name in ("=HYPERLINK(1)", "+1", "-1", "@a", "\t=1", "客户"):
            record(
                tx,
                Actor("cli", "cli"),
                START,
                Event(Tag.RULE_UPDATED, Subject("rule", name), reason='say "a, b"\nnew line'),
            )
    answer = admin_client.post("/audit/export/csv?kind=rule")
    assert answer.data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert [row["subject"] for row in rows] == ["'=HYPERLINK(1)", "'+1", "'-1", "'@a", "'\t=1", "客户"]
    assert rows[0]["reason"] == 'say "a, b"\nnew line'
    assert len(rows) == 6


def test_permissions(app: Flask, log: House):
    """A reader of the log needs the permission to read it, a download the one to export it."""
    viewer, designer, auditor = (client_of(app, name.lower(), name) for name in ("Viewer", "Designer", "Auditor"))
    assert [client.get("/audit/").status_code for client in (viewer, designer, auditor)] == [403, 200, 200]
    answers = [client.post("/audit/export/csv", buffered=True) for client in (viewer, designer, auditor)]
    assert [answer.status_code for answer in answers] == [403, 403, 200]
    assert 'action="/audit/export/' not in designer.get("/audit/").text


def test_nothing_found_says_what_to_do(admin_client: FlaskClient):
    """An empty list says how to find more."""
    assert "Widen the dates" in admin_client.get("/audit/?text=nothing-like-this").text


def test_personal_values_are_shown_until_they_are_erased(house: House, admin_client: FlaskClient):
    """Page, API and file show personal values in clear; behind an erasure they say that they are gone."""
    change = {"email": "ann@example.com", "active": True}
    with house.db.begin() as tx:
        record(tx, Actor("user", "wei"), START, Event(Tag.USER_UPDATED, Subject("user", "ann"), None, change))
    event = events(house, "access:user:updated")[-1]
    page, answer, export = f"/audit/{event.id}", f"/api/v1/audit/{event.id}", "/api/v1/audit/export?subject=ann"
    assert "ann@example.com" in admin_client.get(page).text
    assert admin_client.get(answer).json["after"] == change
    assert "ann@example.com" in admin_client.post(export).text
    assert not [
        word for word in "0123456789+/=xqzjk" if event.id in _found(admin_client, f"text={quote(word)}&subject=ann")
    ]
    with house.db.begin() as tx:
        assert people.destroy(tx, personal.person("user", "ann", None))
    shown = admin_client.get(page).text
    assert "erased" in shown
    assert "$erased" not in shown
    assert admin_client.get(answer).json["after"] == {"email": {"$erased": True}, "active": True}
    assert "ann@example.com" not in admin_client.post(export).text


def _found(client: FlaskClient, query: str) -> list[int]:
    return [item["id"] for item in client.get(f"/api/v1/audit/?{query}").json["items"]]


def test_the_log_is_readable_where_the_vault_is_not(house: House, admin_client: FlaskClient):
    """Without the key of the vault the log says that it cannot show personal values, and why."""
    with house.db.begin() as tx:
        record(
            tx, Actor("user", "wei"), START, Event(Tag.USER_UPDATED, Subject("user", "ann"), None, {"email": "a@b.c"})
        )
    event = events(house, "access:user:updated")[-1]
    house.settings.key_file.unlink()
    house.settings.key_file.write_text(f"{'A' * 43}=\n")
    house.settings.key_file.chmod(0o600)
    after = admin_client.get(f"/api/v1/audit/{event.id}").json["after"]
    assert "is not in" in after["email"]["$unreadable"]


def test_facets_count_what_the_filter_finds_and_lead_on(log: House, admin_client: FlaskClient):
    """Who, what and about which things, each a link that asks for that alone; days are bars."""
    with log.db.read() as tx:
        found = facets(tx, queries.Filter(since=START, until=START + timedelta(days=5)), ZoneInfo("UTC"))
    assert found.actors == (("wei", 2), ("shop", 1))
    assert found.subjects == ((("connection", "erp"), 2), (("entity", "customer"), 1))
    assert [count for _, count in found.days] == [1, 1, 1]
    page = admin_client.get("/audit/?until=2026-03-10").text
    assert "actor=wei" in page
    assert "connection · erp" in page
    assert page.count('class="trend-bar"') == 3
    assert page.count('<h2 class="happened-day">') == 3


def test_searches_are_saved_for_oneself_or_for_all(app: Flask, log: House, admin_client: FlaskClient):
    """A private search is one's own; a shared one is everybody's, is audited, and only its owner deletes it."""
    admin_client.post("/audit/searches", data={"name": "mine", "actor": "wei"})
    admin_client.post("/audit/searches", data={"name": "ours", "actor": "shop", "shared": "true"})
    admin_client.post("/audit/searches", data={"name": "ours", "actor": "key", "shared": "true"})
    assert "first" in admin_client.post("/audit/searches", data={"name": "nothing"}, follow_redirects=True).text
    mine = admin_client.get("/audit/").text
    assert "/audit/?actor=wei" in mine
    assert "/audit/?actor=key" in mine
    other = client_of(app, "otto", "Auditor")
    theirs = other.get("/audit/").text
    assert "/audit/?actor=key" in theirs
    assert "ours · admin" in theirs
    with log.db.read() as tx:
        numbers = {one.name: one.id for one in searches.of(tx, "admin")}
    assert other.post(f"/audit/searches/{numbers['ours']}/delete").status_code == 404
    for number in numbers.values():
        assert admin_client.post(f"/audit/searches/{number}/delete").status_code == 302
    assert [event.subject for event in events(log, "audit:search")] == ["ours", "ours", "ours"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/audit/?text=a%00b", 400),
        ("/api/v1/audit/?subject=%00", 400),
        ("/audit/changes/rule/%00", 400),
        ("/audit/99999999999999999999", 404),
        ("/api/v1/evidence/proofs/99999999999999999999", 404),
        ("/audit/?before=99999999999999999999", 200),
        ("/audit/?text=a&before=-9223372036854775807", 200),
        ("/audit/?text=a&after=9223372036854775807", 200),
        ("/audit/?endpoint=a&_method=POST&_scheme=a&values=a", 200),
        ("/audit/looks?before=-99999999999999999999", 200),
        ("/audit/sign-ins?before=99999999999999999999", 200),
        ("/audit/record?entity=customer&record=99999999999999999999", 200),
        ("/audit/?since=0001-01-01T00:00:00%2B14:00&until=9999-12-31", 200),
        ("/api/v1/audit/?until=9999-12-31", 422),
        ("/api/v1/audit/?after=99999999999999999999", 422),
        ("/api/v1/evidence/checkpoints?after=%C2%B2", 422),
    ],
)
def test_what_no_database_can_look_for_breaks_nothing(admin_client: FlaskClient, path: str, status: int):
    """A NUL, a number beyond all numbers, a day before all days: an answer, and no failure on our side."""
    assert admin_client.get(path).status_code == status


def test_words_are_looked_for_among_some_events_at_a_time(
    log: House, admin_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the log is, a page looks for words among so many events only, and leads on to those before them:
    behind one another the pages show each event that has the word once, and back again the same."""
    with log.db.begin() as tx:
        for number in range(40):
            name = f"needle{number}" if number % 7 == 0 else "hay"
            record(tx, Actor("user", "wei", "7"), START, Event(Tag.CONNECTION_TESTED, Subject("connection", name)))
    with log.db.read() as tx:
        wanted = queries.Filter(text="needle")
        whole = [event.id for event in queries.page(tx, wanted, 100)]
        monkeypatch.setattr(queries, "SEARCHED", 5)
        turned, found, empty = queries.turn(tx, wanted, 2), [], 0
        while True:
            found += [event.id for event in turned.events]
            empty += not turned.events
            if turned.older is None:
                break
            turned = queries.turn(tx, wanted, 2, before=turned.older)
        back = queries.turn(tx, wanted, 2, after=0)
        again = [event.id for event in back.events][::-1]
        while back.newer is not None:
            back = queries.turn(tx, wanted, 2, after=back.newer)
            again += [event.id for event in back.events][::-1]
    assert len(whole) == 6
    assert found == whole
    assert again == whole[::-1]
    assert empty
    page = admin_client.get("/audit/?text=nowhere").get_data(as_text=True)
    assert "No event found so far" in page
    assert "before=" in page


def test_who_has_acted_is_told_by_name(log: House) -> None:
    """The list of who has acted has everybody once, in the order of the names, and no more than fit into it."""
    with log.db.begin() as tx:
        for name in ("zoe", "adam", "zoe", "王伟"):
            record(tx, Actor("user", name), START, Event(Tag.SIGNED_IN, Subject("user", name)))
    with log.db.read() as tx:
        found = queries.actors(tx)
    assert {"adam", "shop", "wei", "zoe", "王伟"} <= set(found)
    assert found == sorted(set(found))


def test_a_search_in_parts_can_be_gone_through_both_ways(
    house: House, admin_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the log without the words leads on both ways, and never says that nothing in the log matches."""
    monkeypatch.setattr(queries, "SEARCHED", 5)
    with house.db.begin() as tx:
        for name in ("needle", *["hay"] * 12, "needle", *["hay"] * 12):
            record(tx, Actor("user", "wei", "7"), START, Event(Tag.CONNECTION_TESTED, Subject("connection", name)))
    address, shown = "/audit/?text=needle", []
    for direction in ("next", "prev"):
        link: str | None = address
        while link:
            address, page = link, html.fromstring(admin_client.get(link).text)
            shown.append(len(page.xpath("//ol[@class='happened-list']/li")))
            assert shown[-1] or "Nothing in the log matches." not in page.text_content()
            link = next(iter(page.xpath(f"//a[@rel='{direction}']/@href")), None)
        assert sum(shown) == 2
        assert 0 in shown[1:]
        shown = []


def test_a_part_of_the_log_is_counted_where_words_are_looked_for(log: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands beside the events of a part is counted in this part: all others would have to be read for it."""
    with log.db.begin() as tx:
        for _event in range(20):
            record(tx, Actor("user", "wei", "7"), START, Event(Tag.CONNECTION_TESTED, Subject("connection", "needle")))
    monkeypatch.setattr(queries, "SEARCHED", 5)
    wanted = queries.Filter(text="needle")
    with log.db.read() as tx:
        last = queries.last_id(tx)
        for place in ({}, {"before": last - 7}, {"after": last - 12}, {"after": last - 2}):
            turned = queries.turn(tx, wanted, 50, **place)
            assert facets(tx, turned.looked, ZoneInfo("UTC")).events == len(turned.events)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York"])
def test_a_day_is_counted_as_it_is_asked_for(house: House, zone: str) -> None:
    """A bar counts the events that its address leads to: those of a day in the installation's time zone."""
    with house.db.begin() as tx:
        for number in range(60):
            at = START + timedelta(minutes=47 * number, microseconds=999_999)
            record(tx, Actor("cli", "cli"), at, Event(Tag.RULE_UPDATED, Subject("rule", "r")))
    wanted = queries.Filter(kind="rule")
    with house.db.read() as tx:
        days = facets(tx, wanted, ZoneInfo(zone)).days
        for day, count in days:
            since, until = (instant(day, zone, end=end) for end in (False, True))
            assert len(queries.page(tx, replace(wanted, since=since, until=until), 100)) == count
    assert sum(count for _day, count in days) == 60
