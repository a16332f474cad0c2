"""Rules that the database of both sides carries out itself: what is refused, what is kept, what a crash leaves."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest

from connectors.builtin.database_push import DatabasePush
from rules.documents import errors
from tests.runs import pushed
from tests.runs.conftest import ADMIN, numbers
from tests.runs.test_crash import Killed, dies, sleeps, taken_over
from tests.runs.test_filtering import log
from webapp.rulebook import services as rulebook
from webapp.rulebook.checking import check
from webapp.runs import plans, reading
from webapp.runs.followups import undo
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.planning import Planner
from webapp.runs.requests import start
from webapp.runs.systems import Reached

RULE = {
    "kind": "sync",
    "name": "pushed",
    "direction": "left_to_right",
    "left": {"connection": "db", "object": "src"},
    "right": {"connection": "db", "object": "pushed"},
    "key": {"left": "id", "right": "no"},
    "fields": [{"left": "id", "right": "no"}, {"right": "title", "to_right": "name.trim()"}],
    "execute": "pushdown",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def story(request, world, postgres_url):
    with getattr(pushed, request.param)(world, postgres_url) as ask:
        yield pushed.Story(world, ask, 1)


def fill(story, *names):
    for number, name in enumerate(names, 1):
        story.ask("INSERT INTO src (id, name) VALUES (?, ?)", number, name)


def publish(story, **changes):
    rulebook.create(story.world.house, {**RULE, **changes}, ADMIN)
    rulebook.publish(story.world.house, "pushed", ADMIN)


def run(story, mode="live"):
    return story.world.look(story.run("pushed", mode))


def titles(story):
    return story.ask("SELECT no, title FROM pushed ORDER BY no")


def problems(story, **changes):
    found = errors(check(story.world.house, {**RULE, **changes}))
    return {problem.path: (str(problem.message), problem.column) for problem in found}


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("name.trim().capitalize()", 12, "capitalize() has no SQL form."),
        ("qty > 0 ? name : toText(qty)", 18, "toText() has no SQL form."),
        ("string(price)", 1, "string() has no SQL form."),
        ("day == date('2024-01-01') ? 'a' : 'b'", 1, "Fields of type date are worked out by Syncline only."),
    ],
)
def test_an_expression_without_a_form_is_refused_at_its_place(story, text, column, words):
    """The problem names the part, and stands at its column."""
    told, at = problems(story, fields=[RULE["fields"][0], {"right": "title", "to_right": text}])["fields/1/to_right"]
    assert told.startswith(words)
    assert told.endswith("A rule that is carried out inside the database cannot use it.")
    assert abs(at - column) <= len("name.trim().")


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"direction": "two_way"}, "execute", "flows one way"),
        ({"situations": {"deleted_left": "case"}, "deletes": {"detect": "full_scan"}}, "execute", "no cases"),
        ({"right": {"connection": "erp", "object": "client"}}, "execute", "in one database"),
        ({"key": {"left": "id", "right": "amount"}}, "execute", "one key of the table"),
        ({"fields": [{"right": "no", "to_right": "id + 1"}]}, "execute", "has to get 'id' as it is"),
        ({"detect": {"left": {"by": "cursor", "field": "local"}}}, "detect/left/by", "choose full"),
        ({"fields": [*RULE["fields"], {"left": "price", "right": "code"}]}, "fields/2", "in Syncline only"),
        ({"validations": [{"name": "one", "unique": ["name"]}]}, "validations/0/unique", "other records"),
    ],
)
def test_what_a_database_cannot_give_is_refused_in_words(story, changes, path, words):
    """A rule says at its key what keeps it from being carried out inside the database."""
    assert words in problems(story, **changes)[path][0]


def test_no_record_is_read_where_the_database_is_certain(story, monkeypatch):
    """A first load and an update go by without a page that Syncline plans."""
    fill(story, " Ada", "Bea", "Cid")
    publish(story)
    monkeypatch.setattr(Planner, "plan", lambda *_: pytest.fail("a page was planned"))
    assert numbers(run(story)) == {"read": 3, "created": 3}
    story.ask("UPDATE src SET name = 'New' WHERE id = 2")
    done = run(story)
    assert numbers(done) == {"read": 3, "updated": 1, "unchanged": 2}
    assert titles(story) == [(1, "Ada"), (2, "New"), (3, "Cid")]
    (record,) = story.world.records(done.id)
    assert (record.before, record.after) == ({"title": "Bea"}, {"title": "New"})


def test_a_record_that_the_database_refuses_spoils_nothing_else(story):
    """Its range is written by Syncline, which parks that record with the reason of the database."""
    fill(story, "Ada", "refused", "Cid")
    publish(story)
    assert numbers(run(story)) == {"read": 3, "created": 2, "quarantined": 1}
    assert titles(story) == [(1, "Ada"), (3, "Cid")]


def test_a_range_that_the_database_refuses_is_told_of_once(story, monkeypatch):
    """It is written page by page to its end, without asking the database for the rest of it after each page."""
    fill(story, *("refused" if number == 29 else "Ada" for number in range(1, 41)))
    publish(story)
    asked, write = [], DatabasePush.write
    monkeypatch.setattr(DatabasePush, "write", lambda *args: (asked.append(1), write(*args)))
    done = run(story)
    assert numbers(done) == {"read": 40, "created": 39, "quarantined": 1}
    assert [str(line) for line in log(story.world, done.id) if "refused" in str(line)] == [
        "The database refused 1 ranges, since a record of them cannot be written. They were written by Syncline."
    ]
    assert len(asked) == 2, "one for each range"


@pytest.mark.parametrize(
    ("owner", "name", "before"),
    [
        (DatabasePush, "write", False),
        (Journal, "plan", True),
        (Journal, "plan", False),
        (Journal, "check_in", True),
        (Journal, "check_in", False),
    ],
)
def test_a_killed_worker_doubles_and_loses_nothing(story, monkeypatch, owner, name, before):
    """Wherever it dies in the second range, another one goes on; counts and links are those of one run."""
    fill(story, *(f"Name {number}" for number in range(1, 91)))
    publish(story)
    run_id = start(story.world.house, "pushed", "live", ADMIN)
    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        dies(patch, owner, name, 2, before)
        story.world.work(run_id)
    story.world.shift += timedelta(hours=1)
    assert story.world.work(run_id, "w2")
    done = story.world.look(run_id)
    assert (done.state, numbers(done)) == ("succeeded", {"read": 90, "created": 90})
    assert len(titles(story)) == 90
    assert numbers(run(story)) == {"read": 90, "unchanged": 90}


def test_a_worker_that_slept_between_note_and_commit_doubles_and_loses_nothing(story, monkeypatch):
    """Who takes its run over waits for its transaction, and checks in what it had noted: also what was before."""
    fill(story, *(f"Name {number}" for number in range(1, 91)))
    publish(story)
    assert numbers(run(story)) == {"read": 90, "created": 90}
    story.ask("UPDATE src SET name = 'New' WHERE id > 30")
    run_id = start(story.world.house, "pushed", "live", ADMIN)
    asked = (type(_target(story)), "arrived")
    with monkeypatch.context() as patch, taken_over(story.world, run_id, asked) as sleep:
        sleeps(patch, Journal, "plan", 2, False, sleep)
        story.world.work(run_id)
    done = story.world.look(run_id)
    assert (done.state, done.attempts) == ("succeeded", 2), str(done.message)
    assert numbers(done) == {"read": 90, "updated": 60, "unchanged": 30}
    assert sorted(titles(story)) == [(n, "New" if n > 30 else f"Name {n}") for n in range(1, 91)]
    undone = undo(story.world.house, run_id, ADMIN)
    assert story.world.work(undone)
    assert sorted(titles(story)) == [(n, f"Name {n}") for n in range(1, 91)]


def _target(story):
    with Reached(story.world.house) as reached, reached.connect("db") as connector:
        return connector


def test_guards_are_asked_before_a_range_is_written(story):
    """A run that would create too many records stops, and nothing of the range is there."""
    fill(story, *("Ada",) * 20)
    publish(story, guards=[{"metric": "creates", "over": 5}])
    assert run(story).state == "suspended"
    assert titles(story) == []


def test_a_simulation_shows_values_and_writes_nothing(story):
    """Its plan names the records with their fields, and says why it cannot be approved."""
    fill(story, " Ada ", "Bea")
    publish(story)
    done = run(story, "simulate")
    assert numbers(done) == {"read": 2, "created": 2}
    assert titles(story) == []
    assert [record.after for record in story.world.records(done.id)] == [
        {"no": 1, "title": "Ada"},
        {"no": 2, "title": "Bea"},
    ]
    with story.world.house.db.read() as tx:
        why = plans.hindrance(tx, reading.get(tx, done.id), story.world.now(), 7)
    assert "holds no values" in str(why)


def test_undoing_says_what_stays(story):
    """Updates are taken back; created records stay, and say why."""
    fill(story, "Ada", "Bea")
    story.ask("INSERT INTO pushed (no, title) VALUES (1, 'Old')")
    publish(story)
    run_id = undo(story.world.house, run(story).id, ADMIN)
    assert story.world.work(run_id)
    assert titles(story) == [(1, "Old"), (2, "Bea")]
    reasons = [str(record.reason) for record in story.world.records(run_id) if record.reason]
    assert any("not kept, so it stays" in reason for reason in reasons)


def test_records_that_are_gone_are_deleted(story):
    """What the source has lost is deleted in the target, with its before-image."""
    fill(story, "Ada", "Bea")
    publish(story, deletes={"detect": "full_scan"}, situations={"deleted_left": "delete"})
    run(story)
    story.ask("DELETE FROM src WHERE id = 2")
    done = run(story)
    assert numbers(done) == {"read": 1, "unchanged": 1, "deleted": 1}
    assert titles(story) == [(1, "Ada")]
