"""The object builder on the form of a web service: steps against a real server, and what they make of the JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html

from connectors.builtin.rest_objects import objects_of
from tests.connections.test_rest_import import house, near, page  # noqa: F401 - fixtures
from tests.connectors.conftest import reply, web  # noqa: F401 - fixtures
from tests.webapp.conftest import admin_client, app, client, client_of, settings  # noqa: F401 - fixtures
from webapp.connections import rest_builder as building
from webapp.connections import services
from webapp.connections.rest_answer import KEPT, LiveAnswer
from webapp.connections.rest_builder_calls import with_results
from webapp.extensions import SYSTEM, House

CANARY = "s3cret-Canary"
STEP = "/connections/build/rest"


class Form:
    """The form of a connection as a browser holds it; `step` presses a button of the builder."""

    def __init__(self, page: FlaskClient, url: str = STEP, **values: Any) -> None:  # noqa: F811
        self.page = page
        self.url = url
        self.values: dict[str, str] = {f"setting.{k}": v for k, v in values.items()}
        self.text = ""

    def step(self, deed: str, **values: str) -> str:
        sent = {**self.values, **{f"b-{k.replace('__', '-')}": v for k, v in values.items()}, "b-do": deed}
        answer = self.page.post(self.url, data=sent)
        assert answer.status_code == 200, answer.text
        self.text = answer.text
        form = html.fromstring(f"<form>{answer.text}</form>")
        outside = {k: v for k, v in self.values.items() if not k.startswith("b-") and k != building.OBJECTS}
        inside = {
            i.name: i.value or ""
            for i in form.inputs
            if i.name and i.tag != "button" and (i.get("type") != "checkbox" or i.get("checked") is not None)
        }
        self.values = outside | inside
        return answer.text

    @property
    def objects(self) -> list[dict[str, Any]]:
        return json.loads(self.values[building.OBJECTS])


def service(request: Any, reply: Any) -> Any:  # noqa: F811
    """A service that repeats what signed the request, as some do."""
    signed = request.headers.get("authorization", "")
    people = [{"id": n, "name": f"n{n}", "born": "1990-01-02", "tags": ["a"]} for n in range(30)]
    pages = {"page": 1, "total": 61, "odd": {"deep": [[{"x": 1}]], "none": None, "flag": True}}
    paths = {
        "/api/people": reply(body={"data": {"items": people}, "meta": pages, "you": signed, "key": signed[7:]}),
        "/api/plain": reply(body="<p>hello</p>", headers={"Content-Type": "text/html; charset=utf-8"}),
        "/api/empty": reply(204),
        "/api/closed": reply(403, {"error": "not for you"}),
        "/api/one": reply(body={"id": 1, "tags": ["a"]}),
        "/api/linked": reply(body=people[:1], headers={"Link": '</api/linked?p=2>; rel="next"'}),
    }
    return paths.get(request.path, reply(404, {"error": "no such list"}))


@pytest.fixture
def near_service(web: Any, reply: Any, near: None) -> Any:  # noqa: F811
    web.answer = lambda request: service(request, reply)
    return web


def test_building_an_object_from_a_live_answer(page: FlaskClient, near_service: Any) -> None:  # noqa: F811
    """Path, try, choose, take over: records, key, paging and fields come from the answer; the JSON is what counts."""
    form = Form(page, base_url=near_service.url + "/api", authentication="bearer", token=CANARY, objects="")
    assert "No object is described yet" in form.step("nothing")
    assert 'name="b-path"' in form.step("add")
    assert "Enter the path of the list" in form.step("done")
    shown = form.step("try", path="/people", query="page=1\nper_page=30\n\nbad")
    assert CANARY not in shown
    assert "data.items" in shown
    assert "… + 28" in shown
    assert near_service.received[-1].query == {"page": ["1"], "per_page": ["30"], "bad": [""]}
    assert near_service.received[-1].headers["authorization"] == f"Bearer {CANARY}"
    form.step("done", field__2__use="true", field__3__label="Tags of a person")
    assert form.objects == [
        {
            "path": "/people",
            "name": "people",
            "query": {"page": "1", "per_page": "30", "bad": ""},
            "records": "data.items",
            "key": "id",
            "paging": {
                "by": "page", "parameter": "page", "size_parameter": "per_page", "size": 30, "total": "meta.total",
            },
            "fields": [
                {"name": "id", "type": "integer"},
                {"name": "name", "type": "text"},
                {"name": "born", "type": "date"},
                {"name": "tags", "type": "json", "label": "Tags of a person"},
            ],
        }
    ]  # fmt: skip
    objects_of(form.objects)
    assert CANARY not in form.text


def test_editing_keeps_what_the_builder_does_not_know(page: FlaskClient, near_service: Any) -> None:  # noqa: F811
    """Members of the expert view stay; what is emptied or switched off goes; a field keeps what it had."""
    before = {
        "name": "people", "path": "/people", "records": "data.items", "key": "id", "label": "People",
        "paging": {"by": "offset", "parameter": "from", "size": 5, "size_parameter": "n"},
        "since": {"parameter": "after", "seconds": True},
        "update": {"method": "PUT", "path": "/people/{key}", "wrap": "person"},
        "delete": {"method": "POST", "path": "/people/{key}"},
        "item": "/people/{key}", "item_record": "person",
        "fields": [{"name": "id", "type": "integer", "required": True}, {"name": "gone", "scale": 2}],
    }  # fmt: skip
    other = {"name": "other", "path": "/other"}
    form = Form(page, base_url=near_service.url + "/api", objects=json.dumps([other, before]))
    assert form.step("edit:1").count("builder-object-actions") == 0
    same = dict(before)
    same["fields"] = [before["fields"][0], {**before["fields"][1], "type": "text"}]
    form.step("done")
    assert form.objects == [other, same]
    form.step("edit:1")
    shown = form.step("try")
    assert near_service.received[-1].query == {"n": ["5"]}
    assert 'value="name"' in shown
    form.values.pop("b-delete-on")
    form.values.pop("b-field-1-use")
    form.step("done", by="none", label="", field__2__use="true", since="", create__on="true", create__path="/people",
              create__method="POST", create__key="data.id")  # fmt: skip
    made = form.objects[1]
    assert not made.keys() & {"label", "paging", "since", "delete"}
    assert made["create"] == {"method": "POST", "path": "/people", "key": "data.id"}
    assert made["fields"] == [
        {"name": "id", "type": "integer", "required": True}, {"name": "name", "type": "text"},
    ]  # fmt: skip
    form.step("edit:1")
    form.values.pop("b-fixed")
    form.step("try")
    form.step("done")
    assert "fields" not in form.objects[1]
    form.step("remove:0")
    assert [one["name"] for one in form.objects] == ["people"]
    form.step("add")
    form.step("cancel", path="/x")
    assert len(form.objects) == 1
    form.step("edit:7")
    assert form.values["b-at"] == "new"


def test_choosing_another_list(page: FlaskClient, near_service: Any) -> None:  # noqa: F811
    """A click on a list takes its records, with proposals of their own; a list that is not there changes nothing."""
    form = Form(page, base_url=near_service.url + "/api", objects="[]")
    form.step("add")
    form.step("try", path="/linked")
    assert form.values["b-by"] == "link"
    assert "the whole answer" in form.text
    assert form.values["b-fixed"] == "true", "a list that is the whole answer is proposed like any other"
    form.step("records:nowhere")
    assert form.values["b-records"] == ""
    form.step("records:", key="name")
    assert form.values["b-key"] == "id"
    assert Form(page, objects="[]").step("records:x")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/plain", "This is not JSON but text/html"),
        ("/missing", "The service has nothing at this path"),
        ("/closed", "The service refuses the call"),
        ("/empty", "There is no list of records in the answer"),
        ("/one", "There is no list of records in the answer"),
        ("", "Enter the path of the list"),
        ("/x/{parent}/y", "Choose the object for whose records the list is read"),
    ],
)
def test_answers_without_a_list(page: FlaskClient, near_service: Any, path: str, words: str) -> None:  # noqa: F811
    """Whatever the service answers is shown with what to do about it."""
    form = Form(page, base_url=near_service.url + "/api", objects="[]")
    form.step("add")
    assert words in form.step("try", path=path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"base_url": "http://10.1.2.3"}, "must not be reached"),
        ({"base_url": "nowhere"}, "Enter a web address"),
        ({"objects": "[{"}, "is not JSON"),
        ({"objects": "{}"}, "The objects are a list"),
    ],
)
@pytest.mark.usefixtures("near")
def test_mistakes_are_told(page: FlaskClient, values: dict[str, str], words: str) -> None:  # noqa: F811
    """What is wrong with the connection or the expert view is told where the builder is."""
    form = Form(page, **{"base_url": "https://x.example", "objects": "[]", **values})
    first = form.step("add")
    assert words in (first if "b-at" not in form.values else form.step("try", path="/x"))
    assert json.loads(form.values.get("b-answer") or "0") == 0


def test_a_name_twice_is_refused(page: FlaskClient) -> None:  # noqa: F811
    """What the connector would refuse is not taken over."""
    form = Form(page, objects='[{"name": "a", "path": "/a"}]')
    form.step("add")
    assert "that no other object has" in form.step("done", path="/a")
    assert form.values["b-path"] == "/a"


def test_saving_takes_the_open_object_along(page: FlaskClient, house: House) -> None:  # noqa: F811
    """Who saves with an object open saves it, too; one without a path is nothing."""
    form = Form(page, base_url="https://x.example", objects="[]")
    assert "rest-builder" in page.get("/connections/new/rest").text
    form.step("add")
    assert "changes</span>" not in form.step("done", path="/only-read")
    form.step("remove:0")
    form.step("add")
    sent = {"name": "svc", **form.values, "b-path": "/people"}
    assert page.post("/connections/new/rest", data=sent).status_code == 302
    sent = {**form.values, "b-path": "", building.OBJECTS: '[{"name": "b", "path": "/b"}]'}
    assert page.post("/connections/svc/edit", data=sent).status_code == 302
    with house.db.read() as tx:
        assert services.get_connection(tx, "svc").settings["objects"] == [{"name": "b", "path": "/b"}]


def test_stored_secrets_sign_the_call_and_are_not_shown(
    page: FlaskClient,  # noqa: F811
    near_service: Any,
    house: House,  # noqa: F811
    app: Flask,  # noqa: F811
) -> None:
    """The builder of a stored connection uses its secrets; neither they nor what they sign with come back."""
    stated = {"base_url": near_service.url + "/api", "authentication": "basic", "user": "ann", "password": CANARY,
              "objects": []}  # fmt: skip
    services.create(house, {"kind": "connection", "name": "crm", "connector": "rest", "settings": stated}, SYSTEM)
    form = Form(page, STEP + "?name=crm", base_url=stated["base_url"], authentication="basic", user="ann", objects="")
    form.step("add")
    shown = form.step("try", path="/people")
    signed = base64.b64encode(f"ann:{CANARY}".encode()).decode()
    assert near_service.received[-1].headers["authorization"] == f"Basic {signed}"
    assert "data.items" in shown
    assert CANARY not in shown
    assert signed not in shown
    assert page.post(STEP + "?name=none").status_code == 404
    assert client_of(app, "vera", "Viewer").post(STEP).status_code == 403


def test_a_name_made_of_the_path_goes_with_it(page: FlaskClient, near_service: Any) -> None:  # noqa: F811
    """A new object is called like its path until a person names it; one that rules may know keeps its name."""
    form = Form(page, base_url=near_service.url + "/api", objects="[]")
    form.step("add")
    assert "nothing at this path" in form.step("try", path="/nowhere")
    form.step("try", path="/people")
    assert form.values["b-name"] == "people"
    form.step("try", name="staff")
    form.step("try", path="/one")
    assert form.values["b-name"] == "staff"
    form.step("done")
    assert "Leave it as it was" in form.step("edit:0")
    form.step("done", path="/people")
    assert form.objects[0]["name"] == "staff"


@pytest.mark.parametrize(
    ("body", "claimed"),
    [
        ({"data": [{"id": 1}], "meta": {"total": 61, "pages": 99}}, 61),
        ({"data": [{"id": 1}], "total": 1}, None),
        ({"data": [{"id": 1}], "total": "61"}, None),
        ({"data": [], "total": 5}, None),
        ({"data": [{"id": 1}]}, None),
    ],
)
def test_a_list_that_goes_on_is_noticed(body: dict[str, Any], claimed: int | None) -> None:
    """An answer that says that there are more records than it holds is no whole list."""
    counts = {"data": len(body["data"])}
    assert LiveAnswer(200, 0.1, body, counts).claimed("data") == claimed


def test_a_list_that_goes_on_is_told(page: FlaskClient, near_service: Any, reply: Any) -> None:  # noqa: F811
    """Who takes such a list for whole is warned, and no longer once it is said how it goes on."""
    near_service.answer = lambda _: reply(body={"data": [{"id": 1}], "total": 61})
    form = Form(page, base_url=near_service.url, objects="[]")
    form.step("add")
    assert "There are 61 records" in form.step("try", path="/people")
    assert "There are 61 records" not in form.step("try", by="page", parameter="page")


CUSTOMERS = {"name": "customers", "path": "/customers", "records": "data", "key": "no"}
CONTACTS = {
    "name": "contacts", "path": "/customers/{parent}/contacts", "records": "data", "key": "id",
    "parent": {"object": "customers", "as": "customer"},
    "fields": [{"name": "id", "type": "integer"}, {"name": "mail", "type": "text"},
               {"name": "customer", "type": "text"}],
}  # fmt: skip


def of_customers(request: Any, reply: Any) -> Any:  # noqa: F811
    """Two customers with two contacts each, a list of changes in one call, and one without customers."""
    if request.path == "/customers":
        return reply(body={"data": [{"no": "K/1"}, {"no": "K2"}]})
    if request.path == "/contacts/batch":
        told = [{"id": one["id"], "status": 200, "error": None} for one in json.loads(request.body)["records"]]
        told[-1] |= {"status": 422, "error": {"message": "no mail"}}
        return reply(body={"done": {"results": told}})
    if request.path.endswith("/contacts"):
        number = 10 if "K%2F1" in request.path else 20
        return reply(body={"data": [{"id": number + n, "mail": f"m{n}@x.example"} for n in (1, 2)]})
    return reply(body={"data": []})


def test_a_list_of_each_record_is_built(page: FlaskClient, near_service: Any, reply: Any) -> None:  # noqa: F811
    """A sub-resource is chosen, tried with the first record or a named one, and its field for the parent is kept."""
    near_service.answer = lambda request: of_customers(request, reply)
    nobody = {"name": "nobody", "path": "/nobody", "records": "data", "key": "no"}
    form = Form(page, base_url=near_service.url, objects=json.dumps([CUSTOMERS, nobody]))
    form.step("add")
    shown = form.step("try", path="/customers/{parent}/contacts", parent="customers", parent__as="customer")
    assert "GET /customers/K%2F1/contacts" in shown
    form.step("try", parent__key="K2")
    assert near_service.received[-1].path == "/customers/K2/contacts"
    form.step("done", field__0__type="integer")
    assert form.objects[2] == {**CONTACTS, "fields": form.objects[2]["fields"]}
    assert {one["name"] for one in form.objects[2]["fields"]} == {"id", "mail", "customer"}
    objects_of(form.objects)
    form.step("edit:2")
    assert "has no records" in form.step("try", parent="nobody", parent__key="")
    form.step("done", parent="customers", parent__also="a\n\n b ", parent__once="true", parent__field="no")
    parent = {"object": "customers", "as": "customer", "field": "no", "also": ["a", "b"], "once": True}
    assert form.objects[2]["parent"] == parent
    form.step("edit:2")
    form.step("done", parent="")
    assert "parent" not in form.objects[2], "what is no sub-resource any more says so"


def test_a_batch_is_tried_before_it_is_described(page: FlaskClient, near_service: Any, reply: Any) -> None:  # noqa: F811
    """What a batch sends is shown; sent, its answer tells where the answers are, and the audit log who sent it."""
    near_service.answer = lambda request: of_customers(request, reply)
    form = Form(page, base_url=near_service.url, objects=json.dumps([CUSTOMERS, CONTACTS]), name="svc")
    form.step("edit:1")
    assert "Switch on several records" in form.step("show:update", update__on="true", update__path="/contacts/batch")
    form.values.pop("b-update-batch", None)
    shown = form.step("show:update", update__method="POST", update__batch="true", update__batch__size="50")
    assert "POST /contacts/batch" in shown
    assert "m1@x.example" in shown
    assert near_service.received[-1].path != "/contacts/batch", "showing sends nothing"
    form.step("send:update")
    sent = json.loads(near_service.received[-1].body)
    assert [one["id"] for one in sent["records"]] == [11, 12]
    form.step("results:done.results")
    form.step("done")
    batch = form.objects[1]["update"]["batch"]
    assert batch == {"size": 50, "records": "records", "results": "done.results", "match": "id", "status": "status",
                     "message": "error.message"}  # fmt: skip
    objects_of(form.objects)
    events = page.get("/audit/").text
    assert "sent a trial batch" in events
    assert events.count("sent a trial batch") == 2, "in the list once, and as a kind of event to choose"
    form.step("edit:1")
    form.step("done", update__batch__records="", update__batch__size="no")
    assert "Expected `int`" in form.text or "wrong" in form.text
    form.step("done", update__batch__size="7", update__batch__results="", update__batch__match="")
    assert form.objects[1]["update"]["batch"] == {"size": 7, "records": "", "status": "status", "message": "error.message"}  # fmt: skip # noqa: E501
    form.step("edit:1")
    form.values.pop("b-update-batch")
    form.step("done")
    assert form.objects[1]["update"] == {"path": "/contacts/batch", "method": "POST"}


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([{"no": 1, "success": True}, {"no": 2, "success": False, "errors": []}], {"match": "no", "ok": "success"}),
        ([{"status": "ok", "errors": []}], {"error": "errors"}),
        ([{"result": {"statusCode": 201, "detail": "x"}}], {"status": "result.statusCode", "message": "result.detail"}),
        ([{"status": 200}, {}], {}),
        ([], {}),
    ],
)
def test_how_answers_tell_what_became_of_records(answers: list[Any], found: dict[str, str]) -> None:
    """Usual names are taken for what they say; what was chosen for other members stays."""
    answer = LiveAnswer(200, 0.1, {"r": answers}, {"r": len(answers)})
    made = with_results({"size": 5, "records": "", "results": "old", "ok": "old"}, answer, "r", "no")
    assert made == {"size": 5, "records": "", "results": "r", **found}


def test_answers_are_cut_short() -> None:
    """A long answer is shown in part; what the page keeps of it is small, and what is no answer is none."""

    class Said:
        status_code, headers, links = 200, {}, {}
        text = json.dumps({"rows": [{"id": n, "t": "x" * 999} for n in range(5000)], "deep": [[[1]]] * 9, "n": 1.5,
                           "d": json.loads("[" * 30 + "]" * 30), "w": {f"m{n}": n for n in range(900)}})  # fmt: skip

    answer = LiveAnswer.of(Said(), 0.1, ())  # type: ignore[arg-type]
    assert len(answer.records("rows")) == KEPT
    assert answer.lists()[0].count == 5000
    assert len(answer.lines()) <= 400
    assert LiveAnswer.read(answer.text) == answer
    again = LiveAnswer.read(answer.text)
    assert again is not None
    assert list(again.value) == ["rows", "deep", "n", "d", "w"], "members stay in the service's order"
    assert LiveAnswer.read("{") is None
    assert answer.records("no") == answer.fields("no") == answer.records("n") == []
