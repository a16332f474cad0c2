"""The pages of event rules: making one, its form, its simulation, how it does at work, the events themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from tests.events.conftest import ADMIN, ONBOARDING, UNPAID
from tests.rulebook.conftest import draft
from tests.webapp.conftest import admin_client, app, client, settings, text  # noqa: F401 - the console's fixtures
from webapp.events import claims, intake, kind, reading, starters
from webapp.events.doers import do
from webapp.events.drawing import drawn
from webapp.events.form_document import document_of, model_of
from webapp.events.form_model import Model, changed, input_of, model_from
from webapp.events.keeper import Keeper
from webapp.extensions import House
from webapp.rulebook import services


@pytest.fixture
def console(app: Flask) -> House:  # noqa: F811
    """Return the console's house with a pattern and a chart."""
    house: House = app.extensions["syncline"]
    services.create(house, UNPAID, ADMIN)
    services.create(house, ONBOARDING, ADMIN)
    return house


def inputs(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the inputs that show a model."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from inputs(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and name.endswith("absent.events"):
        yield from ((f"{name}[]", one) for one in value)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from inputs(inner, f"{name}.{number}")
    else:
        yield name, value


def form(model: Model) -> MultiDict[str, str]:
    return MultiDict(list(inputs(model)))


EVERYTHING: dict[str, Any] = {
    "kind": "event_rule",
    "name": "unpaid",
    "label": "All kinds of actions",
    "events": {"order": {"type": "order.created", "where": "order.amount > 10", "by": "order.customer.no"}},
    "when": {"count": {"event": "order", "times": 3}, "within": "10m"},
    "then": [
        {"case": {"title": "T {key}", "details": {"amount": "order.amount"}}, "when": "order.amount > 1"},
        {"create_record": {"object": "customer", "connection": "hub", "fields": {"no": "key"}}},
        {"update_record": {"object": "customer", "key": {"no": "key"}, "fields": {"name": "order.name"}}},
        {"call": {"connection": "shop", "path": "/orders/{order.id}", "method": "PUT", "body": "{'a': 1}"}},
        {"run": {"rule": "buyers", "mode": "shadow"}, "retry": {"times": 2, "wait": "1m", "backoff": "fixed"}},
        {"notify": {"web_hook": {"url": "https://example.com", "body": "key", "secret": "env:S"}}},
        {"notify": {"email": {"to": ["a@example.com", "b@example.com"], "subject": "S", "text": "One\nTwo"}}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("document", [UNPAID, ONBOARDING, EVERYTHING], ids=["pattern", "chart", "everything"])
def test_the_form_says_all_of_a_rule(document: dict[str, Any]) -> None:
    """A rule shown as a form and read again is the same rule."""
    assert document_of(model_from(form(model_of(document))), document) == document


@pytest.mark.parametrize("kind_", starters.FORMS)
def test_a_new_rule_is_valid_at_once(app: Flask, kind_: str) -> None:  # noqa: F811
    """Each form begins with an example that could be published; its own examples come out as stated."""
    house: House = app.extensions["syncline"]
    with app.test_request_context():
        document = starters.starter(kind_, "fresh", "")
    assert kind.check(house, document) == []


def test_steps_in_the_form() -> None:
    """Parts are added, moved and removed; a step that makes no sense changes nothing."""
    model = model_of(ONBOARDING)
    more, opened = changed(model, "add:states.1.transitions:after")
    assert opened == "states.1.transitions.3"
    assert more["states"][1]["transitions"][3]["kind"] == "after"
    moved, _ = changed(model, "up:states.1")
    assert [one["name"] for one in moved["states"]][:2] == ["checking", "new"]
    fewer, _ = changed(model, "remove:states.0")
    assert fewer["states"][0]["name"] == "checking"
    for deed in ("add:x.y", "remove:states.99", "up:states.x", "fly", "remove:label.0", "add:states.0.name"):
        assert changed(model, deed)[0] == model


def test_a_new_name_reaches_every_choice() -> None:
    """Renaming an event or a state in the form renames it wherever the form names it."""
    model = model_of(ONBOARDING)
    model["events"][1]["name"] = "rating"
    model["states"][2]["name"] = "setting_up"
    found = document_of(model, ONBOARDING)
    assert "rating" in found["events"]
    ways = found["states"][1]["transitions"]
    assert ways[0] == {"on": "rating", "to": "setting_up", "when": "credit.limit >= 1000"}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("events/paid/type", "events.1.type"),
        ("when/all/0", "when.names.0"),
        ("when/absent/within", "when.absent.within"),
        ("then/0/case/title", "then.0.case.title"),
        ("then/0/notify/web_hook/url", "then.0.web_hook.url"),
        ("by", "by"),
    ],
)
def test_problems_name_their_input(path: str, name: str) -> None:
    """What the checker says about a key of the document is shown at the input for it."""
    assert input_of(path, UNPAID) == name


@pytest.mark.usefixtures("console")
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/rules/new/event", "A process with states"),
        ("/rules/unpaid/", "Unless this follows"),
        ("/rules/onboarding/event", "chart-place"),
        ("/rules/unpaid/simulation", "Paste events"),
        ("/rules/unpaid/simulation?from=stored", "No event of these types has come in yet."),
        ("/rules/unpaid/work", "Not at work yet"),
        ("/rules/unpaid/source", "absent"),
        ("/events/", "No events yet"),
        ("/events/rules", "onboarding"),
        ("/events/actions", "No action has failed"),
        ("/events/send", "Data"),
    ],
)
def test_pages_open(admin_client: FlaskClient, path: str, shown: str) -> None:  # noqa: F811
    """Each page opens and says what to do where it is empty."""
    assert shown in text(admin_client, path)


def test_a_new_rule_is_made(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """A name and a form are enough; without a good name the page says so."""
    assert admin_client.post("/rules/new/event", data={"form": "flow"}).status_code == 422
    assert admin_client.post("/rules/new/event", data={"form": "flow", "name": "unpaid"}).status_code == 422
    made = admin_client.post("/rules/new/event", data={"form": "flow", "name": "approval", "label": "Approval"})
    assert made.headers["Location"] == "/rules/approval/event"
    assert draft(console, "approval")["flow"][0]["name"] == "start"


def test_the_form_is_saved(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """The form becomes the draft; a stale one saves nothing; a step saves nothing either."""
    model = model_of(UNPAID)
    model["then"][0]["case"]["title"] = "Pay {key}"
    data = MultiDict([("draft_version", "1"), *inputs(model)])
    assert admin_client.post("/rules/unpaid/event", data=data).status_code == 302
    assert draft(console, "unpaid") == {**UNPAID, "then": [{"case": {"title": "Pay {key}"}}]}
    assert admin_client.post("/rules/unpaid/event", data=data).status_code in (302, 409)
    step = MultiDict([*data.items(multi=True), ("do", "add:then:email")])
    for path in ("/rules/unpaid/event", "/rules/unpaid/event/step"):
        page = admin_client.post(path, data=step)
        assert page.status_code == 200
        assert "then.1.email.subject" in page.get_data(as_text=True)
    assert len(draft(console, "unpaid")["then"]) == 1


@pytest.mark.usefixtures("console")
def test_the_check_answers_for_the_form(admin_client: FlaskClient) -> None:  # noqa: F811
    """While one types, problems are told by input, and the chart is drawn."""
    model = model_of(ONBOARDING)
    model["states"][1]["transitions"][0]["when"] = "credit.limit >="
    found = admin_client.post("/rules/onboarding/event/check", data=form(model)).get_json()
    assert set(found["errors"]) == {"states.1.transitions.0.when"}
    model["states"][0]["transitions"][0]["to"] = ""
    found = admin_client.post("/rules/onboarding/event/check", data=form(model)).get_json()
    assert "states.0.transitions.0.to" in found["errors"]
    assert "<svg" in found["chart"]
    assert "This keeps the rule from being published" in found["html"]


LATE = '{"type": "order.created", "data": {"customer": "7", "id": 1}}'


@pytest.mark.usefixtures("console")
def test_pasted_events_are_simulated(admin_client: FlaskClient) -> None:  # noqa: F811
    """JSON lines, JSON and YAML are read; the timeline shows the action with its values."""
    yaml = "- type: order.created\n  data: {customer: '7', id: 1}\n"
    for events in (LATE, f"[{LATE}]", yaml, f"\n{LATE}\n\n"):
        page = admin_client.post("/rules/unpaid/simulation", data={"events": events}).get_data(as_text=True)
        assert "Order 1 is not paid" in page, events


@pytest.mark.usefixtures("console")
@pytest.mark.parametrize(
    ("events", "shown"),
    [
        (f"{LATE}\n{{oops", "Line 2"),
        (f"{LATE}\n{LATE}\n" + '{"kind": 1}', "Line 3"),
        ("- type: order.created\n- at: 1m\n", "Line 2"),
        ("- type: [", "Line"),
        ("hello", "cannot be read"),
        ("events: 3", "A list of events is needed"),
        ("", "Paste at least one event."),
    ],
)
def test_errors_name_the_line(admin_client: FlaskClient, events: str, shown: str) -> None:  # noqa: F811
    """What cannot be read is told with its line."""
    answer = admin_client.post("/rules/unpaid/simulation", data={"events": events})
    assert answer.status_code == 422
    assert shown in answer.get_data(as_text=True)


def test_a_simulation_is_kept_as_an_example(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """Events and what came of them become an example of the draft, which then comes out as stated."""
    data = {"events": LATE, "until": "1h", "title": "Late", "draft_version": "1"}
    assert admin_client.post("/rules/unpaid/simulation/keep", data=data).status_code == 302
    test = draft(console, "unpaid")["tests"][0]
    assert test["name"] == "Late"
    assert test["expect"][0]["do"] == "case"
    assert test["expect"][0]["at"] == "30m"
    assert "as stated" in text(admin_client, "/rules/unpaid/simulation/examples")
    data = {"draft_version": "2"}
    assert admin_client.post("/rules/unpaid/simulation/0/forget", data=data).status_code == 302
    assert "tests" not in draft(console, "unpaid")


def work(house: House) -> None:
    keeper = Keeper(house, "test")
    while keeper.turn():
        pass
    for action in claims.claim(house, "test", 100):
        do(house, action)


def test_a_rule_at_work(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """An event sent by hand moves a process; its page shows state, history and the case that was opened."""
    services.publish(console, "onboarding", ADMIN)
    work(console)
    for type_, data in (
        ("customer.signed_up", '{"no": "K1", "name": "Ada"}'),
        ("credit.checked", '{"no": "K1", "limit": 5000}'),
    ):
        sent = admin_client.post("/events/send", data={"type": type_, "data": data})
        assert sent.status_code == 302
    assert "waiting" in text(admin_client, "/events/?text=Ada")
    assert "No event fits" in text(admin_client, "/events/?type=x.y")
    work(console)
    assert "taken" in text(admin_client, "/events/?type=credit.checked")
    with console.db.read() as tx:
        process = reading.process(tx, "onboarding", "K1")
    assert process is not None
    assert f"/rules/onboarding/work/{process.id}" in text(admin_client, "/rules/onboarding/work")
    page = text(admin_client, f"/rules/onboarding/work/{process.id}")
    assert "creating" in page
    assert "is-current" in page
    assert 'href="/cases/1"' in page
    assert "Create Ada in the ERP" in text(admin_client, "/cases/1")
    assert admin_client.get("/rules/onboarding/work/999").status_code == 404
    assert "done" in text(admin_client, "/events/actions?state=done")


def test_a_broken_draft_still_opens(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """What does not even have the right shape is told on every page of the rule, and can be mended."""
    for part in ({"events": 3, "states": "x"}, {"tests": 1, "flow": [1, {"next": 2}]}, {"events": {"a": 1}, "when": 7}):
        broken = {"kind": "event_rule", "name": "unpaid", **part}
        services.save_draft(console, "unpaid", broken, ADMIN)
        for page in ("event", "simulation", "simulation?from=stored", "work", "source"):
            text(admin_client, f"/rules/unpaid/{page}")


@pytest.mark.usefixtures("console")
def test_bad_events_are_refused_in_the_form(admin_client: FlaskClient) -> None:  # noqa: F811
    """The form says what is wrong with an event."""
    for data in ({"type": "Bad Type"}, {"type": "a.b", "data": "{"}, {"type": "a.b", "data": "[1]"}):
        assert admin_client.post("/events/send", data=data).status_code == 422


def test_a_failed_action_is_tried_again(admin_client: FlaskClient, console: House) -> None:  # noqa: F811
    """What failed is listed with its reason; trying again puts it back to work."""
    hook = {"notify": {"web_hook": {"url": "http://127.0.0.1:1/x"}}, "retry": {"times": 0}}
    rule = {**UNPAID, "name": "hook", "when": {"any": ["order"]}, "then": [hook]}
    services.create(console, rule, ADMIN)
    services.publish(console, "hook", ADMIN)
    work(console)
    intake.post(console, [{"type": "order.created", "data": {"customer": "7"}}], "test", ADMIN)
    work(console)
    page = text(admin_client, "/events/actions")
    assert "Try again" in page
    assert (
        admin_client.post("/events/actions/1/retry", data={"back": "//evil"}).headers["Location"] == "/events/actions"
    )
    with console.db.read() as tx:
        again = reading.action(tx, 1)
    assert again is not None
    assert again.state == "pending"


def test_a_chart_is_drawn() -> None:
    """Every state has a box inside the picture, every way a curve; a pattern has no picture."""
    picture = drawn(
        {
            **ONBOARDING,
            "states": [*ONBOARDING["states"], {"name": "loop", "transitions": [{"on": "erp", "to": "loop"}]}],
        },
        {"checking": 3},
        "checking",
    )
    assert picture is not None
    assert {place.name for place in picture.places} == {
        "new",
        "checking",
        "creating",
        "late",
        "refused",
        "done",
        "loop",
    }
    assert len(picture.curves) == 7
    right = picture.left + picture.width
    assert all(picture.left <= place.x and place.x + place.width <= right for place in picture.places)
    assert next(place for place in picture.places if place.name == "checking").count == 3
    assert drawn(UNPAID) is None
    assert drawn({"states": [{"name": "a", "transitions": ["x", {"to": "gone"}]}, 3]}) is not None


def test_an_event_rule_is_paused_as_a_rule(console: House, admin_client: FlaskClient) -> None:  # noqa: F811
    """It has no schedule, so none is spoken of; paused, it takes no events."""
    services.publish(console, "onboarding", ADMIN)
    page = text(admin_client, "/rules/onboarding/event")
    assert "Pause the rule" in page
    assert "schedule" not in page.lower()
    done = admin_client.post("/rules/onboarding/pause", follow_redirects=True).get_data(as_text=True)
    assert "it takes no events until you resume it" in done
    assert "Resume the rule" in done
    done = admin_client.post("/rules/onboarding/resume", follow_redirects=True).get_data(as_text=True)
    assert "The rule takes events again." in done
