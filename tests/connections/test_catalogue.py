"""The catalogue: what is found by which words, what each connector's page says, and plugins that cannot be loaded."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
from flask.testing import FlaskClient
from lxml import html

from connectors import registry
from connectors.presets import all_presets
from connectors.quality import Level, rate, results_of
from connectors.spi import Capabilities
from rules.text import msg
from tests.connections.systems import Notebook
from tests.webapp.conftest import admin_client, app, client, client_of, settings  # noqa: F401 - fixtures
from webapp.connections import catalogue_docs, catalogue_entries
from webapp.connections.catalogue_entries import Wanted, entries, find, grouped
from webapp.connections.catalogue_words import EVIDENCE, limits


def plain(text: str, _language: str) -> str:
    return text


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin whose module is not there, beside all others."""
    real = registry.entry_points
    point = EntryPoints([EntryPoint("acme", "no_such_module:X", registry.GROUP)])
    monkeypatch.setattr(
        registry, "entry_points", lambda **wanted: EntryPoints([*real(**wanted), *point.select(**wanted)])
    )


@pytest.fixture
def page(admin_client: FlaskClient) -> FlaskClient:  # noqa: F811
    return admin_client


def names(page: FlaskClient, query: str) -> set[str]:
    """Return the names on the catalogue's page for a query."""
    tree = html.fromstring(page.get(f"/connections/new/?{query}").text)
    return {str(link).split("/")[-2] for link in tree.xpath("//article//h3/a/@href")}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=postgres", {"postgresql"}),
        ("q=mariadb", {"mysql"}),
        ("q=excel", {"files"}),
        ("q=店铺", {"shopify"}),
        ("q=SHOP+customers", {"shopify"}),
        ("q=队列+rabbitmq", {"amqp"}),
        ("q=no+such+thing", set()),
        ("category=Commerce", {"shopify"}),
    ],
)
def test_words_find_their_connectors(page: FlaskClient, query: str, found: set[str]) -> None:
    """Names, other names, products, objects and Chinese words are found, whatever language the reader has."""
    shown = names(page, query)
    assert (found <= shown) if found else not shown
    assert len(shown) < len(names(page, ""))


def test_abilities_and_levels_narrow(page: FlaskClient) -> None:
    """Only what can do the thing is shown, and only what is at least as good."""
    assert {"kafka", "amqp"} <= names(page, "ability=messages")
    assert "files" not in names(page, "ability=messages")
    assert "kafka" not in names(page, "ability=delete&q=postgres")
    able = registry.get("sqlite").spec.capabilities
    level = rate(results_of("sqlite", "connectors"), able).level
    assert ("sqlite" in names(page, "level=platinum")) == (level is Level.PLATINUM)
    assert "sqlite" in names(page, "level=bronze")
    assert names(page, "level=diamond") == names(page, "")
    assert names(page, "ability=flying") == set()
    writing = {preset.name for preset in all_presets() if any("delete" in o.writes for o in preset.objects)}
    assert writing <= names(page, "ability=delete")


def test_presets_are_as_good_as_their_connectors(page: FlaskClient) -> None:
    """A preset shows the level of the connector that it stands on, and is found by it."""
    found = entries(plain)
    for preset in (entry for entry in found if entry.preset):
        base = next(entry for entry in found if not entry.preset and entry.name == preset.connector)
        assert preset.rating == base.rating
        assert preset.stands_on == base.label
    assert "shopify" in names(page, "level=bronze")
    assert "on REST with JSON or XML" in page.get("/connections/new/?q=shopify").text


def test_presets_follow_a_log_only_where_the_product_keeps_one(page: FlaskClient) -> None:
    """What the connector of a preset could do is not said of a product that has no log of changes."""
    logged = {preset.name for preset in all_presets() if preset.log}
    assert names(page, "ability=capture") & {preset.name for preset in all_presets()} == logged
    cards = html.fromstring(page.get("/connections/new/?q=shopify").text).xpath("//article")
    assert not any("follows the log of changes" in card.text_content() for card in cards)


def test_nothing_found_says_what_to_do(page: FlaskClient) -> None:
    """An empty result leads back to all."""
    text = page.get("/connections/new/?q=qqqqq").text
    assert "Nothing fits" in text
    assert f"0 of {len(entries(plain))}" in text


def test_a_connector_has_a_page(page: FlaskClient) -> None:
    """Its page tells settings, abilities, limits, and which criteria it meets and which not."""
    for name in (n for n in registry.names() if n != "hub"):
        answer = page.get(f"/connections/new/{name}/about")
        assert answer.status_code == 200
        for setting in registry.get(name).spec.settings:
            assert f"<code>{setting.name}</code>" in answer.text
    text = page.get("/connections/new/files/about").text
    assert "is-unmet" in text
    assert "is-met" in text
    assert page.get("/connections/new/nothing/about").status_code == 404
    assert page.get("/connections/new/hub/about").status_code == 404


def test_a_connector_without_results_is_not_rated(page: FlaskClient, notebook: type[Notebook]) -> None:
    """Where the suite left nothing, the page says so instead of a level."""
    text = page.get("/connections/new/notebook/about").text
    assert "has left no results" in text
    assert "Not rated" in text
    assert "is-platinum" in text


def test_a_preset_says_how_it_was_tested(page: FlaskClient) -> None:
    """What was only tested against a rebuilt server says so, on its card and on its page."""
    for preset in all_presets():
        text = page.get(f"/connections/new/preset/{preset.name}/about").text
        assert all(asked.label.en in text for asked in preset.settings)
        if preset.tested.against == "rebuilt":
            assert "not against the product itself" in text
    assert page.get("/connections/new/preset/nothing/about").status_code == 404
    assert page.get("/connections/new/preset/shopify@1/about").status_code == 404


def test_what_it_was_tested_against_can_be_translated() -> None:
    """A name with a version is the same everywhere; all other words about tests are known to the translators."""
    told = {what for entry in entries(plain) if entry.preset is None for _, what in entry.tested}
    assert {what for what in told if not re.fullmatch(r"[\w-]+( [\w-]+)* [\d.]+", what)} <= set(EVIDENCE)


def test_the_page_is_chinese(page: FlaskClient) -> None:
    """Presets speak the reader's language."""
    text = page.get("/connections/new/?q=shopify", headers={"Accept-Language": "zh-CN"}).text
    assert "店铺的客户" in text
    text = page.get("/connections/new/preset/shopify/about", headers={"Accept-Language": "zh-CN"}).text
    assert "店铺名称" in text


def test_a_broken_plugin_is_shown_with_its_reason(page: FlaskClient, broken: None) -> None:
    """A plugin that cannot be loaded is there with its reason, and harms no other."""
    text = page.get("/connections/new/").text
    assert "Plugins that cannot be loaded" in text
    assert "no_such_module" in text
    assert "postgresql" in names(page, "")
    about = page.get("/connections/new/acme/about")
    assert about.status_code == 200
    assert "no_such_module" in about.text
    assert names(page, "q=acme") == {"acme"}
    assert "acme" not in names(page, "level=bronze")
    assert "acme" not in names(page, "ability=read")


def test_a_reader_may_look_but_not_connect(app: Any) -> None:  # noqa: F811
    """The page of a connector is open to who may see connections; the form is not offered to them."""
    auditor = client_of(app, "reader", "Auditor")
    answer = auditor.get("/connections/new/postgresql/about")
    assert answer.status_code == 200
    assert '/connections/new/postgresql"' not in answer.text


def test_documentation_is_shown(page: FlaskClient) -> None:
    """What the documentation says about a connector can be read in the console."""
    text = page.get("/connections/new/amqp/documentation").text
    assert "dead_letter_exchange" in text
    assert page.get("/connections/new/notebook/documentation").status_code == 404


def test_a_section_of_a_page_is_cut_out() -> None:
    """A section ends where the next of its level begins; headings in code are none."""
    text = "# A\nx\n## B c\none\n```\n# no heading\n```\n### D\ntwo\n## E\nthree"
    assert catalogue_docs.section(text, "b-c") == "one\n```\n# no heading\n```\n### D\ntwo"
    assert catalogue_docs.section(text, "") == text
    assert catalogue_docs.Page("https://example.com").html() is None


def test_where_documentation_is() -> None:
    """A plugin's own address comes first, then an address that its tests name."""
    entry = find(entries(plain), Wanted("sqlite"))[0]
    origin = registry.Origin("acme", "1", "acme", "https://acme.example/docs", plugin=True)
    elsewhere = catalogue_entries.Entry("acme", {}, {}, {}, "1", origin=origin)
    found = catalogue_docs.page_of(elsewhere)
    assert found is not None
    assert found.address == "https://acme.example/docs"
    assert catalogue_docs.page_of(catalogue_entries.Entry("acme", {}, {}, {}, "1")) is None
    assert entry.tested == () or entry.tested[0][0] == "real"


def test_limits_are_sentences() -> None:
    """What a connector cannot do is said for people."""
    told = {str(limit) for limit in limits(Capabilities(lookup=False))}
    assert str(msg("It is read only.")) in told
    assert len(told) == 4
    assert limits(Capabilities(read=False, create=True, messages=True))
    full = Capabilities(create=True, update=True, delete=True, cursor=True, deletions=True, transactions=True)
    assert limits(full) == []


def test_groups_are_sorted(broken: None) -> None:
    """Categories come in order, and what cannot be used comes last."""
    groups = grouped(entries(plain), "en")
    assert groups[-1][0] == "Plugins that cannot be loaded"
    assert [name for name, _ in groups[:-1]] == sorted((name for name, _ in groups[:-1]), key=str.casefold)
