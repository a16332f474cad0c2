"""What editors ask while somebody writes an expression."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.webapp.conftest import add_user, sign_in
from webapp.access.role_editing import Role, save_role
from webapp.entities import services as entities
from webapp.extensions import SYSTEM, House

ACCOUNT = "/expressions/?connection=crm&object=account"
FIELDS = [
    {"name": "qty", "type": "integer"},
    {"name": "客户", "type": "text", "label": "Customer"},
    {"name": "credit.limit"},
]


def ask(client: FlaskClient, address: str, **body: Any) -> Any:
    answer = client.post(address, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_what_can_be_written(console: House, admin_client: FlaskClient) -> None:
    """Fields come with type, an example and the values that occur; functions with signature, doc and example."""
    words: Any = admin_client.get(ACCOUNT).json
    fields = {field["name"]: field for field in words["fields"]}
    assert fields["status"]["values"] == ["active", "closed"]
    assert fields["name"]["sample"] == "上海贝尔"
    assert fields["id"]["kind"] == "number"
    functions = {function["name"]: function for function in words["functions"]}
    assert functions["trim"]["member"]
    assert functions["trim"]["signatures"][0]["parameters"][0]["type"] == "text"
    assert functions["trim"]["example"]
    assert {word["name"] for word in words["words"]} >= {"has", "exists", "null"}
    assert [r["label"] for r in words["relations"]["date"]][2] == "is after"
    assert words["relations"]["text"][0] == {"name": "is", "label": "is", "values": 1}


def test_a_problem_has_its_range_and_what_to_type(console: House, admin_client: FlaskClient) -> None:
    """The range ends behind the wrong word, so that it can be underlined and replaced."""
    found = ask(admin_client, ACCOUNT, text="status == 'x' &&\n nme == 'y'", expect="boolean")
    assert [(p["line"], p["column"], p["end"], p["suggestion"]) for p in found["problems"]] == [(2, 2, 5, "name")]
    assert found["problems"][0]["severity"] == "error"
    assert found["samples"] == []


def test_results_for_real_records(console: House, admin_client: FlaskClient) -> None:
    """The first records are shown with what the expression reads, its value, or why it has none."""
    found = ask(admin_client, ACCOUNT, text="phone.trim()")
    assert found["type"] == "text"
    assert found["inputs"] == [{"name": "phone", "label": "phone"}]
    assert [s["record"] for s in found["samples"]] == ["1", "2", "3"]
    assert found["samples"][0]["value"] == "021-555"
    assert found["samples"][2]["value"] is None
    assert "phone" in found["samples"][2]["error"]
    assert (found["count"], found["failed"]) == (3, 1)


def test_a_condition_counts_what_it_finds(console: House, admin_client: FlaskClient) -> None:
    """A condition says how many of the first records it finds; another type is a problem."""
    assert ask(admin_client, ACCOUNT, text="status == 'active'", expect="boolean")["matching"] == 2
    assert "boolean is needed" in ask(admin_client, ACCOUNT, text="name", expect="boolean")["problems"][0]["message"]


def test_nothing_typed_is_no_problem(console: House, admin_client: FlaskClient) -> None:
    """An empty field has neither problems nor results."""
    assert ask(admin_client, ACCOUNT, text="  ")["problems"] == []


def test_a_system_that_does_not_answer_is_named(console: House, admin_client: FlaskClient) -> None:
    """Without the fields nothing can be checked, and the reason is said."""
    found = ask(admin_client, "/expressions/?connection=nowhere&object=x", text="a")
    assert "nowhere" in found["outage"]
    assert found["problems"] == []


def test_a_scope_of_plain_fields(console: House, admin_client: FlaskClient) -> None:
    """Pages with fields of their own send them along: they are completed and checked, without records."""
    assert ask(admin_client, "/expressions/", text="qty + 1", fields=FIELDS)["type"] == "integer"
    words = ask(admin_client, "/expressions/", words=True, fields=FIELDS)
    assert [(f["text"], f["label"]) for f in words["fields"]] == [
        ("qty", ""),
        ('record["客户"]', "Customer"),
        ("credit.limit", ""),
    ]


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("/expressions/", {"text": "a"}),
        ("/expressions/", {"text": "a", "fields": [{"type": "text"}]}),
        ("/expressions/", {"text": "a", "fields": [5]}),
        ("/expressions/", {"text": "a", "fields": [{"name": "a", "type": "decimal", "scale": 99}]}),
        ("/expressions/", {"text": "a", "fields": [{"name": "a", "type": "decimal", "scale": -5}]}),
        ("/expressions/condition", []),
    ],
)
def test_half_a_question_is_refused(console: House, admin_client: FlaskClient, address: str, body: Any) -> None:
    """Without a scope, or with a broken one, there is no answer."""
    assert admin_client.post(address, json=body).status_code == 422


def test_an_entity_is_a_scope(console: House, admin_client: FlaskClient) -> None:
    """Entities are asked about by name; one that is gone is named."""
    found = ask(admin_client, "/expressions/?entity=nothing", text="a")
    assert "nothing" in found["outage"]
    entity = {"kind": "entity", "name": "customer", "fields": [{"name": "city", "type": "text"}]}
    entities.define(console, entity, SYSTEM)
    admin_client.post("/api/v1/entities/customer/records", json={"city": "Berlin"})
    assert ask(admin_client, "/expressions/?entity=customer", text="city.lower()")["samples"][0]["value"] == "berlin"


def test_an_entity_with_fields_that_it_does_not_have_yet(console: House, admin_client: FlaskClient) -> None:
    """Fields being designed can be named; those that exist as they are show their values."""
    entity = {"kind": "entity", "name": "customer", "fields": [{"name": "city", "type": "text"}]}
    entities.define(console, entity, SYSTEM)
    admin_client.post("/api/v1/entities/customer/records", json={"city": "Berlin"})
    fields = [
        {"name": "city", "type": "text"},
        {"name": "vip", "type": "boolean"},
        {"name": "debt", "type": "decimal", "scale": 2},
    ]
    found = ask(admin_client, "/expressions/?entity=customer", text="city + (vip == null ? '?' : '')", fields=fields)
    assert found["samples"][0]["value"] == "Berlin?"


def test_rows_and_back(console: House, admin_client: FlaskClient) -> None:
    """A text is read as rows, rows are written as text, an empty text is a condition without rows."""
    read = ask(admin_client, "/expressions/condition", text="status == 'active' && size(name) > 3")
    first, second = read["model"]["members"]
    assert (first["field"], first["relation"], first["values"]) == (
        "status",
        "is",
        [{"kind": "text", "text": "active"}],
    )
    assert second == {"code": "size(name) > 3"}
    assert ask(admin_client, "/expressions/condition", model=read["model"])["text"] == (
        "status == 'active' && size(name) > 3"
    )
    assert ask(admin_client, "/expressions/condition", text=" ")["model"]["members"] == []


def test_what_cannot_be_read_or_written_is_said(console: House, admin_client: FlaskClient) -> None:
    """A broken text has problems, a row without a value is named by its place."""
    assert ask(admin_client, "/expressions/condition", text="a ==")["problems"][0]["line"] == 1
    row = {"field": "id", "relation": "greater", "values": [{"kind": "number", "text": "many"}], "guarded": False}
    wrong = ask(admin_client, "/expressions/condition", model={"join": "all", "members": [row]})["wrong"]
    assert wrong["path"] == [0]
    assert "many" in wrong["message"]


def test_strangers_are_sent_to_sign_in(console: House, client: FlaskClient) -> None:
    """Nobody gets fields or records without having signed in."""
    assert client.get(ACCOUNT).status_code == 302
    assert client.post("/expressions/condition", json={"text": "a"}).status_code == 302


def somebody(house: House, client: FlaskClient, *grants: tuple[str, str]) -> FlaskClient:
    """Return the client of somebody who may do these things only."""
    save_role(house, Role(None, "Own", "", 0, frozenset(grants)), SYSTEM)
    add_user(house, "eve", "Own")
    return sign_in(client, "eve")


def test_values_are_for_those_who_may_read_records(console: House, client: FlaskClient) -> None:
    """Who may read rules but no records gets fields and problems, and no value of any record."""
    eve = somebody(console, client, ("Rules", "read"))
    words = eve.get(ACCOUNT)
    assert "status" in words.text
    assert "active" not in words.text
    found = ask(eve, ACCOUNT, text="status")
    assert found["type"] == "text"
    assert found["samples"] == []


@pytest.mark.parametrize(
    ("grant", "address", "status"),
    [
        ("Entities", "/expressions/?entity=customer", 200),
        ("Entities", ACCOUNT, 403),
        ("Entities", f"{ACCOUNT}&entity=customer", 403),
        ("Rules", "/expressions/?entity=customer", 403),
        ("Runs", "/expressions/condition", 403),
        ("Runs", "/expressions/", 403),
    ],
)
def test_each_scope_has_its_permission(
    console: House, client: FlaskClient, grant: str, address: str, status: int
) -> None:
    """Objects belong to those who read rules, entities to those who read entities."""
    eve = somebody(console, client, (grant, "read"))
    assert eve.post(address, json={"text": "a", "fields": FIELDS}).status_code == status
