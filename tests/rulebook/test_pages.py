"""The pages of the rule editor, as an administrator sees them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from lxml import html

from tests.rulebook.conftest import ANNA, BEN, document
from tests.webapp.conftest import add_user
from webapp.extensions import SYSTEM, House
from webapp.rulebook import services
from webapp.rulebook.models import rule

PAGES = [
    "",
    "fields",
    "fields?setup=1",
    "behaviour",
    "behaviour?setup=1",
    "source",
    "source?format=json",
    "versions",
    "publish",
]


@pytest.fixture
def made(console: House) -> House:
    services.create(console, document(), ANNA)
    return console


def row(house: House) -> services.RuleRow:
    with house.db.read() as tx:
        return services.get(tx, "customers")


def form_of(client: FlaskClient, address: str) -> dict[str, Any]:
    """Return what the browser would send for the form of a page that nobody touched."""
    text = client.get(address).text
    form = text[text.index(f'action="{address.partition("?")[0]}"') :]
    form = form[: form.index("</form>")]
    values: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        kind, name = re.search(r'type="(\w+)"', tag), re.search(r' name="([^"]+)"', tag)
        if name and (kind is None or kind[1] not in {"radio", "checkbox"} or re.search(r"\schecked", tag)):
            value = re.search(r' value="([^"]*)"', tag)
            values[name[1]] = _text(value[1] if value else "")
    for name, options in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        values[name] = _text(chosen[1]) if chosen else ""
    for name, text in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        values[name] = _text(text)
    return values


def resent(page: str, form: dict[str, Any]) -> dict[str, Any]:
    """Return what is sent when somebody presses the button of an answered form again."""
    found = re.search(r'name="draft_version" value="(\d+)"', page)
    return {**form, "draft_version": found[1] if found else ""}


def _text(value: str) -> str:
    pairs = {"&#39;": "'", "&#34;": '"', "&lt;": "<", "&gt;": ">", "&amp;": "&"}
    for coded, plain in pairs.items():
        value = value.replace(coded, plain)
    return value


def test_empty_list_leads_on(admin_client: FlaskClient) -> None:
    """Where there is no rule, the page says what a rule is and offers to make one."""
    text = admin_client.get("/rules/").text
    assert "No rules yet" in text
    assert 'href="/rules/new"' in text


def test_three_steps(console: House, admin_client: FlaskClient) -> None:
    """Systems, fields, behaviour: each step is saved, proposes what it can, and leads to the next."""
    assert "account" in admin_client.get("/rules/objects?side=left&left_connection=crm").text
    assert "phone" in admin_client.get("/rules/object-fields?side=left&left_connection=crm&left_object=account").text
    chosen = {
        "left_connection": "crm",
        "left_object": "account",
        "right_connection": "erp",
        "right_object": "customers.csv",
        "name": "customers",
        "label": "Customers",
        "direction": "left_to_right",
    }
    answer = admin_client.post("/rules/new", data=chosen)
    assert answer.location == "/rules/customers/fields?setup=1"
    assert row(console).document["key"] == {"left": "id", "right": "no"}
    assert {e["right"]: e["left"] for e in row(console).document["fields"]} == {
        "no": "id",
        "title": "name",
        "tel": "phone",
    }
    answer = admin_client.post("/rules/customers/fields", data={**form_of(admin_client, answer.location), "do": "next"})
    assert answer.location == "/rules/customers/behaviour?setup=1"
    filled = {**form_of(admin_client, answer.location), "where": "status == 'active'", "schedule_kind": "minutes"}
    answer = admin_client.post("/rules/customers/behaviour", data={**filled, "schedule_every": "15", "do": "next"})
    assert answer.location == "/rules/customers/"
    assert row(console).document["left"]["where"] == "status == 'active'"
    assert row(console).document["schedule"]["cron"] == "*/15 * * * *"
    text = admin_client.get("/rules/customers/").text
    assert "Everything fits together." in text
    assert "every 15 minutes" in text


def test_first_step_says_what_is_missing(console: House, admin_client: FlaskClient) -> None:
    """What is missing is said at its field, and what was chosen stays."""
    answer = admin_client.post("/rules/new", data={"left_connection": "crm", "left_object": "account", "name": "New"})
    assert answer.status_code == 422
    assert "Choose a connection." in answer.text
    assert 'value="account" selected' in answer.text


@pytest.mark.parametrize("page", PAGES)
def test_pages_show(made: House, admin_client: FlaskClient, page: str) -> None:
    """Every page of a rule can be shown."""
    answer = admin_client.get(f"/rules/customers/{page}")
    assert answer.status_code == 200
    assert "crm › account" in answer.text


@pytest.mark.parametrize("page", PAGES)
def test_pages_of_a_broken_draft_show(console: House, admin_client: FlaskClient, page: str) -> None:
    """A draft that says next to nothing, or nonsense, can still be looked at and repaired."""
    broken = {
        "kind": "sync",
        "name": "customers",
        "left": {"connection": "nowhere"},
        "fields": [{"left": 7}, "x"],
        "key": 3,
    }
    services.create(console, broken, ANNA)
    assert admin_client.get(f"/rules/customers/{page}").status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_pages_without_the_systems_show(made: House, admin_client: FlaskClient, page: str) -> None:
    """When a connection is gone, the pages say so and keep the mapping."""
    services.save_draft(made, "customers", document(left={"connection": "gone", "object": "account"}), ANNA)
    assert admin_client.get(f"/rules/customers/{page}").status_code == 200


def test_unknown_rule_is_not_found(console: House, admin_client: FlaskClient) -> None:
    """A rule that does not exist is a page that does not exist."""
    for page in PAGES:
        assert admin_client.get(f"/rules/nothing/{page}").status_code == 404


def test_untouched_forms_change_nothing(made: House, admin_client: FlaskClient) -> None:
    """Saving what is shown leaves the document as it is."""
    for page in ("fields", "behaviour", "source"):
        form = form_of(admin_client, f"/rules/customers/{page}")
        assert admin_client.post(f"/rules/customers/{page}", data=form).status_code == 302
        assert row(made).document == document()
    assert row(made).draft_version == 1


def test_two_tabs(made: House, admin_client: FlaskClient) -> None:
    """Who saves second is told who was first and keeps what was typed; nothing is overwritten."""
    for page, typed in (("fields", "expression-1"), ("behaviour", "where"), ("source", "text")):
        form = form_of(admin_client, f"/rules/customers/{page}")
        services.save_draft(made, "customers", document(label=f"Ben at {page}"), BEN)
        form[typed] = form[typed] + "\n" if typed == "text" else "name.trim()"
        form["source-1"] = "="
        answer = admin_client.post(f"/rules/customers/{page}", data=form)
        assert answer.status_code == 409
        assert page == "source" or "name.trim()" in answer.text
        assert "ben saved a newer draft" in answer.text
        assert admin_client.post(f"/rules/customers/{page}", data=resent(answer.text, form)).status_code == 409
        assert row(made).document["label"] == f"Ben at {page}"


def test_problems_stand_at_their_fields(made: House, admin_client: FlaskClient) -> None:
    """A wrong expression is marked on the fields page, and the overview leads there."""
    fields = [{"left": "id", "right": "no"}, {"right": "title", "to_right": "nme.trim()"}]
    services.save_draft(made, "customers", document(fields=fields), ANNA)
    assert "nme" in admin_client.get("/rules/customers/fields").text
    assert "is-wrong" in admin_client.get("/rules/customers/fields").text
    overview = admin_client.get("/rules/customers/").text
    assert "Field title" in overview
    assert 'href="/rules/customers/fields"' in overview
    assert "data-problems=" in admin_client.get("/rules/customers/source").text


def test_examples_of_the_mapping(made: House, admin_client: FlaskClient) -> None:
    """Beside each line stands what the first records become, and what is wrong with an expression."""
    form = form_of(admin_client, "/rules/customers/fields")
    number = {value: key.removeprefix("target-") for key, value in form.items() if key.startswith("target-")}
    form |= {f"source-{number['tel']}": "=", f"expression-{number['tel']}": "phone.trim()"}
    text = admin_client.post("/rules/customers/fields/try", data=form).text
    assert "021-555" in text
    assert "上海贝尔" in text
    form[f"expression-{number['tel']}"] = "phon.trim()"
    text = admin_client.post("/rules/customers/fields/try", data=form).text
    assert "1 needs a look" in text
    assert row(made).draft_version == 1


def test_schedule_in_words(console: House, admin_client: FlaskClient) -> None:
    """The picker says when the rule will run next."""
    text = admin_client.get("/rules/schedule-words?schedule_kind=daily&schedule_time=08:00&timezone=Asia/Shanghai").text
    assert "daily at 08:00" in text
    assert "08:00</span>" in text
    assert "never fires" in admin_client.get("/rules/schedule-words?schedule_kind=cron&schedule_cron=x").text
    assert admin_client.get("/rules/schedule-words?schedule_kind=daily&timezone=Nowhere/At-All").status_code == 200


def test_the_schedule_alone_is_sent_to_be_put_into_words(made: House, admin_client: FlaskClient) -> None:
    """The picker's address holds neither the form's token nor all else that the form holds, and stays short."""
    page = html.fromstring(admin_client.get("/rules/customers/behaviour").text)
    (words,) = page.xpath("//*[@id='schedule-words']")
    names = words.get("hx-params").split(",")
    assert all(page.xpath(f"//*[@name='{name}']") for name in names)
    assert {name.partition("_")[0] for name in names} == {"schedule", "timezone"}


def test_how_long_parked_records_wait_is_set(made: House, admin_client: FlaskClient) -> None:
    """The time after which parked records are discarded is entered, told in words, checked and taken out again."""
    form = form_of(admin_client, "/rules/customers/behaviour")
    admin_client.post("/rules/customers/behaviour", data={**form, "expire": " 30d "})
    assert row(made).document["errors"]["expire"] == "30d"
    assert "discarded" in admin_client.get("/rules/customers").text
    form = form_of(admin_client, "/rules/customers/behaviour")
    assert form["expire"] == "30d"
    answer = admin_client.post("/rules/customers/behaviour", data={**form, "expire": "soon"}, follow_redirects=True)
    assert "is-invalid" in answer.text
    form = form_of(admin_client, "/rules/customers/behaviour")
    admin_client.post("/rules/customers/behaviour", data={**form, "expire": ""})
    assert "errors" not in row(made).document


def test_publish_and_roll_back(made: House, admin_client: FlaskClient) -> None:
    """Publishing shows the change first, keeps the note, and can be taken back."""
    assert "Publish version 1" in admin_client.get("/rules/customers/publish").text
    form = {**form_of(admin_client, "/rules/customers/publish"), "note": "first"}
    assert admin_client.post("/rules/customers/publish", data=form).location == "/rules/customers/"
    services.save_draft(made, "customers", document(label="Two"), ANNA)
    text = admin_client.get("/rules/customers/publish").text
    assert "What changes from version 1" in text
    assert "<ins>Two</ins>" in text
    stale = admin_client.post("/rules/customers/publish", data=form, follow_redirects=True)
    assert "has changed since you looked" in stale.text
    admin_client.post("/rules/customers/publish", data=form_of(admin_client, "/rules/customers/publish"))
    assert row(made).published_version == 2
    text = admin_client.get("/rules/customers/versions").text
    assert "first" in text
    assert "<ins>Two</ins>" in text
    admin_client.post("/rules/customers/versions/1/roll-back")
    assert row(made).published == document()
    assert admin_client.post("/rules/customers/versions/99/roll-back").status_code == 404
    assert admin_client.get("/rules/customers/versions?from=99&to=1").status_code == 404


def test_a_broken_rule_is_not_published(made: House, admin_client: FlaskClient) -> None:
    """Publishing what does not fit shows what is missing and publishes nothing."""
    services.save_draft(made, "customers", document(fields=[]), ANNA)
    answer = admin_client.post("/rules/customers/publish", data={"note": ""})
    assert answer.status_code == 422
    assert "keeps the rule from being published" in answer.text
    assert row(made).published_version is None


def test_life_of_a_rule(made: House, admin_client: FlaskClient) -> None:
    """Pause, resume, discard and delete work from the page."""
    services.publish(made, "customers", ANNA)
    admin_client.post("/rules/customers/pause")
    assert row(made).state == "paused"
    admin_client.post("/rules/customers/resume")
    assert row(made).state == "active"
    services.save_draft(made, "customers", document(label="Two"), ANNA)
    admin_client.post("/rules/customers/discard")
    assert not row(made).changed
    assert "is deleted" in admin_client.post("/rules/customers/delete", follow_redirects=True).text
    assert admin_client.get("/rules/customers/").status_code == 404


def test_source_edits_the_same_draft(made: House, admin_client: FlaskClient) -> None:
    """YAML and JSON are two ways to write the same draft; a mistake is shown at its line and nothing is lost."""
    for form in ("yaml", "json"):
        sent = form_of(admin_client, f"/rules/customers/source?format={form}")
        sent["text"] = sent["text"].replace("title", "tel")
        admin_client.post("/rules/customers/source", data=sent)
        assert row(made).document["fields"][1]["right"] == "tel"
        services.save_draft(made, "customers", document(), ANNA)
    shown = admin_client.post("/rules/customers/source", data={"text": sent["text"], "format": "json", "show": "yaml"})
    assert "right: tel" in shown.text
    assert "Not saved yet." in shown.text
    answer = admin_client.post("/rules/customers/source", data={"text": "kind: sync\nname: [", "format": "yaml"})
    assert answer.status_code == 422
    assert "Not saved." in answer.text
    assert "name: [" in answer.text
    answer = admin_client.post("/rules/customers/source", data={"text": "kind: sync\nname: other", "format": "yaml"})
    assert "a name cannot be changed" in answer.text
    assert row(made).document == document()


def test_nothing_changes_by_get(made: House, admin_client: FlaskClient) -> None:
    """What changes something takes a POST only."""
    for page in ("pause", "resume", "discard", "delete", "versions/1/roll-back", "fields/try"):
        assert admin_client.get(f"/rules/customers/{page}").status_code == 405


def test_anonymous_is_sent_to_sign_in(made: House, client: FlaskClient) -> None:
    """Without signing in there is nothing to see and nothing to do."""
    for page in PAGES:
        assert client.get(f"/rules/customers/{page}").status_code == 302
    client.post("/rules/customers/delete")
    assert row(made).name == "customers"


def test_owner(admin_client: FlaskClient, made: House) -> None:
    """The overview says with whose rights a rule works, and why it does not; its owner can be changed there."""
    address = "/rules/customers/"
    assert row(made).owner == "admin"  # who has the actor's number
    assert "with the rights of its owner" in admin_client.get(address).text
    add_user(made, "bob", "Viewer")
    refused = admin_client.post(f"{address}owner", data={"owner": "nobody"}, follow_redirects=True)
    assert "There is no user" in refused.text
    services.create(made, document(name="second"), SYSTEM)
    taken = admin_client.post("/rules/second/owner", data={"owner": "admin"}, follow_redirects=True)
    assert "from now on" in taken.text
    with made.db.begin() as tx:
        tx.execute(sa.update(rule).values(owner="bob"))
    assert "This rule does not run." in admin_client.get(address).text
    assert "bob may not" in admin_client.get(address).text
