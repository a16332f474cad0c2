"""The pages of decision tables and lookup tables."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.rulebook.conftest import ANNA, draft
from tests.rulebook.test_kinds import TABLE
from tests.webapp.conftest import admin_client, app, client, settings, text  # noqa: F401 - the console's fixtures
from webapp.extensions import House
from webapp.rulebook import services

LOOKUP = {
    "kind": "lookup",
    "name": "countries",
    "key": {"name": "code"},
    "columns": [{"name": "name"}, {"name": "people", "type": "integer"}],
    "entries": [["CN", "China", 1400000000], ["DE", "Germany", None]],
}


@pytest.fixture
def console(app: Flask) -> House:  # noqa: F811
    """Return the console's house with one table of each kind."""
    house: House = app.extensions["syncline"]
    services.create(house, TABLE, ANNA)
    services.create(house, LOOKUP, ANNA)
    return house


@pytest.mark.usefixtures("console")
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/rules/new/table", "New decision table"),
        ("/rules/new/lookup", "New lookup table"),
        ("/rules/discount/", "If several rows apply"),
        ("/rules/countries/", "lookup(&#39;countries&#39;, code)"),
        ("/rules/discount/file", "Replace by a file"),
        ("/rules/discount/source", "hit_policy" if "hit_policy" in TABLE else "inputs"),
        ("/rules/discount/versions", "Versions"),
        ("/rules/discount/publish", "What is published for the first time"),
    ],
)
def test_pages_open(admin_client: FlaskClient, path: str, shown: str) -> None:  # noqa: F811
    """Each page of a table opens; a table's first page is its editor."""
    page = text(admin_client, path)
    assert shown in page.replace("'", "&#39;") or shown in page


def test_a_new_table_is_made(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """A name is enough; without one the form says so."""
    assert admin_client.post("/rules/new/table", data={"label": "X"}).status_code == 422
    assert admin_client.post("/rules/new/table", data={"name": "discount"}).status_code == 422
    made = admin_client.post("/rules/new/table", data={"name": "freight", "label": "Freight"})
    assert made.headers["Location"] == "/rules/freight/table"
    assert draft(console, "freight")["label"] == "Freight"
    made = admin_client.post("/rules/new/lookup", data={"name": "units"})
    assert made.headers["Location"] == "/rules/units/entries"


def test_the_grid_is_saved(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """What the form holds becomes the draft; a stale form is shown again and saves nothing."""
    changed = {**TABLE, "rows": [{"when": ["-"], "then": ["7"]}]}
    data = {"draft_version": "1", "document": json.dumps(changed)}
    assert admin_client.post("/rules/discount/table", data=data).status_code == 302
    assert draft(console, "discount")["rows"] == changed["rows"]
    stale = admin_client.post("/rules/discount/table", data={**data, "document": json.dumps(TABLE)})
    assert stale.status_code == 409
    assert draft(console, "discount")["rows"] == changed["rows"]


def test_another_name_is_refused(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """A document under another name does not become this draft."""
    data = {"draft_version": "1", "document": json.dumps({**TABLE, "name": "other"})}
    page = admin_client.post("/rules/discount/table", data=data, follow_redirects=True).get_data(as_text=True)
    assert "a name cannot be changed" in page
    assert draft(console, "discount")["name"] == "discount"


@pytest.mark.usefixtures("console")
def test_problems_name_their_cell(admin_client: FlaskClient) -> None:  # noqa: F811
    """The script learns which cells to underline, and the list says it in words."""
    wrong = {**TABLE, "rows": [{"when": ["< abc"], "then": ["0"]}, {"when": [">= 100"], "then": ["x"]}]}
    found = admin_client.post("/rules/discount/table/check", json={"document": wrong}).get_json()
    assert {(cell["row"], cell["key"]) for cell in found["cells"]} == {(0, "i0"), (1, "o0")}
    assert "This keeps the table from being published" in found["html"]
    fine = admin_client.post("/rules/discount/table/check", json={"document": TABLE}).get_json()
    assert fine["cells"] == []
    entries = {**LOOKUP, "entries": [["CN", "China", "many"]]}
    found = admin_client.post("/rules/countries/entries/check", json={"document": entries}).get_json()
    assert [(cell["row"], cell["key"]) for cell in found["cells"]] == [(0, "c2")]


@pytest.mark.usefixtures("console")
def test_trying_a_table(admin_client: FlaskClient) -> None:  # noqa: F811
    """Values are decided by the table in the editor, with the row that won and why the others did not."""
    asked = {"document": TABLE, "given": {"amount": "250.5"}}
    found = admin_client.post("/rules/discount/table/try", json=asked).get_json()
    assert "Row 2 is the only one that applies." in found["html"]
    assert "is 250.5, not &lt; 100" in found["html"]
    assert 'data-given="amount"' in found["fields"]
    bad = admin_client.post("/rules/discount/table/try", json={**asked, "given": {"amount": "much"}}).get_json()
    assert "note is-bad" in bad["html"]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("name", ["discount", "countries"])
def test_files_go_out_and_in(admin_client: FlaskClient, console: House, name: str, form: str) -> None:  # noqa: F811
    """A downloaded file read again gives the same table."""
    before = draft(console, name)
    problems = services.check(console, before)
    file = admin_client.get(f"/rules/{name}/file/{form}")
    assert file.status_code == 200
    data = {"draft_version": "1", "file": (io.BytesIO(file.data), f"{name}.{form}")}
    assert admin_client.post(f"/rules/{name}/file", data=data).status_code == 302
    after = draft(console, name)
    assert services.check(console, after) == problems
    assert after.get("entries") == before.get("entries")
    assert [row["then"] for row in after.get("rows", [])] == [row["then"] for row in before.get("rows", [])]


def test_a_dmn_file_goes_out_and_in(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """Other decision tools read and write the same table; of several decisions one is chosen by its id."""
    file = admin_client.get("/rules/discount/file/dmn").data
    data = {"name": "again", "file": (io.BytesIO(file), "discount.dmn")}
    assert admin_client.post("/rules/new/table", data=data).headers["Location"] == "/rules/again/table"
    assert draft(console, "again")["inputs"] == TABLE["inputs"]
    assert services.check(console, draft(console, "again")) == services.check(console, TABLE)
    two = file.replace(b"<decision ", b'<decision id="other" name="other"><decisionTable/></decision><decision ', 1)
    data = {"draft_version": "1", "file": (io.BytesIO(two), "x.dmn")}
    answer = admin_client.post("/rules/discount/file", data=data)
    assert answer.status_code == 422
    assert "Choose one of" in answer.get_data(as_text=True)


@pytest.mark.usefixtures("console")
def test_a_file_that_is_no_table_is_refused(admin_client: FlaskClient) -> None:  # noqa: F811
    """The form says what is wrong with the file."""
    for name in ("discount", "countries"):
        data = {"draft_version": "1", "file": (io.BytesIO(b"\x00\x01\x02"), "x.csv")}
        answer = admin_client.post(f"/rules/{name}/file", data=data)
        assert answer.status_code == 422, name
    assert admin_client.get("/rules/countries/file/dmn").status_code == 404
    assert admin_client.get("/rules/countries/table").status_code == 404


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("discount", {"inputs": 5, "rows": 7, "tests": 3}),
    ("discount", {"inputs": [1], "outputs": [2], "rows": [3], "tests": [3]}),
    ("discount", {"rows": [{"when": 3}], "tests": [{"name": "a", "given": 5}]}),
    ("countries", {"key": 5, "columns": 6, "entries": 7}),
    ("countries", {"columns": [1], "entries": [1]}),
]


@pytest.mark.parametrize(("name", "change"), BROKEN)
def test_a_broken_draft_can_be_corrected(
    admin_client: FlaskClient,  # noqa: F811
    console: House,
    name: str,
    change: dict[str, Any],
) -> None:
    """A draft that was written as text may hold anything: the list of rules opens, the grid leads to the text."""
    services.save_draft(console, name, {**draft(console, name), **change}, ANNA)
    for page in ("", f"{name}/source", f"{name}/versions", f"{name}/publish", f"{name}/file"):
        assert admin_client.get(f"/rules/{page}").status_code == 200, page
    grid = "table" if name == "discount" else "entries"
    assert admin_client.get(f"/rules/{name}/{grid}").headers["Location"] == f"/rules/{name}/source"
    assert admin_client.get(f"/rules/{name}/tests").status_code == (200 if name == "discount" else 404)
    assert admin_client.get(f"/rules/{name}/file/csv").status_code == 404


@pytest.mark.usefixtures("console")
@pytest.mark.parametrize("body", ["[1]", '"x"', "{", '{"document": [1]}', "[" * 3000 + "]" * 3000])
def test_what_no_editor_sends_is_refused(admin_client: FlaskClient, body: str) -> None:  # noqa: F811
    """Requests that no page makes are answered, not failed at."""
    for path in ("discount/table/check", "discount/table/try", "countries/entries/check"):
        answer = admin_client.post(f"/rules/{path}", data=body, content_type="application/json")
        assert answer.status_code in (200, 422)
    assert admin_client.post("/rules/discount/table", data={"document": body}).status_code in (302, 422)
    strange = {"document": TABLE, "given": [1], "day": 5}
    assert admin_client.post("/rules/discount/table/try", json=strange).status_code == 200


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("cell", ["=1+1", "-2+3+cmd|' /C calc'!A0", "@x", "+86 1", "'=q", "-5"])
def test_formulas_go_out_defused_and_in_as_they_were(
    admin_client: FlaskClient,  # noqa: F811
    console: House,
    form: str,
    cell: str,
) -> None:
    """No spreadsheet takes a text of a downloaded CSV for a formula, and reading the file gives the text again."""
    services.save_draft(console, "countries", {**LOOKUP, "entries": [["CN", cell, 7]]}, ANNA)
    noted = [{**TABLE["rows"][0], "note": cell}, *TABLE["rows"][1:]]
    services.save_draft(console, "discount", {**TABLE, "rows": noted}, ANNA)
    for name in ("countries", "discount"):
        data = admin_client.get(f"/rules/{name}/file/{form}").data
        if form == "csv":
            assert cell == "-5" or f",{cell}".encode() not in data
        file = {"file": (io.BytesIO(data), f"table.{form}")}
        assert admin_client.post(f"/rules/{name}/file", data=file).status_code == 302
    assert draft(console, "countries")["entries"][0][1] == cell
    assert draft(console, "discount")["rows"][0]["note"] == cell
