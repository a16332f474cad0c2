"""The one sentence of a rule about what its systems guarantee together, and the choice that leads to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.connections import services as connections
from webapp.entities.hub import register
from webapp.extensions import Actor
from webapp.rulebook import services as rulebook
from webapp.rulebook.guarantee import guarantee, with_transaction

ADMIN = Actor("user", "ada", "1")
AWAY: dict[str, Any] = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}


@pytest.fixture
def house(app, tmp_path):  # noqa: F811
    """Return a house with connections to systems of several kinds, none of which is there."""
    house = app.extensions["syncline"]
    register(house)
    kinds = {
        "pg": ("postgresql", AWAY),
        "my": ("mysql", AWAY),
        "bare": ("postgresql", {**AWAY, "own_table": False}),
        "web": ("rest", {"base_url": "http://127.0.0.1:1", "objects": [{"name": "b", "path": "/b", "key": "id"}]}),
    }
    for name, (connector, chosen) in kinds.items():
        document = {"kind": "connection", "name": name, "connector": connector, "settings": chosen}
        connections.create(house, document, ADMIN)
    return house


def rule(left: str, right: str, direction: str = "left_to_right", **more: Any) -> dict[str, Any]:
    return {
        "kind": "sync", "name": "r", "direction": direction, "key": {"left": "id", "right": "id"},
        "left": {"connection": left, "object": "a"}, "right": {"connection": right, "object": "b"},
        "fields": [{"left": "id", "right": "id"}], **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (rule("web", "pg"), "Each change arrives in pg exactly once, also after a crash."),
        (rule("pg", "web"), "Each change arrives in web at least once"),
        (rule("my", "bare"), "one that bare has stored with other values may arrive twice."),
        (rule("pg", "my", "two_way"), "for a moment only one of them may have it"),
        (rule("pg", "my", "two_way", transaction="two_phase"), "in pg and in my, or in neither of them"),
        (rule("pg", "hub", "two_way", transaction="two_phase"), "in pg and in hub, or in neither of them"),
        (rule("pg", "gone"), "None"),
        ({"kind": "sync", "name": "r"}, "None"),
    ],
)
def test_the_sentence_follows_from_the_systems(house, document, told):
    """Exactly once by a fence, both or neither by a two-phase commit, else at least once; of the unknown nothing."""
    with house.db.read() as tx:
        assert told in str(guarantee(tx, document))


def test_the_page_of_a_rule_says_it_and_lets_it_be_chosen(admin_client, house):  # noqa: F811
    """The sentence stands among what the rule does; the choice is kept, and goes with the default."""
    rulebook.create(house, rule("pg", "my", "two_way"), ADMIN)
    assert "for a moment only one of them may have it" in admin_client.get("/rules/r/").text
    page = admin_client.get("/rules/r/behaviour").text
    assert "In all systems or in none (two-phase commit)" in page
    chosen = with_transaction(rule("pg", "my"), {"transaction": "two_phase"})
    assert chosen["transaction"] == "two_phase"
    assert "transaction" not in with_transaction(chosen, {"transaction": "none"})
    assert with_transaction(chosen, {}) == chosen
