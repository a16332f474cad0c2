"""A newcomer's ten minutes, in the browser only: connect, look, map, try, run, correct, audit."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.servers import Server, postgres_database

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
TABLE = """CREATE TABLE customer (no bigint PRIMARY KEY, name text NOT NULL CHECK (length(name) < 40), email text,
phone text, credit numeric(14,2), active boolean)"""
LONG = "A name that is far too long for the ERP to be taken over as it is"


def goto(watched, path: str) -> Page:
    watched.page.goto(watched.home + path)
    return watched.page


def password(console) -> str:
    found = re.search(r"password: (\S+)", console.output)
    assert found, console.output
    return found[1]


@pytest.fixture(scope="module")
def erp(postgres_server: Server):
    """Return how to reach a PostgreSQL that holds two customers already."""
    with postgres_database(postgres_server) as name:
        s = postgres_server
        settings = {"host": s.host, "port": str(s.port), "database": name, "user": s.user, "password": s.password}
        with psycopg.connect(host=s.host, port=s.port, dbname=name, user=s.user, password=s.password) as db:
            db.execute(TABLE)
            db.execute("INSERT INTO customer VALUES (1, 'Ada', 'ada@old.example', '1', 10.50, true)")
            db.execute("INSERT INTO customer VALUES (900, 'Only here', NULL, NULL, NULL, NULL)")
        yield settings


@pytest.fixture(scope="module")
def inbox(console) -> Path:
    """Return a folder with a CSV file of 40 customers, one of them not acceptable to the ERP."""
    folder = console.data / "files" / "inbox"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["id,full_name,mail,telephone,limit,is_active"]
    for n in range(1, 41):
        name = LONG if n == 7 else f"  客户 {n} 😀"
        lines.append(f"{n},{name},Mail{n}@Example.com,+86 1{n:09},{n * 10}.{n:02},{'true' if n % 4 else 'false'}")
    (folder / "customers.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def rows(erp, query: str) -> list:
    login = {"dbname" if key == "database" else key: value for key, value in erp.items()}
    with psycopg.connect(**login) as db:
        return db.execute(query).fetchall()


def fill_settings(page: Page, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        page.locator(f"[name='setting.{name}']").fill(value)


def test_1_sign_in(watched, console):
    """The printed password opens the console; a wrong one says so."""
    page = goto(watched, "/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(password(console))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    expect(page.get_by_role("link", name="Connect", exact=True)).to_be_visible()


def test_2_connect_a_database(watched, erp):
    """A wrong password is named as such; with the right one every step passes and the objects are listed."""
    page = goto(watched, "/connections/new/postgresql")
    page.get_by_label("Label").fill("Our ERP")
    page.locator("[name=name]").fill("erp")
    fill_settings(page, {**erp, "password": "wrong"})
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("does not accept this user and password")).to_be_visible()
    fill_settings(page, {"password": erp["password"]})
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The connection works")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="customer", exact=True).click()
    expect(page.get_by_role("cell", name="ada@old.example")).to_be_visible()


def test_3_connect_a_folder(watched, inbox):
    """A folder of CSV files shows its files, fields and first records."""
    page = goto(watched, "/connections/new/files")
    page.get_by_label("Label").fill("Inbox")
    page.locator("[name=name]").fill("inbox")
    fill_settings(page, {"path": str(inbox)})
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="customers.csv").click()
    expect(page.get_by_role("cell", name="Mail1@Example.com")).to_be_visible()


def choose(page: Page, side: str, connection: str, thing: str) -> None:
    page.locator(f"[name={side}_connection]").select_option(connection)
    page.locator(f"[name={side}_object]").wait_for(state="attached")
    script = """([name, value]) => { const e = document.querySelector(`[name=${name}]`);
        if (e.tomselect) e.tomselect.setValue(value); else { e.value = value; } }"""
    page.wait_for_function(
        "name => document.querySelectorAll(`[name=${name}] option`).length > 1", arg=f"{side}_object"
    )
    page.evaluate(script, [f"{side}_object", thing])


def test_4_write_a_rule(watched):
    """Fields are proposed, a field is trimmed by an expression, an error in it is told while typing."""
    page = goto(watched, "/rules/new")
    choose(page, "left", "inbox", "customers.csv")
    choose(page, "right", "erp", "customer")
    page.get_by_label("Title").fill("Customers to the ERP")
    page.locator("[name=name]").fill("customers_erp")
    page.get_by_role("button", name="Continue to fields").click()
    expect(page.get_by_text("6 of 6 fields are filled")).to_be_visible()
    page.get_by_role("button", name="Continue to what happens").click()
    page.get_by_role("button", name="Finish the draft").click()
    expect(page.get_by_text("Everything fits together")).to_be_visible()


def test_5_try_it(watched, erp):
    """The simulation shows counts and differences and writes nothing."""
    page = goto(watched, "/rules/customers_erp/")
    page.get_by_role("button", name="Try on real records").click()
    expect(page.get_by_text("This was a simulation: nothing was written.")).to_be_visible(timeout=60_000)
    page.get_by_label("Outcome").select_option("updated")
    expect(page.get_by_text("ada@old.example")).to_be_visible()
    assert rows(erp, "SELECT count(*) FROM customer") == [(2,)]


def test_6_publish_and_run(watched, erp):
    """Published and run, the records are in the ERP; the one it refuses is counted apart."""
    page = goto(watched, "/rules/customers_erp/")
    page.get_by_role("link", name=re.compile("Publish")).click()
    page.get_by_role("button", name=re.compile("Publish version 1")).click()
    page.get_by_role("button", name="Run now").first.click()
    expect(page.get_by_text("Succeeded")).to_be_visible(timeout=60_000)
    expect(page.locator(".stat", has_text="Quarantined").locator(".stat-value")).to_have_text("1")
    assert rows(erp, "SELECT count(*) FROM customer") == [(40,)]
    assert rows(erp, "SELECT name, email, credit FROM customer WHERE no = 2")[0][1] == "Mail2@Example.com"


def test_7_correct_what_failed(watched, erp):
    """The refused record says why; corrected in the form and replayed, it arrives."""
    page = goto(watched, "/quarantine/")
    page.locator("table").get_by_role("link", name="7", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("customer_name_check")
    page.get_by_label("full_name").fill("A short name")
    page.get_by_role("button", name="Save and replay").click()
    expect(page.get_by_text("Succeeded")).to_be_visible(timeout=60_000)
    assert rows(erp, "SELECT name FROM customer WHERE no = 7") == [("A short name",)]
    goto(watched, "/quarantine/")
    expect(page.get_by_text("Nothing is parked")).to_be_visible()


def test_8_design_an_entity(watched):
    """An entity is designed by form; its plan is shown, and its list, form and record page are there at once."""
    page = goto(watched, "/entities/new-entity")
    page.locator("[name=label_en]").fill("Supplier")
    page.locator("[name=label_zh]").fill("供应商")
    for kind, label in (("text", "Company"), ("decimal", "Limit")):
        labels = page.locator("[name^='fields-'][name$='-label_en']")
        before = labels.count()
        page.locator(f"button[value='add:{kind}']").click()
        expect(labels).to_have_count(before + 1)
        page.wait_for_load_state("networkidle")
        labels.last.fill(label)
        expect(labels.last).to_have_value(label)
    page.get_by_role("button", name="Review the changes").click()
    page.get_by_role("button", name="Create the entity").click()
    expect(page.get_by_text("The entity is ready.")).to_be_visible()
    page.goto(f"{watched.home}/records/supplier/add")
    page.get_by_label("Name").fill("S-1")
    page.get_by_label("Company").fill("Müller 供应商 😀")
    page.get_by_label("Limit").fill("12.50")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("Müller 供应商 😀").first).to_be_visible()


def test_9_everything_is_in_the_audit_log(watched):
    """Every step is found in the audit log, with who and what."""
    page = goto(watched, "/audit/")
    for sentence in ("admin signed in", "admin added the connection erp", "admin published the rule customers_erp"):
        expect(page.get_by_text(sentence).first).to_be_visible()
    page.get_by_text("admin added the connection erp").first.click()
    expect(page.get_by_role("main")).to_contain_text("postgresql")
    expect(page.get_by_role("main")).not_to_contain_text("wrong")
