"""Columns with values of records: in clear until the first field of an entity is encrypted, ciphertext from then on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.houses import fresh_house
from webapp.extensions import Actor, House, insert_rows
from webapp.runs.models import pair_case, quarantine, run_chunk, run_record
from webapp.vault import at_rest
from webapp.vault.journal import MARK, raw, stored_type, sweep

ANN = Actor("user", "ann", "1")
SECRET = "13912345678"


@pytest.fixture
def house(metadata_url: str, tmp_path: Path) -> Iterator[House]:
    with fresh_house(tmp_path, metadata_url) as house:
        yield house


def encrypt(house: House) -> None:
    """Make the key that the first encrypted field brings."""
    with house.db.begin() as tx:
        at_rest.ring(tx.dialect).provide(tx, at_rest.JOURNAL, "data-1", ANN, house.clock())
    at_rest.register(house)  # as if a second had gone by


def keep(house: House, number: int) -> None:
    """Write a row of each kind of column."""
    now = house.clock()
    with house.db.begin() as tx:
        chunk = {"run_id": number, "no": 1, "state": "done", "token": 1, "records": 1, "counts": {}, "at": now}
        tx.execute(sa.insert(run_chunk).values(outcomes=SECRET.encode() * 3, **chunk))
        names = ["run_id", "rule_name", "record_no", "outcome", "before", "after", "reason"]
        row = (number, "r", 1, "updated", None, json.dumps({"a": SECRET}), {"x": SECRET})
        insert_rows(tx, run_record, names, [row])
        case = {"rule_id": 1, "rule_name": "r", "run_id": number, "pair": str(number), "situation": "s"}
        told = {"details": {"left": SECRET}, "seen": "0" * 64, "first_at": now, "last_at": now, "state": "open"}
        tx.execute(sa.insert(pair_case).values(**case, **told))


def rows(house: House, table: sa.Table) -> list[dict[str, Any]]:
    with house.db.read() as tx:
        return [dict(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key)).mappings()]


def stored(house: House) -> str:
    return "".join(str(rows(house, raw(table))) for table in (run_chunk, run_record, pair_case))


def test_values_are_encrypted_from_the_first_field_on(house: House) -> None:
    """What is written before is in clear, what is written after is not, and both read alike."""
    keep(house, 1)
    assert SECRET in stored(house)
    encrypt(house)
    keep(house, 2)
    kept = rows(house, raw(run_chunk))[1]["outcomes"]
    assert SECRET.encode() not in kept
    assert rows(house, raw(pair_case))[1]["details"].keys() == {MARK}
    for table in (run_chunk, run_record, pair_case):
        one, two = ({k: v for k, v in row.items() if k not in ("id", "at", "run_id", "pair", "first_at", "last_at")}
                    for row in rows(house, table))  # fmt: skip
        assert one == two


def test_a_sweep_encrypts_what_was_kept_before(house: House) -> None:
    """Afterwards nothing is in clear and everything reads as before; a second sweep finds nothing."""
    for number in range(1, 4):
        keep(house, number)
    before = [rows(house, table) for table in (run_chunk, run_record, pair_case)]
    assert sweep(house) == 0  # no field is encrypted
    encrypt(house)
    assert sweep(house) == 9
    assert SECRET not in stored(house)
    assert [rows(house, table) for table in (run_chunk, run_record, pair_case)] == before
    assert sweep(house) == 0


def test_a_value_belongs_to_its_column(house: House) -> None:
    """A ciphertext in another column is not decrypted."""
    encrypt(house)
    keep(house, 1)
    with house.db.begin() as tx:
        tx.exec_driver_sql("UPDATE run_record SET before = after")
    assert rows(house, run_record)[0]["before"].startswith(MARK)


def test_texts_that_only_look_encrypted_stay(house: House) -> None:
    """A record that was sent to us with such a text does no harm."""
    now = house.clock()
    values = {"rule_id": 1, "rule_name": "r", "run_id": 1, "left_key": "1", "place": "1", "stage": "read"}
    more = {"attempts": 1, "reason": {"x": 1}, "state": "open", "first_at": now, "last_at": now}
    for number, text in enumerate((f"{MARK}:data-9.AAAA", f"{MARK}:", f"{MARK}:no token")):
        with house.db.begin() as tx:
            tx.execute(sa.insert(quarantine).values(**{**values, "left_key": str(number)}, raw=text, **more))
    assert [row["raw"][:8] for row in rows(house, quarantine)] == [f"{MARK}:"] * 3


def test_revisions_know_only_types_of_the_database() -> None:
    """A column is made as what it holds."""
    assert isinstance(stored_type(run_chunk.c.outcomes.type), sa.LargeBinary)
    assert stored_type(run_chunk.c.no.type) is run_chunk.c.no.type


def test_equal_outcomes_have_different_digests(house: House) -> None:
    """A digest that the log tells does not let one guess what it is of."""
    with house.db.read() as tx:
        assert at_rest.salted(tx, b"x") == b"x"
    encrypt(house)
    with house.db.read() as tx:
        assert at_rest.salted(tx, b"x") != at_rest.salted(tx, b"x")
        assert at_rest.salted(tx, b"x").startswith(b"x")
