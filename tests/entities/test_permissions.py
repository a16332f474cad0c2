"""What one may see and do with records of entities comes of roles: whoever may still can, and refusals say why."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html

from tests.entities.conftest import ANN, field
from tests.entities.permission_world import POLICY, Hidden, entity, furnish, rita
from tests.webapp.conftest import add_user, app, client_of, house, settings, sign_in  # noqa: F401 - fixtures
from webapp.access import role_editing
from webapp.access.role_editing import Role
from webapp.entities import listing, services
from webapp.entities.listing import Query
from webapp.entities.permitted import Permit, permit_of
from webapp.extensions import SYSTEM, House
from webapp.policies import services as policies
from webapp.policies.errors import NotPermitted
from webapp.policies.who import Who, who_of

HIDDEN = Hidden(
    "CN55QUETZAL7788",
    date(1977, 3, 14),
    Decimal("987654.32"),
    "zanzibar",
    "kookaburra",
    Decimal("5.00"),
    "X",
    "Otto",
    3,
)
PERSON = "/api/v1/entities/person/records"
Policy = dict[str, Any]


@pytest.fixture
def her(app: Flask, house: House) -> FlaskClient:  # noqa: F811
    furnish(house, HIDDEN)
    return rita(app, POLICY)


def page(client: FlaskClient, path: str, status: int = 200, **sent: Any) -> str:
    """Return the words of a page; with something to send it is a POST."""
    answer = client.post(path, follow_redirects=True, **sent) if sent else client.get(path)
    assert answer.status_code == status, answer.text
    return re.sub(r"\s+", " ", html.fromstring(answer.text).text_content())


def stored(house: House, name: str, number: int) -> dict[str, Any]:  # noqa: F811
    with house.db.read() as tx:
        return services.get_record(tx, services.entity(tx, name), number)


@pytest.fixture
def who(house: House) -> Callable[..., Who]:  # noqa: F811
    """Return a function that makes a user whose roles have these policies."""

    def make(*documents: Policy, grants: tuple[str, ...] = ("read", "create", "update", "delete", "import")) -> Who:
        names = []
        for number, document in enumerate(documents):
            pairs = frozenset(("Records", deed) for deed in grants)
            role_id = role_editing.save_role(house, Role(None, f"r{number}", grants=pairs), SYSTEM)
            policies.set_policy(house, role_id, document, SYSTEM)
            names.append(f"r{number}")
        user_id = add_user(house, "una", *names)
        with house.db.read() as tx:
            return who_of(tx, user_id)

    return make


def person(**said: Any) -> Policy:
    return {"data": [{"on": "entity/person", **said}]}


def test_a_record_is_shown_and_saved_as_far_as_it_may_be(her: FlaskClient, house: House) -> None:  # noqa: F811
    """The page and the form show what may be seen, masks as masks; saving keeps what was not seen.

    What may only be read stands on the form without an input, what is hidden is not there.
    """
    shown = page(her, "/records/person/1")
    assert "Ada L" in shown
    assert "●●●●7788" in shown
    assert "1977" in shown
    assert not {"Salary", "Total", "Note", "Photo", "zanzibar"} & set(shown.split())
    form = html.fromstring(her.get("/records/person/1/edit").text)
    assert {i.get("name") for i in form.xpath("//main//form//*[@name and not(@type='hidden')]")} == {
        "name", "country", "team", "boss",
    }  # fmt: skip
    assert "Grade" in form.text_content()
    before = stored(house, "person", 1)
    page(her, "/records/person/1/edit", data={"name": "Ada Lo", "country": "CN", "team": "1", "boss": ""})
    after = stored(house, "person", 1)
    assert {name for name in after if before[name] != after[name]} == {"name", "version", "updated_by"} | (
        {"updated_at"} if before["updated_at"] != after["updated_at"] else set()
    )
    assert "Ada Lo" in page(her, "/records/person/1")


def test_whoever_may_still_can(her: FlaskClient, house: House) -> None:  # noqa: F811
    """Create, change, list, count, search, filter, sort, page, export, import and delete work within one's rows."""
    made = her.post(PERSON, json={"name": "Dee", "country": "CN", "team": 1}).get_json()
    assert made["name"] == "Dee"
    assert "salary" not in made
    assert her.patch(f"{PERSON}/{made['id']}", json={"name": "Di", "version": 1}).get_json()["version"] == 2
    first = her.get(f"{PERSON}?sort=name&limit=3").get_json()
    rest = her.get(f"{PERSON}?sort=name&limit=3&after={first['next']}").get_json()
    assert [r["name"] for r in first["items"] + rest["items"]] == ["Ada L", "Bo", "Cy", "Di"]
    assert her.get("/records/person/count").text == "4 records"
    found = her.get(f'{PERSON}?q=cn&filter=[["name","starts","a"]]').get_json()["items"]
    assert [r["name"] for r in found] == ["Ada L"]
    csv = her.post("/records/person/export/csv?f=name:is:Di&c=name&c=salary&c=iban").text
    assert csv.lstrip("\ufeff").splitlines() == ["name,iban", "Di,"]
    job = her.post("/records/person/import", data={"file": (io.BytesIO(b"id,name\n1,Ann\n4,Eve\n"), "x.csv")}).location
    her.post(f"{job}/run", data={"mode": "update", "key": "id", "column-0": "id", "column-1": "name"})
    assert "There is no record with id = '4'" in her.post(f"{job}/step").text.replace("&#39;", "'")
    assert stored(house, "person", 1)["name"] == "Ann"
    assert her.delete(f"{PERSON}/{made['id']}").status_code == 204
    assert "Di" in page(her, f"/records/person/{made['id']}", 410)


def test_refusals_say_what_is_refused(her: FlaskClient) -> None:
    """A refusal names the field or the deed; the side bar and the list offer only what is permitted."""
    assert "'salary' of person is hidden from you, so you cannot sort" in page(her, "/records/person/?sort=salary", 403)
    assert "You may not change 'grade'" in her.patch(f"{PERSON}/1", json={"grade": "C"}).get_json()["detail"]
    assert "do not permit to see records of vault" in page(her, "/records/vault/", 403)
    home = page(her, "/entities/")
    assert "Vault" in home
    links = html.fromstring(her.get("/").text).xpath("//nav//a/@href")
    assert "/records/person/" in links
    assert "/records/vault/" not in links
    listed = html.fromstring(her.get("/records/person/?c=name&c=iban&c=team").text)
    heads = [str(address).rpartition("&")[2] for address in listed.xpath("//thead//a/@href")]
    assert heads == ["sort=name", "sort=team"]
    assert not listed.xpath("//option[@value='salary'] | //input[@value='note']")


def test_the_design_is_for_those_who_see_all(her: FlaskClient, app: Flask) -> None:  # noqa: F811
    """Who may not see all of an entity cannot rename its fields to see them; who may, can."""
    document = {"kind": "entity", "name": "pay", "fields": [{"name": "label", "type": "text"}]}
    assert her.put("/api/v1/entities/pay?dry_run=true", json=document).status_code == 403
    admin = sign_in(app.test_client())
    assert admin.put("/api/v1/entities/pay?dry_run=true", json=document).status_code == 200


def test_auditors_see_no_personal_data(her: FlaskClient, app: Flask) -> None:  # noqa: F811
    """The built-in role Auditor reads all records without the fields that are marked personal."""
    auditor = client_of(app, "aud", "Auditor")
    held = auditor.get(f"{PERSON}/1").get_json()
    assert "born" not in held
    assert held["salary"] == "987654.32"
    assert her.get(f"{PERSON}/1").get_json()["born"] == "1977"


def test_described_as_it_is_for_who_asks(her: FlaskClient) -> None:
    """The description of the API has the fields that the reader sees, masks as texts, and takes what may be written."""
    paths = her.get("/api/v1/openapi.json").get_json()["paths"]
    assert not any("/vault/" in path for path in paths)
    one = paths[f"{PERSON}/{{record_id}}"]
    shown = one["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    taken = one["patch"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert not {"salary", "salary_currency", "total", "note", "photo"} & {*shown, *taken}
    assert shown["born"]["type"] == ["string", "null"]
    assert shown["grade"]["readOnly"]
    assert set(taken) == {"name", "country", "team", "boss"}


def test_rows_count_by_the_deed(house: House, who: Callable[..., Who]) -> None:  # noqa: F811
    """One role shows all rows, another permits to change some: the others are refused as not to be changed."""
    entity(house, "person", field("name"), field("land"))
    for land in ("CN", "DE", "CN"):
        services.create_record(house, "person", {"name": "A", "land": land}, ANN)
    una = who(person(allow=["read"]), person(allow=["read", "update", "create", "delete"], rows="record.land == 'CN'"))
    with house.db.read() as tx:
        assert len(listing.ids(tx, services.entity(tx, "person"), Query(permit=_permit(tx, una)), 10)) == 3
    outcome = services.update_records(house, "person", [1, 2, 3], {"name": "B"}, ANN, una)
    assert [str(r.message) for r in outcome.refusals] == ["Your roles do not permit to change record 2."]
    with pytest.raises(services.RecordRefused, match="with these values"):
        services.change_record(house, services.Edit("person", 1, {"land": "DE"}), ANN, who=una)
    with pytest.raises(services.RecordRefused, match="with these values"):
        services.add_record(house, "person", {"land": "DE"}, ANN, who=una)
    with pytest.raises(services.RecordRefused, match="delete record 2"):
        services.delete_record(house, "person", 2, ANN, who=una)
    assert services.delete_records(house, "person", [1, 2, 3], ANN, una).changed == 2


def test_unique_values_do_not_name_records_out_of_sight(house: House, who: Callable[..., Who]) -> None:  # noqa: F811
    """That a value is taken cannot be kept from who writes it; by which record is not told, nor any other's values."""
    entity(
        house, "person", field("land"), field("code", unique=True),
        field("secret"), field("mark", computed="secret + code", unique=True),
        validations=[{"name": "pair", "unique": ["land", "code"]}],
    )  # fmt: skip
    services.create_record(house, "person", {"land": "DE", "code": "7", "secret": "zz"}, ANN)
    services.create_record(house, "person", {"land": "CN", "code": "8", "secret": "zz7"}, ANN)
    una = who(person(rows="record.land == 'CN'", fields={"secret": "hide"}))
    told = []
    for values in ({"code": "7", "land": "CN"}, {"code": "8", "land": "CN"}):
        with pytest.raises(services.RecordRefused) as refused:
            services.add_record(house, "person", values, ANN, who=una)
        told += [str(m) for m in refused.value.errors.values()]
    assert told == ["The value '7' is already used.", "The value '8' is already used."]


def test_who_is_restricted_in_nothing_pays_nothing(house: House, who: Callable[..., Who]) -> None:  # noqa: F811
    """Without a policy no condition is added to a query, no record is copied, and the cheap number of records stays."""
    entity(house, "person", field("name"))
    services.create_record(house, "person", {"name": "A"}, ANN)
    una = who({})
    with house.db.read() as tx:
        permit = _permit(tx, una)
        assert permit.unrestricted
        assert permit.rows is None
        held = listing.page(tx, permit.entity, Query(permit=permit))
        assert not Query(permit=permit).limited
        assert held.records == listing.page(tx, permit.entity, Query()).records


def test_exact_conditions_in_every_type(house: House, who: Callable[..., Who]) -> None:  # noqa: F811
    """Rows are chosen alike by lists (in SQL) and by writes (in columns), for every type of field."""
    entity(
        house, "person", field("d", "decimal", precision=25, scale=3), field("m", "money", currency="CNY"),
        field("b", "boolean"), field("t", "datetime"), field("j", "choice", choices=[{"value": "x"}, {"value": "y"}]),
    )  # fmt: skip
    for n in range(6):
        values = {"d": Decimal(n) / 2, "m": Decimal(n), "b": n % 2 == 0, "j": "xy"[n % 2]}
        services.create_record(house, "person", values if n else {}, ANN)
    rows = "(record.d >= 1.5 && record.m < 5.0 && !record.b) || record.j == 'x' && record.created_by == 'ann'"
    una = who(person(rows=rows))
    with house.db.read() as tx:
        seen = listing.ids(tx, services.entity(tx, "person"), Query(permit=_permit(tx, una)), 10)
    outcome = services.update_records(house, "person", range(1, 7), {"t": house.clock()}, ANN, una)
    assert seen == [i for i in outcome.ids if i is not None] == [3, 4, 5]


def test_a_deed_that_no_role_permits(house: House, who: Callable[..., Who]) -> None:  # noqa: F811
    """A denial beats what the permissions for rooms say, at the service as well."""
    entity(house, "person", field("name"), field("secret"))
    una = who(person(deny=["create"], fields={"secret": "read"}))
    with pytest.raises(NotPermitted, match="create records"):
        services.add_record(house, "person", {"name": "A"}, ANN, who=una)
    services.create_record(house, "person", {"secret": "s"}, ANN)
    with pytest.raises(NotPermitted, match="You may not change 'secret'"):
        services.update_records(house, "person", [1], {"secret": None}, ANN, una)
    assert stored(house, "person", 1)["secret"] == "s"


def _permit(tx: Any, who: Who) -> Permit:
    return permit_of(tx, who, services.entity(tx, "person"))
