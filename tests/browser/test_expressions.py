"""Writing expressions and conditions in the browser: completion, mistakes, results, rows, keyboard."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Error, Locator, Page, Route, expect

from tests.supervisor.conftest import ROOT, environ

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

RULE = """kind: connection
name: crm
connector: sqlite
settings: {{path: {crm}}}
---
kind: connection
name: erp
connector: sqlite
settings: {{path: {erp}}}
---
kind: sync
name: customers
left: {{connection: crm, object: account}}
right: {{connection: erp, object: customer}}
key: {{left: id, right: no}}
fields:
  - {{left: id, right: no}}
  - {{right: tel, to_right: "phone.orDefault('')"}}
---
kind: sync
name: both_ways
left: {{connection: crm, object: account}}
right: {{connection: erp, object: customer}}
direction: two_way
key: {{left: id, right: no}}
fields:
  - {{left: id, right: no}}
  - {{left: phone, right: tel, to_right: "phone.orDefault('')"}}
"""
CRM = """CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL, phone TEXT, status TEXT, tax_no TEXT,
credit NUMERIC(12,2), signed DATE)"""
ACCOUNTS = [
    (1, "上海贝尔", " 021-555 ", "active", "T1", 100.5, "2025-01-31"),
    (2, "Müller AG", None, "closed", "T2", None, "2025-02-01"),
    (3, "Acme", "+86 1", "active", "T3", 7, None),
]


@pytest.fixture(scope="module")
def rule(console) -> None:
    """Set up two systems and a rule between them."""
    folder: Path = console.data / "files"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.db" for name in ("crm", "erp")}
    with sqlite3.connect(paths["crm"]) as crm:
        crm.execute(CRM)
        crm.executemany("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?)", ACCOUNTS)
    with sqlite3.connect(paths["erp"]) as erp:
        erp.execute("CREATE TABLE customer (no INTEGER PRIMARY KEY, tel TEXT)")
    document = folder / "rule.yaml"
    document.write_text(RULE.format(**paths), encoding="utf-8")
    command = [sys.executable, "-m", "webapp.cli", "apply", str(document)]
    subprocess.run(command, env=environ(console.data, console.port), cwd=ROOT, check=True, capture_output=True)


@pytest.fixture(scope="module")
def signed_in(admin, rule) -> None:
    """Sign the browser in, and set up the rule."""


@pytest.fixture
def behaviour(signed_in, watched) -> Page:
    """Return the page with the rule's condition."""
    watched.page.goto(f"{watched.home}/rules/customers/behaviour")
    return watched.page


def field(page: Page) -> Locator:
    return page.locator(".expression-field").filter(has=page.locator("textarea[name=where]"))


def text(page: Page) -> Locator:
    return page.locator("textarea[name=where]")


def write(page: Page, value: str = "") -> Locator:
    """Show the condition as an expression, emptied, and type into it."""
    code = field(page).locator(".expression-editor").first.locator(".cm-content")
    for _ in range(5):  # a page that is not ready yet shows its rows behind the click
        field(page).get_by_role("button", name="Expression", exact=True).click()
        with contextlib.suppress(Error):
            code.click(timeout=3_000)
            break
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.type(value)
    return code


def take(page: Page) -> None:
    """Take what is offered first; the list ignores keys for a moment after it has opened."""
    page.wait_for_timeout(150)
    page.keyboard.press("Enter")


def test_completion_writes_fields_values_and_functions(behaviour):
    """A few letters, Enter: the field, then a value that it has, then a function with its arguments shown."""
    write(behaviour, "sta")
    options = field(behaviour).get_by_role("option")
    expect(options.first).to_contain_text("status")
    expect(options.first).to_contain_text("text · active")
    take(behaviour)
    behaviour.keyboard.type(" == ")
    expect(options.first).to_have_text("'active'")
    take(behaviour)
    expect(text(behaviour)).to_have_value("status == 'active'")
    behaviour.keyboard.type(" && name.startsW")
    expect(options.first).to_contain_text("startsWith")
    take(behaviour)
    told = field(behaviour).locator(".cm-tooltip .told-head")
    expect(told).to_have_text("(text: text).startsWith(start: text) → boolean".replace("boolean", "yes or no"))
    expect(told.locator("b")).to_contain_text("text")
    behaviour.keyboard.type("'A'")
    expect(text(behaviour)).to_have_value("status == 'active' && name.startsWith('A')")
    expect(field(behaviour)).to_contain_text("1 of the first 3 records match.")


def test_a_mistake_is_underlined_and_mended(behaviour):
    """The wrong word is underlined, no more and no less, and one click puts the right one there."""
    code = write(behaviour, "status == 'x' || taxno == 'T1'")
    wrong = code.locator(".cm-lintRange-error")
    expect(wrong).to_have_text("taxno")
    expect(field(behaviour)).to_contain_text("There is no field 'taxno'.")
    field(behaviour).get_by_role("button", name="Use tax_no").click()
    expect(text(behaviour)).to_have_value("status == 'x' || tax_no == 'T1'")
    expect(wrong).to_have_count(0)
    expect(field(behaviour)).to_contain_text("1 of the first 3 records match.")


def test_a_mistake_behind_other_scripts_is_underlined_in_its_place(behaviour):
    """Characters that take two places in the browser do not move the mark."""
    code = write(behaviour, "name == '😀😀客户' && phon == '1'")
    expect(code.locator(".cm-lintRange-error")).to_have_text("phon")


def test_results_for_real_records(behaviour):
    """Each record shows what the expression reads and what comes out, or why nothing does."""
    write(behaviour, "credit > 50.0")
    table = field(behaviour).locator(".sample-table")
    expect(table.get_by_role("row")).to_have_count(4)
    expect(table.get_by_role("row").nth(1)).to_have_text(re.compile(r"1\s*100\.5\s*yes"))
    expect(table.get_by_role("row").nth(2)).to_contain_text("The field 'credit' is empty in this record.")
    expect(field(behaviour)).to_contain_text("1 of the first 3 records match. For one of them")


def test_hovering_tells_what_a_word_means(behaviour):
    """A function tells its signature and an example, a field its type."""
    code = write(behaviour, "name.trim() == ''")
    code.get_by_text("trim").hover()
    expect(field(behaviour).locator(".cm-tooltip-hover")).to_contain_text("trim() → text")


def test_rows_make_an_expression_and_are_read_back(behaviour):
    """What is built from rows is an expression; what is written as one is shown as rows, the rest as code."""
    write(behaviour, "")
    field(behaviour).get_by_role("button", name="Builder", exact=True).click()
    holder = field(behaviour).locator(".condition-builder")
    holder.get_by_role("button", name="+ Condition").click()
    row = holder.locator(".condition-row")
    row.first.get_by_label("Field", exact=True).select_option("credit")
    row.first.get_by_label("Comparison").select_option("is at least")
    row.first.get_by_label("Value").fill("7.5")
    expect(text(behaviour)).to_have_value("credit != null && credit >= 7.5")
    holder.get_by_role("button", name="+ Condition").click()
    row.nth(1).get_by_label("Field", exact=True).select_option("signed")
    row.nth(1).get_by_label("Value").fill("2025-01-31")
    expect(text(behaviour)).to_have_value("credit != null && credit >= 7.5 && signed == date('2025-01-31')")
    expect(field(behaviour)).to_contain_text("1 of the first 3 records match.")
    write(behaviour, "!(status in ['closed']) && (credit > 5.0 || size(name) > 4)")
    field(behaviour).get_by_role("button", name="Builder", exact=True).click()
    expect(row).to_have_count(3)
    expect(row.first.get_by_label("Comparison")).to_have_value("none_of")
    row.first.get_by_label("Add a value").fill("new")
    row.first.get_by_label("Add a value").press("Enter")
    expect(text(behaviour)).to_have_value("!(status in ['closed', 'new']) && (credit > 5.0 || size(name) > 4)")


def test_chinese_is_typed_with_an_input_method(behaviour):
    """What is composed and then chosen arrives whole, in the text and in what the server checks."""
    write(behaviour, "name == '")
    keyboard = behaviour.context.new_cdp_session(behaviour)
    for part in ("s", "shang", "shanghai"):
        keyboard.send("Input.imeSetComposition", {"text": part, "selectionStart": len(part), "selectionEnd": len(part)})
        behaviour.wait_for_timeout(350)
    keyboard.send("Input.insertText", {"text": "上海贝尔"})
    behaviour.keyboard.press("Escape")
    expect(text(behaviour)).to_have_value("name == '上海贝尔'")
    expect(field(behaviour)).to_contain_text("1 of the first 3 records match.")


def test_a_suggestion_changes_the_rows(behaviour):
    """A mistake that is shown below rows is mended in the rows."""
    write(behaviour, "taxno == 'T1'")
    field(behaviour).get_by_role("button", name="Builder", exact=True).click()
    chosen = field(behaviour).get_by_label("Field", exact=True)
    expect(chosen).to_have_value("taxno")
    field(behaviour).get_by_role("button", name="Use tax_no").click()
    expect(chosen).to_have_value("tax_no")
    expect(text(behaviour)).to_have_value("tax_no == 'T1'")


def test_a_half_filled_row_is_not_saved(behaviour):
    """A row that says nothing yet, or nonsense, keeps the form from being sent."""
    write(behaviour, "credit > 5.0")
    field(behaviour).get_by_role("button", name="Builder", exact=True).click()
    value = field(behaviour).get_by_label("Value")
    value.fill("much")
    expect(field(behaviour)).to_contain_text("'much' is not a number.")
    behaviour.get_by_role("button", name="Save draft").click()
    expect(value).to_be_focused()
    value.fill("8")
    behaviour.get_by_role("button", name="Save draft").click()
    expect(behaviour.get_by_text("Draft saved.")).to_be_visible()
    expect(text(behaviour)).to_have_value("credit > 8")


def test_a_broken_expression_cannot_become_rows(behaviour):
    """The mistake is shown first, and the text stays as it is."""
    write(behaviour, "credit >")
    field(behaviour).get_by_role("button", name="Builder", exact=True).click()
    expect(field(behaviour)).to_contain_text("Correct it, then it can be shown as rows.")
    expect(text(behaviour)).to_have_value("credit >")


def test_everything_is_done_with_the_keyboard(behaviour):
    """Tab enters and leaves the field, Escape closes what is open, and the suggestion is a button like others."""
    code = write(behaviour, "taxno == 'T1'")
    use = field(behaviour).get_by_role("button", name="Use tax_no")
    expect(use).to_be_visible()
    behaviour.wait_for_load_state("networkidle")  # a later answer would put another button in its place
    behaviour.keyboard.press("Escape")
    behaviour.keyboard.press("Tab")
    expect(use).to_be_focused()
    behaviour.keyboard.press("Enter")
    expect(text(behaviour)).to_have_value("tax_no == 'T1'")
    expect(code).to_be_focused()
    behaviour.keyboard.press("Enter")
    expect(text(behaviour)).to_have_value("tax_no == 'T1'")
    behaviour.keyboard.press("Shift+Tab")
    expect(field(behaviour).get_by_role("button", name="Expression", exact=True)).to_be_focused()
    behaviour.keyboard.press("Shift+Tab")
    behaviour.keyboard.press("Enter")
    expect(field(behaviour).get_by_label("Field", exact=True)).to_be_focused()


def test_expressions_of_the_mapping(signed_in, watched):
    """In the mapping table an expression is the same field, and the example follows it."""
    page = watched.page
    page.goto(f"{watched.home}/rules/customers/fields")
    line = page.locator("[data-row][data-name=tel]")
    code = line.locator(".expression-editor .cm-content").first
    expect(code).to_have_text("phone.orDefault('')")
    code.click()
    page.keyboard.press("End")
    page.keyboard.type(".trim()")
    expect(line).to_contain_text("gives text")
    expect(line.locator(".sample-value:visible")).to_have_text("021-555")
    page.get_by_role("button", name="Functions").click()
    page.get_by_role("button", name="upper(").first.click()
    expect(line.locator("textarea[name^=expression]")).to_have_value("phone.orDefault('').trim().upper()")


def test_all_mistakes_of_a_document_are_underlined(signed_in, watched):
    """The source of a rule shows each problem at its line, inside an expression at its word."""
    page = watched.page
    page.goto(f"{watched.home}/rules/customers/source")
    code = page.locator(".cm-content")
    code.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(
        RULE.split("---\n")[2].replace("{{", "{").replace("}}", "}").replace("phone.or", "fone.or")
        + "  - {left: nme, right: nothing}\n"
    )
    page.get_by_role("button", name="Save draft").click()
    marked = page.locator(".cm-lintRange-error")
    expect(marked.first).to_be_visible()
    texts = marked.all_text_contents()
    assert "fone" in texts
    assert len(texts) >= 2
    page.locator(".problem-line").last.click()
    expect(page.locator(".cm-content")).to_be_focused()


def test_what_is_changed_while_a_pair_is_added_stays(signed_in, watched):
    """A pair that is changed before the answer to a step is there keeps the change, and the examples come back."""
    page: Page = watched.page
    page.goto(f"{watched.home}/rules/both_ways/fields")
    expect(page.locator("#result-1")).to_contain_text("021-555")
    held: list[Route] = []
    page.route(f"{watched.home}/rules/both_ways/fields", lambda route: held.append(route))  # noqa: PLW0108
    page.get_by_role("button", name="Add a pair").click()
    page.locator("[name=strength-1]").select_option("weak")
    page.locator("[name=direction-1]").select_option("left_to_right")
    page.wait_for_timeout(200)
    (route,) = held
    route.continue_()
    expect(page.locator("[name=left-2]")).to_be_visible()
    expect(page.locator("[name=direction-1]")).to_have_value("left_to_right")
    expect(page.locator("[name=strength-1]")).to_have_value("weak")
    expect(page.locator("#result-1")).to_contain_text("021-555")
