"""Lookup tables in the formulas and validations of entities."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from rules.documents.problems import DocumentError
from tests.rulebook.conftest import ANNA
from webapp.entities import services as entities
from webapp.extensions import House
from webapp.rulebook import fitting, services
from webapp.rulebook.errors import NotPublishable, RuleBusy

KNOWN = {"name": "known", "check": "lookup('rates', code) != null", "severity": "reject", "message": "No such code"}


def table(*entries: tuple[str, Any], column: str = "percent") -> dict[str, Any]:
    """Return a lookup table of codes."""
    columns = [{"name": column, "type": "integer"}]
    rows = [[key, value] for key, value in entries]
    return {"kind": "lookup", "name": "rates", "key": {"name": "code"}, "columns": columns, "entries": rows}


@pytest.fixture
def asking(house: House) -> House:
    """Return a house with a table of two codes and an entity that asks it in every place."""
    services.create(house, table(("a", 5), ("b", 7)), ANNA)
    services.publish(house, "rates", ANNA)
    define(house)
    return house


def define(
    house: House, formula: str = "lookup('rates', code, 'percent').orDefault(0) + 1", *more: dict[str, Any]
) -> None:
    fields = [
        {
            "name": "code",
            "type": "text",
            "validation": {"expression": "lookup('rates', code) != 0", "message": {"en": "Not at 0 percent"}},
        },
        {"name": "rate", "type": "integer", "computed": formula},
    ]
    entities.define(house, {"kind": "entity", "name": "item", "fields": fields, "validations": [KNOWN, *more]}, ANNA)


def add(house: House, code: str) -> int | None:
    """Return the computed value of a new record."""
    made = entities.create_record(house, "item", {"code": code}, ANNA)
    with house.db.read() as tx:
        rate: int | None = entities.get_record(tx, entities.list_entities(tx)[0], made)["rate"]
    return rate


def refused(house: House, code: str) -> str:
    with pytest.raises(entities.RecordRefused) as caught:
        add(house, code)
    return " ".join(str(message) for message in caught.value.errors.values())


def test_formulas_and_validations_ask_tables(asking: House) -> None:
    """A computed field takes its value from the table; what the table does not know is refused."""
    assert add(asking, "a") == 6
    assert "No such code" in refused(asking, "c")


def test_a_new_version_counts_at_once(asking: House) -> None:
    """The next record is worked out with what is published then."""
    assert add(asking, "b") == 8
    services.save_draft(asking, "rates", table(("a", 5), ("b", 9), ("z", 0)), ANNA)
    services.publish(asking, "rates", ANNA)
    assert add(asking, "b") == 10
    assert "Not at 0 percent" in refused(asking, "z")


def test_mistakes_are_found_with_the_definition(asking: House) -> None:
    """A table that does not exist is told at the formula and at the validation."""
    wrong = {**KNOWN, "name": "wrong", "check": "lookup('nothing', code) != null"}
    with pytest.raises(DocumentError) as caught:
        define(asking, "lookup('rats', code)", wrong)
    assert {problem.path for problem in caught.value.problems} == {"fields/1/computed", "validations/1/check"}


def test_a_table_that_would_stop_an_entity_is_not_published(asking: House) -> None:
    """The entity whose formula asks the column is named."""
    services.save_draft(asking, "rates", table(("a", 5), column="share"), ANNA)
    with pytest.raises(NotPublishable, match="The entity 'item' asks this table and would stop working"):
        services.publish(asking, "rates", ANNA)


def test_a_changed_table_is_told_with_the_record(asking: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the table has lost the column all the same, records are refused in words."""
    monkeypatch.setattr(fitting, "stopped", lambda *_: ())
    services.save_draft(asking, "rates", table(("a", 5), column="share"), ANNA)
    services.publish(asking, "rates", ANNA)
    assert "cannot be worked out" in refused(asking, "a")


def test_a_table_at_work_is_not_deleted(asking: House) -> None:
    """The entity that asks it is named."""
    with pytest.raises(RuleBusy, match="The entity 'item' asks the table 'rates'"):
        services.delete(asking, "rates", ANNA)


def test_every_process_knows_the_tables() -> None:
    """Also what carries out runs and event rules, not only the pages."""
    for module in ("webapp.worker", "webapp.events.program", "webapp.commands.session"):
        code = f"import {module}, webapp.events.kind; from webapp.entities import lookups; assert lookups.published"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (module, done.stderr)
