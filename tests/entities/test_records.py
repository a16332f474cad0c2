"""Records: checked, numbered, locked against lost updates, with a history of every change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from rules.text import Message
from tests.entities.conftest import ANN, field
from webapp.audit.models import audit_event
from webapp.entities import history, services
from webapp.entities.model import Entity
from webapp.entities.plain import Batch
from webapp.entities.services import NoRecord, RecordRefused
from webapp.extensions import House

Define = Callable[..., Entity]
CHOICES = [{"value": "a"}, {"value": "b"}]


def add(house: House, entity_: str, **values: Any) -> int:
    return services.create_record(house, entity_, values, ANN)


def get(house: House, name: str, record_id: int) -> dict[str, Any]:
    with house.db.read() as tx:
        return services.get_record(tx, services.entity(tx, name), record_id)


def refused(write: Callable[[], Any]) -> dict[str, str]:
    with pytest.raises(RecordRefused) as caught:
        write()
    return {name: str(message) for name, message in caught.value.errors.items()}


def past(house: House, name: str, record_id: int) -> list[tuple[Any, Any]]:
    with house.db.read() as tx:
        return [(e["before"], e["after"]) for e in history.of_record(tx, name, record_id)]


def tags(house: House) -> list[tuple[str, str | None]]:
    with house.db.read() as tx:
        return [
            tuple(row)
            for row in tx.execute(sa.select(audit_event.c.tag, audit_event.c.record_key).order_by(audit_event.c.id))
        ]


def test_every_mistake_is_told_at_its_field(house: House, define: Define) -> None:
    """A record with several mistakes is refused with a sentence for each field."""
    define(
        "item", field("name", required=True, length=5), field("mail", "email"), field("phone", "phone"),
        field("site", "url"),
        field("n", "decimal", precision=4, scale=1), field("c", "choice", choices=CHOICES), field("m", "money"),
        field("scan", "file"), field("other", "reference", entity="item"),
    )  # fmt: skip
    values = {
        "mail": "x", "phone": "call me", "site": "ftp://x", "n": Decimal("1000.0"), "c": "z", "m": Decimal(1),
        "scan": "../../etc/passwd", "other": 99,
    }  # fmt: skip
    found = refused(lambda: add(house, "item", **values))
    assert set(found) == {"name", "mail", "phone", "site", "n", "c", "m_currency", "scan", "other"}
    assert refused(lambda: add(house, "item", name="123456")) == {"name": "The text is longer than 5 characters."}
    assert "cannot be stored" in refused(lambda: add(house, "item", name="a\x00"))["name"]


def test_the_admins_condition_is_asked_with_its_own_sentence(house: House, define: Define) -> None:
    """A validation refuses with the admin's words in both languages; what it reads but is empty counts as met."""
    check = {"expression": "high >= low", "message": {"en": "High below low.", "zh": "上限低于下限。"}}
    define("item", field("low", "integer"), field("high", "integer", validation=check))
    with pytest.raises(RecordRefused) as caught:
        add(house, "item", low=5, high=4)
    sentence = caught.value.errors["high"]
    assert str(sentence) == "High below low."
    assert "上限低于下限。" in str(sentence.to_json())
    one = add(house, "item", low=5)
    add(house, "item", high=4)
    assert set(refused(lambda: services.update_record(house, "item", one, {"high": 1}, ANN))) == {"high"}
    assert isinstance(sentence, Message)


def test_an_old_mistake_does_not_stand_in_the_way(house: House, define: Define) -> None:
    """A record that breaks a newer validation can still be changed in other fields."""
    define("item", field("n", "integer"), field("t"))
    one = add(house, "item", n=-1)
    define("item", field("n", "integer", validation={"expression": "n > 0"}), field("t"))
    assert services.update_record(house, "item", one, {"t": "x"}, ANN)
    assert set(refused(lambda: services.update_record(house, "item", one, {"n": -2}, ANN))) == {"n"}


def test_defaults_and_formulas_fill_in(house: House, define: Define) -> None:
    """What is not stated takes its default, formulas follow, and nobody writes them by hand."""
    define(
        "item", field("price", "decimal", scale=2, default="2.50"), field("count", "integer"),
        field("sum", "money", currency="CNY", computed="price * count"),
        field("double", "decimal", scale=1, computed="sum * 2"),
    )  # fmt: skip
    one = add(house, "item", count=3)
    found = get(house, "item", one)
    assert (found["price"], found["sum"], found["sum_currency"], found["double"]) == (
        Decimal("2.50"),
        Decimal("7.50"),
        "CNY",
        Decimal("15.0"),
    )
    services.update_record(house, "item", one, {"price": Decimal("1.25")}, ANN)
    assert get(house, "item", one)["sum"] == Decimal("3.75")
    services.update_record(house, "item", one, {"price": None}, ANN)
    found = get(house, "item", one)
    assert (found["sum"], found["sum_currency"], found["double"]) == (None, None, None)


def test_two_people_do_not_overwrite_each_other(house: House, define: Define) -> None:
    """Who changes a record that somebody else has changed since is told so, and nothing is written."""
    define("item", field("a"))
    one = add(house, "item", a="x")
    services.update_record(house, "item", one, {"a": "y"}, ANN, version=1)
    assert (
        "someone else"
        in refused(lambda: services.update_record(house, "item", one, {"a": "z"}, ANN, version=1))["version"]
    )
    assert "someone else" in refused(lambda: services.delete_record(house, "item", one, ANN, version=1))["version"]
    assert get(house, "item", one)["a"] == "y"


def test_history_tells_the_changed_fields(house: House, define: Define) -> None:
    """The history of a record has what was created, each changed field before and after, and what was deleted."""
    define("item", field("a"), field("n", "integer"), field("tags", "multi_choice", choices=CHOICES))
    one = add(house, "item", a="x", tags='["a"]')
    services.update_record(house, "item", one, {"a": "x", "n": 2, "tags": '["b","a"]'}, ANN)
    services.update_record(house, "item", one, {"n": 2}, ANN)
    services.delete_record(house, "item", one, ANN)
    assert past(house, "item", one) == [
        ({"a": "x", "n": 2, "tags": ["a", "b"]}, None),
        ({"n": None, "tags": ["a"]}, {"n": 2, "tags": ["a", "b"]}),
        (None, {"a": "x", "tags": ["a"]}),
    ]
    with pytest.raises(NoRecord):
        get(house, "item", one)


def test_single_edits_and_bulk_edits_in_the_audit_log(house: House, define: Define) -> None:
    """A single edit is one event with the record's number, an edit of many one event with counts."""
    define("item", field("a"))
    ids = [add(house, "item", a=a) for a in "xyz"]
    services.update_record(house, "item", ids[0], {"a": "X"}, ANN)
    outcome = services.update_records(house, "item", [*ids, 999], {"a": "all"}, ANN)
    assert (outcome.changed, len(outcome.refusals)) == (3, 1)
    services.delete_records(house, "item", ids[1:], ANN)
    assert tags(house) == [
        ("entities:entity:created", None),
        *(("entities:record:created", str(i)) for i in ids),
        ("entities:record:updated", str(ids[0])),
        ("entities:records:updated", None),
        ("entities:records:deleted", None),
    ]
    assert [len(past(house, "item", i)) for i in ids] == [3, 3, 3]


def test_references_are_kept_whole(house: House, define: Define) -> None:
    """A record that others need stays; where the reference says so it is emptied, with history."""
    define("team", field("name"))
    define(
        "person",
        field("team", "reference", entity="team", on_delete="clear"),
        field("boss", "reference", entity="person"),
    )
    team = add(house, "team", name="A")
    boss = add(house, "person", team=team)
    worker = add(house, "person", team=team, boss=boss)
    assert "points to it" in refused(lambda: services.delete_record(house, "person", boss, ANN))[""]
    services.delete_record(house, "team", team, ANN)
    assert get(house, "person", worker)["team"] is None
    assert past(house, "person", worker)[0] == ({"team": team}, {"team": None})
    assert services.delete_records(house, "person", [boss, worker], ANN).changed == 2


def test_a_record_stays_for_one_that_stays(house: House, define: Define) -> None:
    """Of a chain of references whose end is needed by somebody else, all stay, in whatever order they are deleted."""
    define("person", field("boss", "reference", entity="person"))
    first = add(house, "person")
    second = add(house, "person", boss=first)
    third = add(house, "person", boss=second)
    outsider = add(house, "person", boss=third)
    outcome = services.delete_records(house, "person", [first, second, third, first], ANN)
    assert (outcome.changed, {r.row for r in outcome.refusals}) == (0, {0, 1, 2, 3})
    assert services.delete_records(house, "person", [outsider, first, third, second], ANN).changed == 4


def test_a_batch_keeps_what_each_record_does_not_state(house: House, define: Define) -> None:
    """Records of one batch that state different fields empty nothing of each other; refused ones keep their places."""
    define("item", field("a"), field("n", "integer"), field("u", unique=True))
    one, two = add(house, "item", a="x", n=1), add(house, "item", a="y", n=2)
    batch = Batch(
        create=({"u": "1"}, {"u": "1"}, {"a": "z"}),
        update=({"id": one, "a": "X"}, {"id": two, "n": 9}, {"id": 99, "a": ""}),
        delete=(98,),
    )
    result = services.write_batch(house, "item", batch, ANN)
    assert (result.created, result.updated, result.deleted) == (2, 2, 0)
    assert [i is not None for i in result.ids] == [True, False, True]
    assert [(e.deed, e.row) for e in result.errors] == [("create", 1), ("update", 2), ("delete", 0)]
    assert [(get(house, "item", i)["a"], get(house, "item", i)["n"]) for i in (one, two)] == [("X", 1), ("y", 9)]


def test_unique_holds_between_transactions(house: House, define: Define) -> None:
    """Of many writers that want the same unique value at the same moment exactly one gets it; nobody sees an error."""
    define("item", field("u", unique=True))
    won: list[int] = []
    lost: list[str] = []
    start = threading.Barrier(4)

    def write() -> None:
        start.wait()
        try:
            won.append(add(house, "item", u="same"))
        except RecordRefused as error:
            lost.append(str(error))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 3)
    assert all("already used" in text for text in lost)
