"""What waits for people is told once a run: to rules that listen, and by e-mail to those who wish so."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from rules.text import msg
from tests.events.test_actions import Mailbox
from tests.runs.conftest import World, world  # noqa: F401 - two systems and a rule
from tests.runs.test_crash import Killed, dies
from tests.runs.test_two_way import FIELDS
from tests.webapp.conftest import add_user, admin_client, app, client, settings, sign_in, text  # noqa: F401 - fixtures
from webapp.access import models as access
from webapp.access import removal, users
from webapp.cases import hooks as case_hooks
from webapp.cases import pairs
from webapp.cases import services as cases
from webapp.events import notices, postman, sending, waiting
from webapp.events.models import event, notice
from webapp.events.notices import Line
from webapp.extensions import SYSTEM, Actor
from webapp.runs import hooks as run_hooks
from webapp.runs import ordering
from webapp.runs.models import run, run_wait
from webapp.runs.pipeline import stopping
from webapp.runs.pipeline.journal import Journal
from webapp.runs.requests import cancel, resume

BOB = Actor("user", "bob", "2")


@pytest.fixture
def told(world: World, app: Flask, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: F811
    """Return a world whose rule ada has made, in which all that waits is told of."""
    world.house = replace(app.extensions["syncline"], clock=world.now)
    monkeypatch.setattr(run_hooks, "ended", [waiting.run_ended])
    monkeypatch.setattr(run_hooks, "pairs", [pairs.pairs_moved])
    monkeypatch.setattr(case_hooks, "opened", [waiting.case_opened])
    monkeypatch.setattr(case_hooks, "assigned", [waiting.cases_assigned])
    every = {"case.opened", "case.assigned", "quarantine.added"}
    monkeypatch.setattr(waiting, "listened", lambda _tx: every)
    add_user(world.house, "ada", "Admin")
    add_user(world.house, "bob", "Admin")
    return world


@pytest.fixture
def box(told: World) -> Iterator[Mailbox]:
    """Return a mail server that the house of `told` sends to."""
    with Mailbox() as found:
        about = {"smtp_url": f"smtp://127.0.0.1:{found.port}", "mail_from": "s@example.com"}
        about["console_url"] = "https://sync.example.com"
        about["egress_allow"] = ("127.0.0.0/8",)
        told.house = replace(told.house, settings=replace(told.house.settings, **about))
        yield found


def _disputed(told: World) -> None:
    """Leave two records on which both sides disagree, and one that cannot be written."""
    told.rule(direction="two_way", fields=FIELDS)
    told.customers("Ann", "Bob", "Cid")
    told.run()
    told.crm("UPDATE customer SET name = 'left' || id WHERE id < 3")
    told.erp("UPDATE client SET title = 'right' || no WHERE no < 3")
    told.customers("a name that is much longer than twenty", first=7)


def _events(told: World, kind: str) -> list[dict[str, Any]]:
    with told.house.db.read() as tx:
        return list(tx.scalars(sa.select(event.c.data).where(event.c.type == kind).order_by(event.c.id)))


def _letters(box: Mailbox) -> list[tuple[str, str, str]]:
    found = [message_from_bytes(one, policy=policy.default) for one in box.letters]
    return [(str(one["To"]), str(one["Subject"]), one.get_content()) for one in found]


def _notices(told: World) -> list[Any]:
    with told.house.db.read() as tx:
        return list(tx.execute(sa.select(notice).order_by(notice.c.id)))


def test_a_run_tells_once_of_the_cases_that_it_has_opened(told: World):
    """One event with the counts and the page; a later run that opens none is silent, and so is a simulation."""
    _disputed(told)
    told.run("simulate")
    assert _events(told, "case.opened") == []
    number = told.run().id
    assert _events(told, "case.opened") == [
        {"run": number, "rule": "customers", "cases": 2, "situations": {"linked_conflict": 2},
         "address": "/cases/?rule=customers"},
    ]  # fmt: skip
    assert _events(told, "quarantine.added") == [
        {"run": number, "rule": "customers", "records": 1, "address": f"/quarantine/?rule=customers&run={number}"}
    ]
    told.run()
    assert len(_events(told, "case.opened")) == len(_events(told, "quarantine.added")) == 1


def test_a_run_that_goes_on_tells_only_of_what_is_new(told: World):
    """What was told when it stopped is not told again when it ends."""
    told.rule(errors={"data": "suspend"})
    told.pages_of(1).customers(None, "Ann", None)
    run_id = told.request()
    for _ in range(5):
        told.work(run_id)
        if told.look(run_id).state == "suspended":
            resume(told.house, run_id, BOB)
    assert [one["records"] for one in _events(told, "quarantine.added")] == [1, 1]


def test_who_wishes_so_gets_one_letter_a_run(told: World, box: Mailbox):
    """All of a run is in one letter to each person whose rule it is; others and other wishes get none."""
    _disputed(told)
    notices.wish(told.house, "ada", ["opened", "parked"])
    notices.wish(told.house, "bob", ["opened"])
    number = told.run().id
    assert postman.send_due(told.house) == 1
    ((to, subject, body),) = _letters(box)
    assert (to, subject) == ("ada@example.com", f"New cases of customers: 2 (run {number})")
    assert "https://sync.example.com/cases/?rule=customers" in body
    assert f"New in the quarantine of customers: 1 (run {number})" in body
    assert postman.send_due(told.house) == 0


def test_letters_are_in_the_language_of_the_reader(told: World, box: Mailbox):
    """Words that are known in Chinese are written so for who has chosen it; all else stays as it is."""
    with told.house.db.begin() as tx:
        ada = tx.scalar(sa.select(access.user.c.id).where(access.user.c.username == "ada"))
        tx.execute(sa.update(access.access_profile).where(access.access_profile.c.user_id == ada).values(language="zh"))
    notices.wish(told.house, "ada", ["stopped"])
    told.customers(None)
    told.rule(errors={"data": "suspend"})
    told.run()
    assert postman.send_due(told.house) == 1
    assert _letters(box)[0][0] == "ada@example.com"


def test_runs_that_do_not_end_well_are_told_of(told: World, box: Mailbox):
    """A failed and a suspended run of one's rule come with their reason."""
    notices.wish(told.house, "ada", ["stopped"])
    told.customers(None)
    told.rule(errors={"data": "suspend"})
    first = told.run()
    assert first.state == "suspended"
    (told.folder / "erp.db").rename(told.folder / "gone.db")
    second = told.run()
    assert postman.send_due(told.house) == 2
    subjects = [subject for _, subject, _ in _letters(box)]
    assert subjects[0].startswith(f"Run {first.id} of customers waits. 1 records were refused")
    assert subjects[1].startswith(f"Run {second.id} of customers ")


def test_who_is_given_a_case_is_told(told: World, box: Mailbox):
    """By somebody else, one or many at once; who takes a case is not told of what they did."""
    notices.wish(told.house, "bob", ["assigned"])
    ada = Actor("user", "ada", "1")
    numbers = [cases.open_case(told.house, cases.NewCase("manual", f"Case {n}"), ada) for n in range(3)]
    assert [one["title"] for one in _events(told, "case.opened")] == ["Case 0", "Case 1", "Case 2"]
    cases.assign(told.house, numbers[0], "bob", ada)
    cases.assign_many(told.house, cases.Wanted(cases=tuple(numbers)), "bob", ada)
    cases.assign(told.house, numbers[2], "ada", BOB)
    cases.assign(told.house, numbers[2], "bob", BOB)
    cases.open_case(told.house, cases.NewCase("manual", "New", assignee="bob"), ada)
    assert [(one["cases"], one["assignee"]) for one in _events(told, "case.assigned")] == [
        (1, "bob"), (2, "bob"), (1, "ada"), (1, "bob"), (1, "bob"),
    ]  # fmt: skip
    assert postman.send_due(told.house) == 3
    assert [subject for _, subject, _ in _letters(box)] == [
        f"ada has given you case {numbers[0]}.",
        "Cases given to you by ada: 2",
        f"ada has given you case {numbers[2] + 1}.",
    ]


def test_a_letter_that_cannot_be_sent_is_tried_again_and_given_up(told: World):
    """It waits longer after each attempt, says why, and is given up after three days; without a server it waits."""
    notices.wish(told.house, "bob", ["assigned"])
    cases.open_case(told.house, cases.NewCase("manual", "New", assignee="bob"), Actor("user", "ada", "1"))
    assert postman.send_due(told.house) == 0
    assert _notices(told)[0].attempts == 0
    about = {"smtp_url": "smtp://127.0.0.1:9", "mail_from": "s@example.com", "egress_allow": ("127.0.0.0/8",)}
    told.house = replace(told.house, settings=replace(told.house.settings, **about))
    assert postman.send_due(told.house) == postman.send_due(told.house) == 0
    (one,) = _notices(told)
    assert (one.attempts, one.ended_at) == (1, None)
    assert "does not take the message" in one.problem["template"]
    told.shift += timedelta(days=4)
    postman.send_due(told.house)
    assert _notices(told)[0].ended_at is not None


def test_who_is_gone_gets_nothing(told: World, box: Mailbox):
    """A notice to a user who has been disabled since is given up at once."""
    notices.wish(told.house, "bob", ["assigned"])
    cases.open_case(told.house, cases.NewCase("manual", "New", assignee="bob"), Actor("user", "ada", "1"))
    with told.house.db.begin() as tx:
        tx.execute(sa.update(access.user).where(access.user.c.username == "bob").values(active=False))
    assert postman.send_due(told.house) == 0
    assert box.letters == []
    assert _notices(told)[0].ended_at is not None


def _given(told: World, *names: str) -> list[int]:
    """Give each of these people, who wish to be told, a case; return the cases."""
    ada, numbers = Actor("user", "carl", "1"), []
    for name in names:
        notices.wish(told.house, name, ["assigned"])
        numbers.append(cases.open_case(told.house, cases.NewCase("manual", "New", assignee=name), ada))
    return numbers


def test_an_address_that_breaks_a_letter_holds_up_no_other(told: World, box: Mailbox):
    """A notice that cannot be written is given up and says so; the next one goes out."""
    _given(told, "bob", "ada")
    with told.house.db.begin() as tx:
        tx.execute(sa.update(access.user).where(access.user.c.username == "bob").values(email="a@[corp"))
    assert postman.send_due(told.house) == 1
    assert [to for to, _, _ in _letters(box)] == ["ada@example.com"]
    first, second = _notices(told)
    assert first.ended_at is not None
    assert first.problem["template"] == "The e-mail could not be written: {reason}"
    assert second.problem is None


def test_the_database_being_away_gives_no_notice_up(told: World, box: Mailbox, monkeypatch: pytest.MonkeyPatch):
    """It is not the notice's fault; the postman looks at it again, whatever goes wrong."""
    _given(told, "bob")
    errors: list[Exception] = [sa.exc.OperationalError("x", {}, Exception("away")), RuntimeError("odd")]
    send, deliver = postman.send_due, sending.deliver

    def breaks(*args: Any) -> Any:
        raise sa.exc.OperationalError("x", {}, Exception("away"))

    monkeypatch.setattr(sending, "deliver", breaks)
    with pytest.raises(sa.exc.OperationalError):
        send(told.house)
    assert _notices(told)[0].ended_at is None
    told.shift += timedelta(minutes=5)
    monkeypatch.setattr(sending, "deliver", deliver)
    monkeypatch.setattr(postman, "EVERY", 0.01)

    def first_breaks(house: Any) -> int:
        if errors:
            raise errors.pop()
        return send(house)

    monkeypatch.setattr(postman, "send_due", first_breaks)
    man = postman.Postman(told.house)
    man.start()
    for _ in range(500):
        if _notices(told)[0].sent_at:
            break
        man.stopping.wait(0.01)
    man.close()
    assert len(box.letters) == 1


def _becomes(told: World, name: str, *roles: str) -> None:
    with told.house.db.read() as tx:
        user = users.get_user(tx, tx.scalar(sa.select(access.user.c.id).where(access.user.c.username == name)))
    new = users.NewUser(name, "N", "", user.email, roles)
    users.update_user(told.house, user.id, new, SYSTEM)


def test_who_may_no_longer_read_a_room_is_not_told_of_it(told: World, box: Mailbox, app: Flask):  # noqa: F811
    """Only lines about what the roles of now let somebody read are sent and shown; a notice without any is given up."""
    _given(told, "bob")
    _becomes(told, "bob", "Viewer")
    assert postman.send_due(told.house) == 0
    assert _notices(told)[0].ended_at is not None
    assert "may not read" in _notices(told)[0].problem["template"]
    page = sign_in(app.test_client(), "bob")
    assert "carl" not in text(page, "/notices/")
    _becomes(told, "bob", "Operator")
    assert "carl" in text(page, "/notices/")
    lines = [Line(msg("secret"), "/quarantine/?rule=x&run=1"), Line(msg("open"), "/runs/1")]
    _becomes(told, "bob", "Viewer")
    with told.house.db.begin() as tx:
        notices.add(tx, "both", "bob", lines, told.now())
    assert postman.send_due(told.house) == 1
    ((_, subject, body),) = _letters(box)
    assert subject == "open"
    assert "secret" not in body
    assert "secret" not in text(page, "/notices/")


def test_nobody_inherits_notices_with_a_name(told: World):
    """With a user go their wishes and notices; the next user of that name begins with none."""
    _given(told, "bob", "ada")
    with told.house.db.read() as tx:
        bob = tx.scalar(sa.select(access.user.c.id).where(access.user.c.username == "bob"))
    removal.delete_user(told.house, bob, SYSTEM)
    assert [one.username for one in _notices(told)] == ["ada"]
    with told.house.db.read() as tx:
        assert set(notices.wishes(tx)) == {"ada"}


def test_a_run_that_is_called_off_is_told_of(told: World, box: Mailbox):
    """With the reason; who cancels a run by hand gives none, and nobody is told."""
    notices.wish(told.house, "ada", ["stopped"])
    told.rule()
    cancel(told.house, told.request(), BOB)
    first, second = told.request("simulate"), told.request()
    with told.house.db.begin() as tx:
        tx.execute(sa.insert(run_wait).values(run_id=second, for_run=first, well=True))
        tx.execute(sa.update(run).where(run.c.id == first).values(state="failed"))
    assert ordering.call_off(told.house) == [second]
    assert postman.send_due(told.house) == 1
    ((_, subject, _),) = _letters(box)
    assert subject.startswith(f"Run {second} of customers was cancelled. It was not started, since run {first}")


def test_a_password_is_not_sent_in_clear(told: World, box: Mailbox, monkeypatch: pytest.MonkeyPatch):
    """Without encryption nobody signs in at a mail server of another machine; at one of this machine they do."""
    _given(told, "bob")
    url = told.house.settings.smtp_url.replace("//", "//syncline@")
    told.house = replace(told.house, settings=replace(told.house.settings, smtp_url=url))
    signed: list[str] = []
    monkeypatch.setattr(smtplib.SMTP, "login", lambda _self, user, _password: signed.append(user))
    monkeypatch.setattr(sending, "_on_this_machine", lambda _connection: False)
    assert postman.send_due(told.house) == 0
    assert (signed, box.letters) == ([], [])
    assert "offers no encryption" in _notices(told)[0].problem["template"]
    monkeypatch.undo()
    monkeypatch.setattr(smtplib.SMTP, "login", lambda _self, user, _password: signed.append(user))
    sending.deliver(told.house, {"to": ["b@example.com"], "subject": "s", "text": "t"}, "x")
    assert (signed, len(box.letters)) == (["syncline"], 1)


def test_the_postman_sends_by_himself(told: World, box: Mailbox, monkeypatch: pytest.MonkeyPatch):
    """A thread of the process looks into the box, and ends with it."""
    monkeypatch.setattr(postman, "EVERY", 0.01)
    man = postman.Postman(told.house)
    man.start()
    notices.wish(told.house, "bob", ["assigned"])
    cases.open_case(told.house, cases.NewCase("manual", "New", assignee="bob"), Actor("user", "ada", "1"))
    for _ in range(500):
        if _notices(told)[0].sent_at:
            break
        man.stopping.wait(0.01)
    man.close()
    assert len(box.letters) == 1


def test_the_page_keeps_ones_wishes(told: World, admin_client: FlaskClient):  # noqa: F811
    """From the account; it says where letters go, that no mail server is set up, and which were sent."""
    assert "/notices/" in text(admin_client, "/account/")
    page = text(admin_client, "/notices/")
    assert "No mail server is set up yet" in page
    assert "Nothing yet" in page
    admin_client.post("/notices/", data={"wish": ["assigned", "stopped", "nonsense"]})
    with told.house.db.read() as tx:
        assert notices.wishes(tx) == {"admin": {notices.Wish.ASSIGNED, notices.Wish.STOPPED}}
    cases.open_case(told.house, cases.NewCase("manual", "New", assignee="admin"), Actor("user", "ada", "1"))
    assert "ada has given you case 1." in text(admin_client, "/notices/")
    admin_client.post("/notices/", data={})
    with told.house.db.read() as tx:
        assert notices.wishes(tx) == {}


def test_the_hooks_are_hung_in_once(told: World):
    """However often a process asks for it."""
    before = len(run_hooks.ended), len(case_hooks.assigned)
    waiting.register()
    assert (len(run_hooks.ended), len(case_hooks.assigned)) == before


@pytest.mark.parametrize("crash", [True, False])
def test_a_change_of_worker_loses_nothing(told: World, monkeypatch: pytest.MonkeyPatch, crash: bool):
    """What was parked before a worker died, or gave its run back, is told when another one ends the run; just once."""
    told.rule()
    told.pages_of(1).customers(None, "Ann", None)
    run_id = told.request()
    with monkeypatch.context() as patch:
        if crash:
            dies(patch, Journal, "check_in", 2, before=False)
            with pytest.raises(Killed):
                told.work(run_id)
            told.shift += timedelta(seconds=told.house.settings.lease_seconds + 1)
        else:
            patch.setattr(stopping, "_requested", replaced := type(stopping._requested)())
            replaced.set()
            told.work(run_id)
    assert _events(told, "quarantine.added") == []
    assert told.work(run_id, "w2")
    assert [one["records"] for one in _events(told, "quarantine.added")] == [2]


def test_a_run_that_is_suspended_then_changes_its_worker_tells_each_once(told: World, monkeypatch: pytest.MonkeyPatch):
    """What was told when it was suspended is not told again, and what came before the worker died is."""
    told.rule(errors={"data": "suspend"})
    told.pages_of(1).customers(None, None, "Ann", None)
    run_id = told.request()
    assert told.work(run_id)
    assert [one["records"] for one in _events(told, "quarantine.added")] == [1]
    resume(told.house, run_id, BOB)
    with monkeypatch.context() as patch:
        dies(patch, Journal, "check_in", 1, before=False)
        with pytest.raises(Killed):
            told.work(run_id)
    told.shift += timedelta(seconds=told.house.settings.lease_seconds + 1)
    for _ in range(3):
        told.work(run_id, "w2")
        if told.look(run_id).state == "suspended":
            resume(told.house, run_id, BOB)
    assert sum(one["records"] for one in _events(told, "quarantine.added")) == 3
