"""The pages of entities and records: what a person sees, sends and is told."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html

from tests.entities.conftest import ANN, field
from tests.webapp.conftest import admin_client, app, client, client_of, settings  # noqa: F401 - fixtures
from webapp.entities import services
from webapp.extensions import House

CHOICES = [{"value": "a", "label": {"en": "Active", "zh": "有效"}}, {"value": "b"}]


@pytest.fixture
def house(app: Flask) -> House:  # noqa: F811
    return app.extensions["syncline"]


@pytest.fixture
def page(admin_client: FlaskClient) -> FlaskClient:  # noqa: F811
    return admin_client


def make(house: House, *fields: dict[str, Any], name: str = "item", **more: Any) -> None:
    services.define(house, {"kind": "entity", "name": name, "fields": list(fields), **more}, ANN)


def add(house: House, **values: Any) -> int:
    return services.create_record(house, "item", values, ANN)


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", html.fromstring(answer.text).text_content())


def designer(**inputs: str) -> dict[str, str]:
    start = {
        "new": "yes",
        "label_en": "Sales order",
        "label_zh": "订单",
        "name": "",
        "fields-0-name": "number",
        "fields-0-type": "text",
        "fields-0-required": "1",
    }
    return {**start, **inputs}


def test_an_entity_is_designed_reviewed_and_used(page: FlaskClient, house: House) -> None:
    """From the empty designer to a record: name from the label, plan, creation, list, form, record page."""
    assert "No entity yet" in text(page.get("/entities/"))
    assert page.get("/entities/new-entity").status_code == 200
    sent = designer(**{"fields-1-label_en": "Unit price", "fields-1-type": "decimal", "fields-1-scale": "3"})
    plan = page.post("/entities/design", data={**sent, "do": "review"})
    assert "created with 2 fields" in text(plan)
    document = html.fromstring(plan.text).xpath("//input[@name='document']/@value")[0]
    done = page.post("/entities/apply", data={"document": document, "new": "yes"}, follow_redirects=True)
    assert "No records yet" in text(done)
    assert "Sales order" in text(page.get("/"))
    created = page.post(
        "/records/sales_order/add", data={"number": "A-1", "unit_price": "1,234.5"}, follow_redirects=True
    )
    assert "A-1" in text(created)
    assert "1,234.500" in text(created)
    assert "A-1" in text(page.get("/records/sales_order/"))


def test_the_designer_tells_mistakes_at_their_place(page: FlaskClient) -> None:
    """A wrong expression is told with its column, at its input, while designing and when reviewing."""
    sent = designer(**{"fields-1-name": "n", "fields-1-type": "integer", "fields-1-validation": "n > nothing"})
    check = page.post("/entities/design", data={**sent, "do": "check"}, headers={"HX-Request": "true"})
    slot = html.fromstring(f"<div>{check.text}</div>").get_element_by_id("slot-fields-1-validation")
    assert "Column 5" in slot.text_content()
    review = page.post("/entities/design", data={**sent, "do": "review"})
    assert review.status_code == 422
    assert "Column 5" in text(review)


def test_fields_are_added_moved_and_removed(page: FlaskClient) -> None:
    """The designer's buttons work on the fields as they stand in the form, with and without scripts."""
    sent = designer(**{"fields-1-name": "b", "fields-1-type": "integer"})
    names = "//input[re:test(@name, '^fields-\\d+-name$')]/@value"
    space = {"re": "http://exslt.org/regular-expressions"}
    for deed, expected in (
        ("up:1", ["b", "number"]),
        ("down:0", ["b", "number"]),
        ("remove:0", ["b"]),
        ("add:money", ["number", "b", ""]),
    ):
        for headers in ({}, {"HX-Request": "true"}):
            answer = page.post("/entities/design", data={**sent, "do": deed}, headers=headers)
            assert html.fromstring(answer.text).xpath(names, namespaces=space) == expected


def test_losing_values_needs_a_tick(page: FlaskClient, house: House) -> None:
    """A change that loses values shows how many and waits for the tick."""
    make(house, field("a"), field("b"))
    add(house, a="x", b="y")
    sent = {
        "new": "no",
        "name": "item",
        "fields-0-name": "a",
        "fields-0-was": "a",
        "fields-0-type": "text",
        "do": "review",
    }
    plan = page.post("/entities/design", data=sent)
    assert "values of 1 records" in text(plan)
    document = html.fromstring(plan.text).xpath("//input[@name='document']/@value")[0]
    assert page.post("/entities/apply", data={"document": document, "new": "no"}).status_code == 422
    assert page.post("/entities/apply", data={"document": document, "new": "no", "confirm": "yes"}).status_code == 302
    with house.db.read() as tx:
        assert services.entity(tx, "item").data_names == ("a",)


def test_saving_writes_only_what_was_touched(page: FlaskClient, house: House) -> None:
    """A form that is saved as it is changes nothing: no second of a time is lost that the input cannot show."""
    make(house, field("at", "datetime", default="now"), field("t"), field("j", "json"))
    one = add(house, t=" spaces ", j='{"n":1.50}')
    form = html.fromstring(page.get(f"/records/item/{one}/edit").text).xpath("//form[contains(@class, 'record-form')]")[
        0
    ]
    sent = {k: v for k, v in form.fields.items() if v is not None}
    assert page.post(f"/records/item/{one}/edit", data=sent).status_code == 302
    with house.db.read() as tx:
        record = services.get_record(tx, services.entity(tx, "item"), one)
    assert (record["version"], record["t"], record["j"]) == (1, " spaces ", '{"n":1.50}')


def test_form_tells_mistakes_and_keeps_what_was_typed(page: FlaskClient, house: House) -> None:
    """A refused form comes back with the sentence at the field and everything that was typed."""
    make(house, field("t", required=True), field("d", "date"), field("c", "choice", choices=CHOICES))
    answer = page.post("/records/item/add", data={"t": "", "d": "tomorrow", "c": "a"})
    assert answer.status_code == 422
    assert "not a date" in text(answer)
    tree = html.fromstring(answer.text)
    assert tree.xpath("//input[@name='d']/@value") == ["tomorrow"]
    assert tree.xpath("//select[@name='c']/option[@selected]/@value") == ["a"]


def test_a_lost_race_is_told(page: FlaskClient, house: House) -> None:
    """Who saves a form that somebody else was faster with is told, and nothing is overwritten."""
    make(house, field("t"))
    one = add(house, t="x")
    services.update_record(house, "item", one, {"t": "theirs"}, ANN)
    answer = page.post(f"/records/item/{one}/edit", data={"t": "mine", "version": "1"})
    assert answer.status_code == 422
    assert "someone else" in text(answer)


def test_files_are_kept_once_and_given_back(page: FlaskClient, house: House) -> None:
    """An uploaded file comes back byte by byte as an attachment; equal content is stored once."""
    make(house, field("scan", "file"))
    data = b"<script>alert(1)</script>\x00\xff"
    for name in ("a.html", "../../b.html"):
        page.post("/records/item/add", data={"scan": (io.BytesIO(data), name)})
    assert len([p for p in (house.settings.data / "files").rglob("*") if p.is_file()]) == 1
    answer = page.get("/records/item/2/files/scan")
    assert answer.data == data
    assert answer.headers["Content-Disposition"] == "attachment; filename=b.html"
    assert answer.mimetype == "application/octet-stream"
    answer.close()
    assert page.get("/records/item/1/files/other").status_code == 404
    page.post("/records/item/add", data={"scan": (io.BytesIO(data), "中; a=b.txt")})
    with page.get("/records/item/3/files/scan") as answer:
        assert answer.headers["Content-Disposition"].endswith("filename*=UTF-8''%E4%B8%AD%3B%20a%3Db.txt")


def test_lists_filter_search_sort_and_keep_views(page: FlaskClient, house: House) -> None:
    """The filter form leads to an address that can be kept; a view brings filter and columns back."""
    make(house, field("t", searchable=True), field("n", "integer", indexed=True))
    for n in range(60):
        add(house, t=f"thing {n}", n=n)
    found = page.get("/records/item/?ff=n&fo=lt&fv=3&ff=&fo=is&fv=")
    assert found.location == "/records/item/?f=n%3Alt%3A3"
    shown = text(page.get(found.location))
    assert "thing 2" in shown
    assert "thing 3" not in shown
    assert page.get("/records/item/count?f=n:lt:3").text == "3 records"
    assert "thing 59" in text(page.get("/records/item/?q=thing+59"))
    first = html.fromstring(page.get("/records/item/?sort=n").text)
    second = page.get(first.xpath("//a[@rel='next']/@href")[0])
    assert "thing 55" in text(second)
    back = html.fromstring(second.text).xpath("//a[@rel='prev']/@href")[0]
    assert "thing 0" in text(page.get(back))
    page.post("/records/item/views", data={"title": "Small", "address": "f=n%3Alt%3A3&c=n", "shared": "true"})
    assert "Small" in text(page.get("/records/item/"))
    assert "damaged" in text(page.get("/records/item/?after=x"))


def test_many_records_are_changed_and_deleted(page: FlaskClient, house: House) -> None:
    """Ticked records, or all that the filter finds, get a value or go, with one sentence about the refused ones."""
    make(house, field("n", "integer", validation={"expression": "n < 100"}), field("t"))
    ids = [add(house, n=n) for n in range(5)]
    chosen = {"id": [str(i) for i in ids[:2]], "address": ""}
    assert "Change 2 records" in text(page.post("/records/item/bulk", data=chosen))
    page.post("/records/item/bulk/update", data={**chosen, "field": "t", "t": "new"})
    refused = page.post("/records/item/bulk/update", data={**chosen, "field": "n", "n": "100"}, follow_redirects=True)
    assert "2 records were refused" in text(refused)
    page.post("/records/item/bulk/delete", data={"all": "yes", "address": "f=n:gt:1"})
    with house.db.read() as tx:
        entity = services.entity(tx, "item")
        assert [services.get_record(tx, entity, i)["t"] for i in ids[:2]] == ["new", "new"]
        assert services.get_record(tx, entity, ids[0])["n"] == 0
        with pytest.raises(services.NoRecord):
            services.get_record(tx, entity, ids[2])


def test_deleted_records_keep_their_page(page: FlaskClient, house: House) -> None:
    """The address of a deleted record still shows its history."""
    make(house, field("t"))
    one = add(house, t="gone soon")
    page.post(f"/records/item/{one}/delete")
    answer = page.get(f"/records/item/{one}")
    assert answer.status_code == 410
    assert "gone soon" in text(answer)
    assert page.get("/records/item/999").status_code == 404


def test_import_by_pages(page: FlaskClient, house: House) -> None:
    """A file is uploaded, matched, imported step by step, and its refused rows downloaded."""
    make(house, field("code", unique=True), field("n", "integer"))
    assert "Choose a file" in text(page.post("/records/item/import"))
    started = page.post("/records/item/import", data={"file": (io.BytesIO(b"code,n\na,1\nb,x\n"), "rows.csv")})
    job = started.location
    assert "rows.csv" in text(page.get(job))
    assert page.post(f"{job}/run", data={"column-0": "code", "column-1": "n", "mode": "create"}).status_code == 302
    assert "0 of 2 rows" in text(page.get(job))
    assert "The import is done" in text(page.post(f"{job}/step"))
    assert "3,n,'x' is not a whole number." in page.get(f"{job}/errors.csv").text


def test_each_permission_is_asked(app: Flask, house: House) -> None:  # noqa: F811
    """A viewer reads; adding, changing, deleting, importing, exporting and designing are refused."""
    make(house, field("t"))
    one = add(house, t="x")
    viewer = client_of(app, "vera", "Viewer")
    assert viewer.get("/records/item/").status_code == 403 or "New record" not in viewer.get("/records/item/").text
    for path in (
        "/entities/new-entity",
        "/entities/item/design",
        "/records/item/add",
        f"/records/item/{one}/edit",
        "/records/item/import",
    ):
        assert viewer.get(path).status_code == 403, path
    for path in (
        "/entities/design", "/entities/apply", "/entities/item/delete", f"/records/item/{one}/delete",
        "/records/item/bulk",
        "/records/item/bulk/update", "/records/item/bulk/delete", "/records/item/export/csv",
    ):  # fmt: skip
        data = {"document": '{"kind": "entity", "name": "item", "fields": []}', "new": "no"}
        assert viewer.post(path, data=data).status_code == 403, path


def test_texts_of_records_are_never_markup(page: FlaskClient, house: House) -> None:
    """Whatever a record or a label holds is shown as text on every page."""
    evil = "<script>alert(1)</script>\"'>"
    make(
        house,
        field("t", label={"en": evil}, searchable=True),
        field("l", "long_text"),
        field("j", "json"),
        label={"en": evil},
        help={"en": evil},
    )
    one = services.create_record(house, "item", {"t": evil, "l": evil, "j": '{"a":"<b>"}'}, ANN)
    services.update_record(house, "item", one, {"t": evil + "2"}, ANN)
    for path in (
        "/entities/",
        "/entities/item/",
        "/entities/item/design",
        "/records/item/",
        f"/records/item/{one}",
        f"/records/item/{one}/edit",
        "/records/item/import",
        f"/records/item/?q={evil}&f=t:is:{evil}",
    ):
        answer = page.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path


def test_a_record_that_a_number_names_is_chosen_by_its_own(page: FlaskClient, house: House) -> None:
    """The search of a reference looks at what the title begins with; where that is no text, at the record's number."""
    make(house, field("n", "integer"), title="n")
    numbers = [add(house, n=n) for n in (7, 8)]
    assert page.get(f"/records/item/choices?q={numbers[1]}").get_json() == [{"value": str(numbers[1]), "text": "8"}]
    assert len(page.get("/records/item/choices?q=x").get_json()) == 2
