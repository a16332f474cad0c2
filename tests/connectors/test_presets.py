"""What a preset's document may say, and how it becomes settings and answers again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.builtin.document_text import document_of
from connectors.errors import Misconfigured
from connectors.presets import Preset, all_presets, answers_of, filled, find_preset, named, offer, parse, problems_with

TEXT = """
kind: preset
name: acme
version: 2
label: {en: Acme, zh: 爱科美}
category: {en: ERP, zh: 企业资源计划}
summary: {en: "Its customers.", zh: "它的客户。"}
connector: rest
documentation: https://acme.example/api
tested: {against: rebuilt, documentation: "2025"}
settings:
  - {name: host, kind: url, label: {en: Address, zh: 地址}}
  - {name: token, kind: secret, label: {en: Token, zh: 令牌}}
  - {name: tenant, required: false, default: main, label: {en: Tenant, zh: 租户}}
  - name: cloud
    kind: choice
    required: false
    label: {en: Cloud, zh: 云}
    choices: {cn: {en: China, zh: 中国}, eu: {en: Europe, zh: 欧洲}}
  - {name: site, required: false, placeholder: "17", pattern: "[0-9]+", label: {en: Site, zh: 地点}}
fixed:
  base_url: "{host}/api/{tenant}"
  authentication: bearer
  token: "{token}"
  headers: {X-Cloud: "{cloud}", X-Site: "{site}", X-Fixed: [1, "{unknown}"]}
each:
  path: "/{object.name}?fields={object.fields}"
  create: {path: "/{object.name}"}
  delete: {method: DELETE, path: "/x/{key}"}
objects:
  - name: customers
    label: {en: Customers, zh: 客户}
    key: id
    cursor: changed
    writes: [create]
    fields:
      - {name: id, type: integer, required: true, label: {en: Id, zh: 编号}}
      - {name: changed, type: datetime, generated: true, label: {en: Changed, zh: 更新时间}}
      - {name: parent, reference: customers, label: {en: Parent, zh: 上级}, more: {path: parent.id}}
"""
ANSWERS = {"host": "https://a.example", "token": "env:T", "cloud": "eu"}


def changed(**members: Any) -> str:
    """Return the document with other members, as JSON, which is YAML."""
    return msgspec.json.encode({**document_of(TEXT), **members}).decode()


def acme(**members: Any) -> Preset:
    return parse(changed(**members), "acme.yaml")


ASKED = {"label": {"en": "X", "zh": "X"}}
OBJECT: dict[str, Any] = {
    "name": "things",
    "label": {"en": "T", "zh": "T"},
    "key": "id",
    "fields": [{"name": "id", **ASKED}],
}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"version": "two"}, "preset.version"),
    ({"settings": [{"name": "host", **ASKED}, {"name": "host", **ASKED}]}, "'host' is there twice"),
    ({"settings": [{"name": "never", **ASKED}]}, "'never' is asked for and not used"),
    ({"settings": [{"name": "language", **ASKED}], "fixed": {"base_url": "{language}"}}, "asked for by every preset"),
    ({"settings": [{"name": "key", **ASKED}], "fixed": {"base_url": "{key}"}}, "'key' is a word of the connectors"),
    ({"each": {"path": "/{token}"}}, "the secret 'token' must not stand in objects"),
    ({"objects": [OBJECT, OBJECT]}, "preset.objects: 'things' is there twice"),
    ({"objects": [{**OBJECT, "key": "no"}]}, "preset.objects.things.key: there is no field 'no'"),
    ({"objects": [{**OBJECT, "cursor": "no"}]}, "preset.objects.things.cursor: there is no field 'no'"),
    ({"objects": [{**OBJECT, "fields": OBJECT["fields"] * 2}]}, "preset.objects.things.fields: 'id' is there twice"),
    (
        {"objects": [{**OBJECT, "fields": [{"name": "id", "reference": "no", **ASKED}]}]},
        "preset.objects.things.fields.id.reference: there is no object 'no'",
    ),
]


@pytest.mark.parametrize(("members", "told"), MISTAKES)
def test_mistakes_are_told_with_their_place(members: dict[str, Any], told: str) -> None:
    """A document with a mistake is refused, and its place is named."""
    with pytest.raises(Misconfigured, match=r"acme\.yaml") as caught:
        acme(**members)
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["[", "- a\n- b", "a: 1\n---\nb: 2", ""])
def test_what_is_no_document_is_refused(text: str) -> None:
    """Text that is not one document is refused as such."""
    with pytest.raises(Misconfigured, match=r"acme\.yaml"):
        parse(text, "acme.yaml")


def test_answers_become_settings_and_come_back() -> None:
    """Settings hold the answers and the defaults; from them the answers can be told again, with the language."""
    preset = acme()
    settings = filled(preset, {**ANSWERS, "language": "zh"})
    assert settings["base_url"] == "https://a.example/api/main"
    assert settings["headers"] == {"X-Cloud": "eu", "X-Site": "", "X-Fixed": [1, "{unknown}"]}
    (described,) = settings["objects"]
    assert described["path"] == "/customers?fields=id,changed,parent"
    assert (described["label"], described["key"]) == ("客户", "id")
    assert ("create" in described, "delete" in described) == (True, False)
    assert described["fields"][2] == {"name": "parent", "type": "text", "label": "上级", "path": "parent.id"}
    told = answers_of(preset, settings)
    assert told == {**ANSWERS, "tenant": "main", "language": "zh"}
    assert answers_of(preset, filled(preset, ANSWERS))["language"] == "en"
    assert answers_of(preset, {"objects": "?"}) == {"language": "en"}
    assert preset.objects[0].references == [("parent", "customers")]


def test_answers_are_checked() -> None:
    """What is missing, unknown, not among the choices or of another form is told by the answer's name."""
    told = problems_with(acme(), {"host": " ", "cloud": "us", "site": "x1", "colour": "red"})
    assert {name: str(problem) for name, problem in told.items()} == {
        "host": "This is needed.",
        "token": "This is needed.",
        "cloud": "Choose one of: cn, eu.",
        "site": "Write it like this: 17.",
        "colour": "The preset 'acme' asks for no such value. It asks for: host, token, tenant, cloud, site, language.",
    }
    assert problems_with(acme(), {**ANSWERS, "site": "17"}) == {}


def test_a_newer_version_keeps_what_people_did() -> None:
    """An offer names what changes; answers that cannot be told leave their settings alone, added objects stay."""
    preset = acme()
    mine = {"name": "extra", "path": "/extra", "key": "id"}
    settings = {**filled(preset, ANSWERS), "base_url": "elsewhere", "objects": [mine]}
    found = offer(preset, settings)
    assert found.missing == ("host",)
    assert found.settings["base_url"] == "elsewhere"
    assert [o["name"] for o in found.settings["objects"]] == ["customers", "extra"]
    assert ("objects.customers.label", None, "Customers") in found.changes
    assert offer(preset, filled(preset, ANSWERS)).changes == ()
    old = {"base_url": "https://a.example/api/main", "authentication": "key_header", "key": "env:K"}
    found = offer(acme(fixed={**document_of(TEXT)["fixed"], "rate": 7}), old)
    assert (found.missing, found.settings["authentication"]) == (("token",), "key_header")
    assert {"token", "rate", "headers"}.isdisjoint(found.settings)
    bare = acme(objects=[], each={})
    assert offer(bare, filled(bare, ANSWERS)).changes == ()
    assert offer(preset, {**filled(preset, ANSWERS), "objects": "?"}).settings["objects"][0]["name"] == "customers"


def test_labels_of_odata_objects_are_kept_apart() -> None:
    """For OData the fields come from the service, so a preset gives only what they are called."""
    preset = named("sap_s4hana")
    answers = {"url": "https://s.example", "user": "U", "password": "env:P"}
    first = filled(preset, answers)["objects"][0]
    assert set(first) == {"name", "label", "labels"}
    assert filled(preset, answers)["parameters"] == {"sap-client": "100"}
    assert offer(preset, filled(preset, answers)).changes == ()


def test_presets_are_found_by_name_and_version() -> None:
    """A reference finds the preset in the version that is here; an unknown one names those that exist."""
    assert find_preset("hubspot") is find_preset("hubspot@99") is named("hubspot")
    assert find_preset("hubspto") is None
    with pytest.raises(Misconfigured, match="hubspot, kingdee"):
        named("hubspto")
    assert [p.name for p in all_presets()] == sorted(p.name for p in all_presets())
    assert named("hubspot").object_named("deals") is not None
    assert named("hubspot").object_named("cars") is None
