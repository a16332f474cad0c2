"""The pages of records that wait: both systems side by side, deciding, deciding many, from now on."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.cases.waiting import MATCH, PHONES, conflict, entry, make_rule, settle, wait
from tests.webapp.conftest import client_of
from webapp.cases import services
from webapp.extensions import SYSTEM, House
from webapp.rulebook import services as rulebook
from webapp.runs import pair_cases

HERE = {"left": {"id": 1, "name": "Acme"}}
THERE = {"right": {"no": 7, "title": "Acme"}}


@pytest.fixture
def rule(app: Flask) -> int:
    return make_rule(app.extensions["syncline"])


def text(client: FlaskClient, path: str, status: int = 200) -> str:
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code == status, path
    return answer.get_data(as_text=True)


def send(client: FlaskClient, path: str, status: int, **data: Any) -> str:
    answer = client.post(path, data={name.replace("__", ":"): value for name, value in data.items()})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.get_data(as_text=True)


def answer_of(house: House, case: int) -> Any:
    with house.db.read() as tx:
        return pair_cases.get(tx, services.get(tx, case).pair_id or 0).answer


def test_a_conflict_is_decided_field_by_field(admin_client: FlaskClient, house: House, rule: int) -> None:
    """Both systems stand side by side; what will be written is shown before it is confirmed; a run is asked for."""
    three = conflict(entry(1, " Acme", "Beta", "A"), entry(2, None, "", "1"), entry(3, "1.00", "2.00", "0.50"))
    wait(house, rule, ("1", "7", "linked_conflict", three), ("2", "8", "linked_conflict", PHONES))
    page = text(admin_client, "/cases/1")
    assert "Sales and erp disagree about name, phone, credit" in page
    for shown in ("Only this record waits", "Last agreed", "empty text", "Take all from Sales", "Next case"):
        assert shown in page
    takes = {"take__1": "left", "take__2": "right", "take__3": "value", "value__3": "x"}
    page = send(admin_client, "/cases/1/decide", 422, **{**takes, "take__2": ""})
    assert "Choose a value for" in page
    page = send(admin_client, "/cases/1/decide", 422, **takes)
    assert "is not a value of type decimal" in page
    assert 'value="x"' in page
    takes["value__3"] = "3.50"
    page = send(admin_client, "/cases/1/decide", 200, **takes)
    assert "What will be written" in page
    assert re.findall(r"<ins>(.*?)</ins>", page) == ["3.50", "Acme", '<span class="nothing">empty text</span>', "3.50"]
    assert answer_of(house, 1) is None
    assert 'value="value" checked' in send(admin_client, "/cases/1/decide", 200, step="edit", **takes)
    assert "have changed since you looked" in send(admin_client, "/cases/1/decide", 409, step="do", seen="old", **takes)
    looked = {"step": "do", "seen": "s1", "answered": ""}
    send(admin_client, "/cases/1/decide", 302, **looked, **takes)
    page = text(admin_client, "/cases/1")
    for shown in (
        "Run 2 carries it out",
        "Decided by admin",
        "name: from Sales",
        "credit: 3.50",
        "Change the decision",
    ):
        assert shown in page
    assert "admin has decided about this record" in send(admin_client, "/cases/1/decide", 409, **looked, **takes)
    settle(house, rule, "1", "7", 2)
    page = text(admin_client, "/cases/1")
    assert "Carried out by run 2" in page
    assert "Show what will be written" not in page
    assert "settled already" in send(admin_client, "/cases/1/decide", 409, step="do", **takes)


def test_all_from_one_side(admin_client: FlaskClient, house: House, rule: int) -> None:
    """One button takes all fields from a side, also where no scripts run."""
    wait(house, rule, ("1", "7", "linked_conflict", conflict(entry(1, "A", "B"), entry(4, left=True, right=False))))
    page = send(admin_client, "/cases/1/decide", 200, all="right")
    assert 'name="take:1" value="right"' in page
    assert ">no<" in page
    settle(house, rule, "1", "7")
    assert "Nothing was left to decide" in text(admin_client, "/cases/1")


@pytest.mark.parametrize(
    ("situation", "details", "expected"),
    [
        ("deleted_left", THERE, ("delete", "Delete it in erp too", "is deleted in erp as well")),
        ("deleted_right", HERE, ("recreate", "Create it again in erp", ">Acme<")),
        ("edit_vs_delete", HERE, ("unlink", "Keep it in Sales and unlink", "Nothing is written")),
        ("review", MATCH, ("link:9", "The same as Acme Corp", "taken for the same record")),
        ("disputed", MATCH, ("create", "Create a new record in erp", ">Acme<")),
        ("unmatched_left", HERE, ("keep", "Leave it alone", "no longer asks")),
        ("out_of_scope", HERE, ("delete", "Delete it in erp", "is deleted in erp.")),
    ],
)
def test_what_shall_happen_to_a_record(
    admin_client: FlaskClient, house: House, rule: int, situation: str, details: Any, expected: tuple[str, str, str]
) -> None:
    """Each situation has its own clear choices, and says what each of them writes."""
    pick, shown, then = expected
    wait(house, rule, ("1", "7", situation, details))
    assert shown in text(admin_client, "/cases/1")
    assert "Choose what happens to the record" in send(admin_client, "/cases/1/decide", 422)
    assert then in send(admin_client, "/cases/1/decide", 200, pick=pick)
    send(admin_client, "/cases/1/decide", 302, pick=pick, step="do")
    assert answer_of(house, 1)["record"] == pick.partition(":")[0]
    assert f'value="{pick}" checked' in text(admin_client, "/cases/1")


def test_from_now_on(app: Flask, admin_client: FlaskClient, house: House, rule: int) -> None:
    """A decision becomes a draft of the rule, shown as a difference, for those who may change rules."""
    wait(house, rule, ("1", "7", "linked_conflict", PHONES))
    assert "Nothing to change" in text(admin_client, "/cases/1/rule")
    assert "this record only" in send(admin_client, "/cases/1/rule", 409)
    send(admin_client, "/cases/1/decide", 302, take__2="left", step="do")
    assert "Do this from now on" in text(admin_client, "/cases/1")
    page = text(admin_client, "/cases/1/rule")
    assert "When both change phone, Sales wins." in page
    assert "Field tel › " in page
    assert "newer draft" in send(admin_client, "/cases/1/rule", 409, draft_version="99")
    version = re.search(r'name="draft_version" value="(\d+)"', page)
    assert version
    answer = admin_client.post("/cases/1/rule", data={"draft_version": version[1]})
    assert answer.headers["Location"] == "/rules/customers/publish"
    with house.db.read() as tx:
        row = rulebook.get(tx, "customers")
    assert row.draft is not None
    assert row.draft["fields"][2]["conflict"] == "left"
    assert client_of(app, "audrey", "Auditor").get("/cases/1/rule").status_code == 403


def test_many_at_once(admin_client: FlaskClient, house: House, rule: int) -> None:
    """All that a filter finds are decided with one choice a kind, after a look at how many and what is written."""
    rows = [(str(n), str(n), "linked_conflict", PHONES) for n in range(1, 56)]
    wait(house, rule, *rows, ("90", None, "review", MATCH), ("91", None, "review", {"left": {"id": 91}}))
    services.open_case(house, services.NewCase("manual", "By hand"), SYSTEM)
    every = {"all": "yes", "address": "?rule=customers", "upto": "57"}
    page = send(admin_client, "/cases/bulk", 200, **every)
    assert "55 cases" in page
    assert "Link each to its likeliest partner in erp" in page
    assert "Choose what to do for at least one group" in send(admin_client, "/cases/bulk", 422, step="preview", **every)
    chosen = {"choice__customers__linked_conflict": "take:left", "choice__customers__review": "record:link"}
    page = send(admin_client, "/cases/bulk", 200, step="preview", **every, **chosen)
    assert "Decide 57 cases" in page
    assert "<ins>+86 1</ins>" in page
    assert "and 52 more like these" in page
    wait(house, rule, ("99", "99", "linked_conflict", PHONES))
    send(admin_client, "/cases/bulk", 302, step="do", **every, **chosen)
    page = text(admin_client, "/cases/?rule=customers")
    assert "56 cases are decided" in page
    assert "1 case could not be decided so" in page
    assert answer_of(house, 1) == {"fields": {"2": {"take": "left"}}}
    assert answer_of(house, 59) is None


def test_many_are_decided_as_they_were_shown(admin_client: FlaskClient, house: House, rule: int) -> None:
    """What somebody has decided since the preview, and what has new values, stays as it is."""
    rows = [(str(n), str(n), "linked_conflict", PHONES) for n in range(1, 4)]
    wait(house, rule, *rows)
    chosen = {"case": ["1", "2", "3"], "choice__customers__linked_conflict": "take:left"}
    marks = re.search(r'name="marks" value="([^"]*)"', send(admin_client, "/cases/bulk", 200, step="preview", **chosen))
    assert marks
    send(admin_client, "/cases/1/decide", 302, take__2="right", step="do")
    wait(house, rule, ("2", "2", "linked_conflict", PHONES), seen="s2")
    send(admin_client, "/cases/bulk", 302, step="do", marks=marks[1], **chosen)
    assert "2 cases could not be decided so" in text(admin_client, "/cases/?rule=customers")
    assert answer_of(house, 1) == {"fields": {"2": {"take": "right"}}}
    assert answer_of(house, 2) is None
    assert answer_of(house, 3) == {"fields": {"2": {"take": "left"}}}


def test_ticked_cases(admin_client: FlaskClient, house: House, rule: int) -> None:
    """Of ticked cases those without a record are left out; without any there is nothing to decide."""
    wait(house, rule, ("1", "7", "out_of_scope", {"left": {"id": 1}}))
    admin_client.post("/cases/new", data={"title": "By hand"})
    page = send(admin_client, "/cases/bulk", 200, case=["1", "2"])
    assert "1 case is not about a record of a rule" in page
    assert "Keep both and unlink them" in page
    send(admin_client, "/cases/bulk", 302, case=["2"])
    send(admin_client, "/cases/bulk", 302)
    send(admin_client, "/cases/bulk/assign", 302, case=["1", "2"], assignee="admin")
    assert "2 cases are assigned" in text(admin_client, "/cases/?mine=1")


def test_the_list_is_filtered(admin_client: FlaskClient, house: House, rule: int) -> None:
    """Rule, kind, person, age and page narrow the list; counts stand beside the kinds."""
    wait(house, rule, *((str(n), str(n), "linked_conflict", PHONES) for n in range(60)), days=9)
    wait(house, rule, ("90", None, "review", MATCH))
    page = text(admin_client, "/cases/")
    assert "61 cases" in page
    assert "Doubtful match" in page
    more = re.search(r'href="(/cases/\?before=\d+)"', page)
    assert more
    assert "account 9 " in text(admin_client, more[1])
    assert "1 case<" in text(admin_client, "/cases/?situation=review")
    assert "60 cases" in text(admin_client, "/cases/?age=7d&assignee=-&rule=customers")
    assert "No case found" in text(admin_client, "/cases/?age=30d")
    assert "No case found" in text(admin_client, "/cases/?assignee=ben&age=never&before=x")
    services.assign(house, 1, "admin", SYSTEM)
    assert "1 case<" in text(admin_client, "/cases/?mine=1")


def test_who_may_only_look_cannot_decide(app: Flask, house: House, rule: int) -> None:
    """An auditor sees the values and no buttons."""
    wait(house, rule, ("1", "7", "linked_conflict", PHONES), ("5", None, "review", MATCH))
    auditor = client_of(app, "audrey", "Auditor")
    page = text(auditor, "/cases/1")
    assert "+86 1" in re.sub("</?mark>", "", page)
    assert "Show what will be written" not in page
    assert "Possible partners" in text(auditor, "/cases/2")
    for path in ("/cases/1/decide", "/cases/bulk", "/cases/bulk/assign"):
        send(auditor, path, 403)


def test_a_rule_that_is_gone(admin_client: FlaskClient, house: House, rule: int) -> None:
    """Where the rule is gone, the page says so and lets the case be closed."""
    wait(house, rule, ("1", "7", "linked_conflict", PHONES))
    rulebook.delete(house, "customers", SYSTEM)
    assert "The rule is gone" in text(admin_client, "/cases/1")
    send(admin_client, "/cases/1/close", 302, resolution="Not needed")
    assert text(admin_client, "/cases/1")


def test_cases_that_are_not_about_records(admin_client: FlaskClient) -> None:
    """A case by hand has no values to decide about."""
    admin_client.post("/cases/new", data={"title": "By hand"})
    send(admin_client, "/cases/1/decide", 404)
    text(admin_client, "/cases/1/rule", 404)
    send(admin_client, "/cases/9/decide", 404)


def test_the_home_page_tells_of_cases(admin_client: FlaskClient, house: House, rule: int) -> None:
    """Cases that are mine and those that nobody has are named on the home page, by rule."""
    wait(house, rule, ("1", "7", "linked_conflict", PHONES), ("2", "8", "linked_conflict", PHONES))
    admin_client.post("/cases/new", data={"title": "By hand"})
    services.assign(house, 1, "admin", SYSTEM)
    page = text(admin_client, "/")
    for shown in ("1 case waits for you", "1 case of customers waits for somebody", "1 case waits for somebody"):
        assert shown in page
