"""The presets give plain tiers that find people and companies."""

from __future__ import annotations

import pytest

from rules.documents import parse_sync
from rules.documents.build import plain
from rules.reconcile.correlate import blocking, presets
from tests.rules.reconcile.correlate.people import FIELDS, people
from tests.rules.reconcile.correlate.worlds import HEAD, match, pairs

PRESETS = {preset.name: preset for preset in presets()}
CHOSEN = {name: (name, name) for name in FIELDS}


def named(rows, key):
    return [{key: row["number"], **{name: row[name] for name in FIELDS}} for row in rows]


@pytest.mark.parametrize("everything", [True, False])
def test_people(monkeypatch, everything):
    """Of people with typing errors nearly all are found and none mistaken, by full comparison and by rare features."""
    monkeypatch.setattr(blocking, "ALL_PAIRS", 1_000_000 if everything else 1000)
    here, there = people(800, seed=4)
    found = match(PRESETS["person"].tiers(CHOSEN), named(here, "id"), named(there, "no"))
    right = [pair for pair in pairs(found.links) if pair[0] == pair[1]]
    assert len(right) >= 0.97 * len(here)
    assert len(right) >= 0.99 * found.links.height


def test_twins():
    """Twins at one address are two people."""
    shared = {
        "birth_date": "20000229",
        "surname": "Martin",
        "street": "Long Lane 3",
        "place": "Rome",
        "postcode": "00100",
    }
    chosen = {name: pair for name, pair in CHOSEN.items() if name != "identity"}
    found = match(
        PRESETS["person"].tiers(chosen),
        [{"id": "1", "given_name": "Paul", **shared}],
        [{"no": "x", "given_name": "Emilie", **shared}],
    )
    assert found.links.is_empty()
    assert found.doubtful.height == 1


def test_companies():
    """A company is found by its number and name, else by its name and address."""
    tiers = PRESETS["company"].tiers({name: (name, name) for name in ("tax_number", "name", "street", "place")})
    left = [
        {"id": "1", "tax_number": "DE 811", "name": "Meier Stahl GmbH", "street": None, "place": None},
        {"id": "2", "tax_number": None, "name": "上海百度有限公司", "street": "世纪大道100号", "place": "上海"},
        {"id": "3", "tax_number": "DE 911", "name": "Acme", "street": "Long Lane 3", "place": "Rome"},
    ]
    right = [
        {"no": "x", "tax_number": "de-811", "name": "Meier-Stahl", "street": "Am Hafen 1", "place": "Kiel"},
        {"no": "y", "tax_number": "CN 5", "name": "上海百度股份有限公司", "street": "世紀大道100號", "place": "上海"},
        {"no": "z", "tax_number": "DE 911", "name": "Nordic Timber", "street": "Alte Allee 9", "place": "Bern"},
    ]
    assert pairs(match(tiers, left, right).links) == {("1", "x"), ("2", "y")}


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_documents(preset):
    """What a preset gives is what a document holds: nothing is added when it is read."""
    chosen = {field.name: (f"left_{field.name}", f"right_{field.name}") for field in preset.fields}
    tiers = preset.tiers(chosen)
    again = plain(parse_sync({**HEAD, "correlate": tiers}))["correlate"]
    assert parse_sync({**HEAD, "correlate": again}) == parse_sync({**HEAD, "correlate": tiers})
    assert str(preset.label).isalpha()


def test_few_fields():
    """One number alone is a tier of its own; one other field alone is none."""
    person = PRESETS["person"]
    number = {"left": "ssn", "right": "no", "how": "normalised", "kind": "code"}
    assert person.tiers({"identity": ("ssn", "no")}) == [{"match": [number], "confidence": 1.0}]
    assert person.tiers({"place": ("city", "town")}) == []
