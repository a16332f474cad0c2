"""Descriptions of web services in OpenAPI and Swagger become objects of the connector `rest`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.builtin import document_text
from connectors.builtin.document_text import document_of
from connectors.builtin.openapi import Description, described
from connectors.builtin.paging_guess import key_of, paging_of
from connectors.builtin.rest_objects import objects_of
from connectors.errors import Misconfigured

FILES = Path(__file__).parent / "descriptions"


def read(name: str) -> Description:
    found = described(document_of((FILES / name).read_bytes()))
    objects_of([one.document for one in found.objects])
    return found


def found_object(found: Description, name: str) -> dict[str, Any]:
    return next(one.document for one in found.objects if one.document["name"] == name)


def document(**paths: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", "info": {"title": "T"}, "paths": {f"/{name}": item for name, item in paths.items()}}


def answering(schema: Any, **more: Any) -> dict[str, Any]:
    return {"get": {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}, **more}}


def test_openapi_3_1() -> None:
    """References, allOf, unions with null, server variables, wraps, sub-lists and OAuth are taken over."""
    found = read("shop.yaml")
    assert found.title == "Shop"
    assert found.settings == {
        "authentication": "oauth2_client",
        "token_url": "https://auth.example/token",
        "scope": "read",
        "base_url": "https://eu.shop.example/v2",
    }
    customers = found_object(found, "customers")
    fields = {field["name"]: field for field in customers.pop("fields")}
    assert customers == {
        "name": "customers",
        "path": "/customers/",
        "records": "data",
        "key": "id",
        "query": {"tenant": ""},
        "paging": {
            "by": "page", "parameter": "page", "size_parameter": "per_page", "size": 250, "total": "meta.total",
        },
        "since": {"parameter": "updated_since"},
        "create": {"method": "POST", "path": "/customers/", "wrap": "customer"},
        "item": "/customers/{key}/",
        "item_record": "data",
        "update": {"method": "PATCH", "path": "/customers/{key}/"},
        "delete": {"method": "DELETE", "path": "/customers/{key}/"},
    }  # fmt: skip
    assert {name: field["type"] for name, field in fields.items()} == {
        "id": "integer", "name": "text", "balance": "decimal", "weight": "float", "born": "date",
        "changed": "datetime", "parent": "json", "tags": "json", "either": "text",
    }  # fmt: skip
    assert fields["id"] == {"name": "id", "type": "integer", "required": True, "generated": True}
    assert fields["name"]["label"] == "Customer name"
    assert found_object(found, "orders")["parent"] == {"object": "customers", "as": "customer_id"}
    assert [str(note) for note in found.objects[0].notes] == [
        "The service wants the parameter 'tenant'. Enter its value."
    ]
    assert [(left.place, str(left.why)) for left in found.left_out] == [
        ("GET /report", "It answers with application/pdf, not with JSON.")
    ]


def test_swagger_2() -> None:
    """Hosts, body and form parameters, keys in headers, keyset paging; what cannot be taken over is told with why."""
    found = read("stock.json")
    assert found.settings == {
        "authentication": "key_header", "key_name": "X-Key", "base_url": "https://stock.example/api",
    }  # fmt: skip
    items = found_object(found, "items")
    assert {n: items[n] for n in ("key", "query", "paging", "since", "create", "item", "update")} == {
        "key": "sku",
        "query": {"kind": "all", "active": "true"},
        "paging": {"by": "keyset", "parameter": "starting_after", "more": "has_more", "size_parameter": "limit",
                   "size": 100},
        "since": {"parameter": "since", "seconds": True},
        "create": {"method": "POST", "path": "/items", "format": "form"},
        "item": "/items/{key}",
        "update": {"method": "PUT", "path": "/items/{key}"},
    }  # fmt: skip
    assert [f["type"] for f in items["fields"]] == ["text", "decimal", "json", "text", "json"]
    notes = " ".join(str(note) for one in found.objects for note in one.notes)
    assert "header 'X-Tenant'" in notes
    assert "No field tells the records apart" in notes
    assert [one.place for one in found.left_out] == [
        "GET /stores", "GET /loop", "GET /far", "POST /files", "GET /x/{a}/y/{b}",
    ]  # fmt: skip
    assert any("other.json#/X leads out of the document" in str(note) for note in found.notes)
    assert any("#/definitions/Loop" in str(note) for note in found.notes)


@pytest.mark.parametrize(
    ("schemes", "settings"),
    [
        ({"a": {"type": "http", "scheme": "basic"}}, {"authentication": "basic"}),
        ({"a": {"type": "http", "scheme": "digest"}, "b": {"type": "http", "scheme": "Bearer"}},
         {"authentication": "bearer"}),
        ({"a": {"type": "apiKey", "in": "query", "name": "k"}}, {"authentication": "key_query", "key_name": "k"}),
        ({"a": {"type": "oauth2", "flows": {"authorizationCode": {
            "authorizationUrl": "https://a/x", "tokenUrl": "https://a/t"}}}},
         {"authentication": "oauth2_code", "token_url": "https://a/t", "scope": "", "authorize_url": "https://a/x"}),
        ({"a": {"type": "oauth2", "flows": {"implicit": {}}}, "b": {"type": "openIdConnect"}},
         {"authentication": "none"}),
        ({}, {"authentication": "none"}),
    ],
)  # fmt: skip
def test_authentication(schemes: Any, settings: Any) -> None:
    """The first way to sign in that the connector knows is chosen; none that it knows is told."""
    found = described({**document(), "components": {"securitySchemes": schemes}})
    assert found.settings == settings
    told = any("could not be taken over" in str(n) for n in found.notes)
    assert told == (bool(schemes) and settings == {"authentication": "none"})


def test_addresses_of_their_own() -> None:
    """An address is completed by where the document came from; without one it is asked for."""
    assert described({**document(), "servers": [{"url": "/v1/"}]}, "https://h.example/docs/o.json").settings[
        "base_url"
    ] == ("https://h.example/v1")
    assert described({"swagger": "2.0", "basePath": "/b", "paths": {}}, "http://h.example/s.json").settings[
        "base_url"
    ] == ("http://h.example/b")
    assert "Enter its address" in str(described(document()).notes[0])


def test_names_and_shapes_at_the_edges() -> None:
    """Names stay apart; a record that holds a list is no list; a list of texts is none; odd documents do no harm."""
    person = {"type": "object", "properties": {"id": {"type": "object"}, "name": {"type": "string"}}}
    people = {"type": "array", "items": person}
    either = {"anyOf": [people, {"type": "null"}]}
    linked = {"headers": {"Link": {}}, "content": {"application/json; charset=utf-8": {"schema": either}}}
    root = document(**{
        "a/people": answering(people),
        "b/people": answering(people),
        "v1": answering({"type": "object", "properties": {"rows": people, "total.sum": people}}),
        "v2": answering({"type": "object", "properties": {"page": {"type": "object", "properties": {
            "info": {"type": "object", "properties": {"deep": {"type": "object", "properties": {"rows": people}}}}}}}}),
        "one": answering({"type": "object", "properties": {"id": {"type": "string"}, "friends": people}}),
        "words": answering({"type": "array", "items": {"type": "string"}}),
        "free": answering({"type": "array", "items": {"type": "object"}}),
        "made": {"post": {"requestBody": {"content": {"text/plain": {}}}, "responses": {}}},
        "linked": {"get": {"responses": {"2XX": linked}}},
        "lost/{id}/parts": answering(people),
        "odd": {"get": {"parameters": 7, "responses": {"200": "x"}}},
    })  # fmt: skip
    found = described(root)
    names = [one.document["name"] for one in found.objects]
    assert names == ["people", "b_people", "records", "free", "linked"]
    objects_of([one.document for one in found.objects])
    assert found_object(found, "linked")["paging"] == {"by": "link"}
    assert "key" not in found_object(found, "people")
    twice = described(document(v1=answering(people), v2=answering(people)))
    assert [one.document["name"] for one in twice.objects] == ["records", "records_2"]
    pointed = {**document(x=answering({"$ref": "#/parts/0/~1a~0%20b"})), "parts": [{"/a~ b": people}]}
    assert described(pointed).objects[0].document["name"] == "x"
    missed = described({**document(x=answering({"$ref": "#/parts/9"})), "parts": []})
    assert "#/parts/9" in str(missed.notes[-1])
    with pytest.raises(Misconfigured, match="not an OpenAPI 3"):
        described({"openapi": "2.9"})


def test_writing_as_the_document_says() -> None:
    """What takes files is left out, a wrapped record is found, own addresses of a list need no key that is a list."""
    item = {"type": "object", "properties": {"id": {"type": "integer"}, "note": {"type": "string", "writeOnly": True}}}
    body = {"requestBody": {"content": {"multipart/form-data": {}}}, "responses": {}}
    asked = [{"name": "secure", "in": "query", "required": True, "schema": {"default": True}}]
    size = [{"name": "v", "in": "query", "required": True, "schema": {"default": 2}}]
    root = document(people={**answering({"type": "array", "items": item}, parameters=[*asked, *size]), "post": body})
    found = described({**root, "security": [{"a": []}, 7]})
    assert found.objects[0].document["query"] == {"secure": "true", "v": "2"}
    assert [f["name"] for f in found.objects[0].document["fields"]] == ["id"]
    assert [str(one.why) for one in found.left_out] == ["It takes multipart/form-data, not JSON."]
    untyped = {**answering({"items": item}), "post": {"responses": {"201": {"description": "made"}}}}
    assert described(document(people=untyped)).objects[0].document["create"] == {"method": "POST", "path": "/people"}
    flag = {"type": "boolean"}
    mixed = {"type": "object", "properties": {
        "done": flag, "next_url": {"type": "string"}, "link": {"type": "string", "format": "uri"}, "rows": {
            "type": "array", "items": {"type": "object", "properties": {"ok": flag, "free": {}, "n": {"enum": [1.5]}}}},
        "other": {"type": ["string", "boolean"]}}}  # fmt: skip
    one = described(document(rows=answering(mixed))).objects[0].document
    assert [f["type"] for f in one["fields"]] == ["boolean", "text", "decimal"]
    assert one["paging"] == {"by": "link", "next": "next_url"}


def test_created_records_are_found_in_their_wrap() -> None:
    """Where the answer of a creation wraps the record in another way than what is sent, its key is looked for there."""
    person = {"type": "object", "properties": {"id": {"type": "string"}, "n": {"type": "string"}}}
    wrapped = {"type": "object", "properties": {"data": person}}
    post = {"requestBody": {"content": {"application/json": {"schema": person}}},
            "responses": {"201": {"content": {"application/json": {"schema": wrapped}}}}}  # fmt: skip
    root = document(people={**answering({"type": "array", "items": person}), "post": post})
    assert described(root).objects[0].document["create"] == {"method": "POST", "path": "/people", "key": "data.id"}
    post["requestBody"] = {"content": {"application/json": {"schema": wrapped}}}
    post["responses"] = {"201": {"content": {"application/json": {"schema": person}}}}
    assert described(root).objects[0].document["create"]["key"] == "id"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has to begin with names"),
        ("[1]", "has to begin with names"),
        ('{"openapi": ', "is not JSON"),
        ("a: [", "line 2"),
        ("a: !!python/object:os.system x", "line 1"),
        ("a: \x07", "not YAML"),
        ("a: &a [*a]", "nested too deeply"),
        ("{" + '"a":{' * 3000, "nested too deeply"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_texts_that_are_no_documents(text: Any, words: str) -> None:
    """Whatever is no document is refused with what is wrong, and nothing in it runs or grows."""
    with pytest.raises(Misconfigured, match=words):
        document_of(text)


def test_texts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text is not larger than allowed, and aliases do not unfold into more values than allowed."""
    monkeypatch.setattr(document_text, "MOST", 10_000)
    bomb = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
    )
    with pytest.raises(Misconfigured, match="unfolds into more than"):
        document_of(bomb)
    monkeypatch.setattr(document_text, "LARGEST_YAML", 10)
    with pytest.raises(Misconfigured, match="as YAML it is larger"):
        document_of("a: 1234567890")
    monkeypatch.setattr(document_text, "LARGEST", 10)
    with pytest.raises(Misconfigured, match="it is larger"):
        document_of("a: 1234567890")


def test_plain_words_of_yaml() -> None:
    """Words mean what YAML 1.2 says, aliases are followed, and names are texts."""
    text = "{on: no, 200: 010, true: ~, null: 1.5, d: 2024-01-01, x: &x [1], y: *x} # a note"
    assert document_of(text) == {
        "on": "no", "200": 10, "true": None, "null": 1.5, "d": "2024-01-01", "x": [1], "y": [1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("queries", "answer", "linked", "paging"),
    [
        ({"cursor": {}}, {"meta.next_cursor": "text"}, False,
         {"by": "cursor", "parameter": "cursor", "next": "meta.next_cursor"}),
        ({"pageToken": {}, "pageSize": {"maximum": 5000}}, {"nextPageToken": "text"}, False,
         {"by": "cursor", "parameter": "pageToken", "next": "nextPageToken", "size_parameter": "pageSize",
          "size": 1000}),
        ({"page": {"default": 0}}, {"total": "number"}, False,
         {"by": "page", "parameter": "page", "start": 0, "total": "total"}),
        ({"page": {"minimum": 1}}, {"next": "address", "count": "number"}, False, {"by": "link", "next": "next"}),
        ({"$skip": {}, "$top": {}}, {}, False,
         {"by": "offset", "parameter": "$skip", "size_parameter": "$top", "size": 100}),
        ({"limit": {}}, {}, True, {"by": "link", "size_parameter": "limit", "size": 100}),
        ({"after_id": {}}, {}, False, {"by": "keyset", "parameter": "after_id"}),
        ({"limit": {}}, {"a.b": "text"}, False, {}),
    ],
)  # fmt: skip
def test_paging_is_guessed_by_names(queries: Any, answer: Any, linked: bool, paging: Any) -> None:
    """The names that services use for paging are known, in any spelling."""
    assert paging_of(queries, answer, linked=linked) == paging


def test_keys_are_guessed_by_names() -> None:
    """The key is what the path names, else what is called like a key."""
    assert key_of(["id", "pet_id"], ["petId"]) == "pet_id"
    assert key_of(["id", "name"], ["petId"]) == "id"
    assert key_of(["name", "uuid"], ["name"]) == "name"
    assert key_of(["x"], ["petName"]) == ""


SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": ["integer", "null"]}, {"$ref": "#/s/a"}, {"$ref": "#/s/b"}, {}, 3]),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from(["id", "a", "rows"]), inner)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, max_size=3)}),
    ),
    max_leaves=12,
)


@given(SCHEMAS, SCHEMAS, SCHEMAS)
def test_any_schema_ends_in_objects_that_the_connector_accepts(one: Any, a: Any, b: Any) -> None:
    """Whatever schemas hold, themselves included, the conversion ends, and its objects are right."""
    root = {**document(x=answering(one), y=answering({"type": "array", "items": a})), "s": {"a": a, "b": b}}
    objects_of([found.document for found in described(root).objects])
