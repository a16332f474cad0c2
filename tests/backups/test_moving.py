"""`syncline init --from sqlite:PATH`: an installation moves to PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.backups.furnished import ERP, furnished, held, tags
from tests.houses import fresh_house, prepared_file, settings_in
from tests.runs.conftest import ADMIN, World, numbers
from webapp.backups import moving
from webapp.backups.filling import NotEmpty, Refused
from webapp.backups.rows import canonical
from webapp.entities import services as entities
from webapp.evidence import checking
from webapp.evidence.notary import seal_due
from webapp.evidence.stored import opened
from webapp.extensions import House, open_house, to_json
from webapp.vault import services as vault


def quiet(_name: str, _rows: int) -> None:
    """Say nothing."""


@pytest.fixture
def old(tmp_path: Path) -> Iterator[World]:
    """Return an installation on SQLite that nobody has open."""
    with furnished(tmp_path / "data") as world:
        world.house.db.engine.dispose()
        yield world


@pytest.fixture
def target(tmp_path: Path, postgres_url: str) -> Iterator[House]:
    """Return a house on an empty PostgreSQL database with the same data folder."""
    house = open_house(settings_in(tmp_path / "data", postgres_url.replace("+psycopg", "")))
    yield house
    house.db.engine.dispose()


def database(world: World) -> Path:
    return world.folder / "syncline.db"


def test_everything_moves(old: World, target: House) -> None:
    """Each table holds the same rows as before, ids go on behind the last ones, and secrets open with the same keys."""
    before = held(old.house)
    old.house.db.engine.dispose()
    told: dict[str, int] = {}
    moved = moving.move(target, database(old), ADMIN, told.__setitem__)
    after = held(target)
    assert {n: v for n, v in after.items() if n != "audit_event"} == {
        n: v for n, v in before.items() if n != "audit_event"
    }
    assert after["audit_event"][0] == before["audit_event"][0] + 1
    assert moved.tables == told == {name: rows for name, (rows, _) in before.items()}
    assert min(told[name] for name in ("e_firm", "e_person", "link_segment", "quarantine", "run_chunk", "ab_role")) > 0
    assert tags(target)[-1] == "backups:installation:moved"
    with target.db.read() as tx:
        assert vault.get(tx, vault.keyring(target), ERP, "password") == "canary-Grüße"

        table = sa.select(sa.func.count()).select_from(sa.table("e_firm", sa.column("_search")))
        assert tx.scalar(table.where(sa.text("_search @@ '''13800138000'''::tsquery"))) == 1
    assert entities.create_record(target, "firm", {"name": "New"}, ADMIN) == 4  # 3 was given out and deleted


def test_the_audit_log_stays_intact(old: World, target: House) -> None:
    """The seal holds on PostgreSQL, whatever numbers and orders of keys the events have, and goes on."""
    moving.move(target, database(old), ADMIN, quiet)
    seal_due(target)
    with opened(target) as log:
        report = checking.check(log, checking.stored_blobs(log.tx), [], [], checking.stored_rows(log.tx))
    assert report.intact, report.findings
    assert (report.waiting, report.events) == (0, len(tags(target)))


def test_rules_go_on_where_they_were(old: World, target: House) -> None:
    """After the move a run of a rule finds its links: it changes nothing twice, and takes up what is new."""
    moving.move(target, database(old), ADMIN, quiet)
    old.house = target
    assert numbers(old.run()) == {"read": 22, "unchanged": 20, "quarantined": 2}
    old.customers("New", first=100)
    assert numbers(old.run()) == {"read": 23, "created": 1, "unchanged": 20, "quarantined": 2}


def test_a_target_that_holds_something_is_refused(old: World, target: House) -> None:
    """A database with tables is left as it is."""
    with target.db.begin() as tx:
        tx.execute(sa.text("CREATE TABLE letters (id integer)"))
    with pytest.raises(NotEmpty, match=r"1 tables \(letters\)"):
        moving.move(target, database(old), ADMIN, quiet)
    assert _tables(target) == {"letters"}


def test_an_installation_in_use_is_refused(old: World, target: House) -> None:
    """While any process has the old database open nothing is moved; keys and target stay as they are."""
    with old.house.db.read() as tx:
        tx.execute(sa.text("SELECT 1"))
    with pytest.raises(moving.CannotMove, match=r"a process has .* open"):
        moving.move(target, database(old), ADMIN, quiet)
    assert _tables(target) == set()


def test_a_move_that_fails_leaves_nothing(old: World, target: House) -> None:
    """A value that PostgreSQL does not take ends the move with the table's name and an empty target."""
    with sqlite3.connect(database(old)) as file:
        file.execute("UPDATE e_person SET name = 'a' || char(0) || 'b'")
    file.close()
    with pytest.raises(Refused, match="table e_person"):
        moving.move(target, database(old), ADMIN, quiet)
    assert _tables(target) == set()
    with sqlite3.connect(database(old)) as file:
        file.execute("UPDATE e_person SET name = 'ab'")
    file.close()
    assert moving.move(target, database(old), ADMIN, quiet).rows > 0


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("mysql:x.db", "is not sqlite:PATH"),
        ("sqlite:", "is not sqlite:PATH"),
        ("sqlite:no/such.db", "there is no file"),
    ],
)
def test_other_addresses_are_refused(address: str, why: str) -> None:
    """What is no file of SQLite is named."""
    with pytest.raises(moving.CannotMove, match=why):
        moving.source_path(address)


def test_other_files_are_refused(tmp_path: Path, target: House) -> None:
    """A file that is no database, no installation, or of another version is refused, and so is SQLite as target."""
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at" * 100)
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE t (i)").connection.close()
    (tmp_path / "new.db").write_bytes(prepared_file())
    with sqlite3.connect(tmp_path / "new.db") as file:
        file.execute("UPDATE alembic_version SET version_num = '0000'")
    file.close()
    for name, why in (("text", "not a database of SQLite"), ("empty", "no installation"), ("new", "Upgrade it first")):
        with pytest.raises(moving.CannotMove, match=why):
            moving.move(target, tmp_path / f"{name}.db", ADMIN, quiet)
    with fresh_house(tmp_path / "other") as house, pytest.raises(moving.CannotMove, match="does not name PostgreSQL"):
        moving.move(house, tmp_path / "new.db", ADMIN, quiet)
    assert _tables(target) == set()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abé", max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_json_means_the_same_on_both(module_postgres_url: str, value: object) -> None:
    """What PostgreSQL makes of JSON has the digest of the text that SQLite keeps."""
    engine = _engine(module_postgres_url)
    text = to_json(value)
    with engine.connect() as tx:
        assert canonical(tx.scalar(sa.text("SELECT CAST(CAST(:t AS jsonb) AS text)"), {"t": text})) == canonical(text)


def test_digests_tell_values_apart() -> None:
    """Other values, and values of another type, have other digests."""
    texts = ["1", "1.5", '"1"', "null", "[]", "{}", '{"a": 1}', '{"a": 2}', '{"b": 1}', "[1, 2]", "[2, 1]", "true"]
    assert len({canonical(text) for text in texts}) == len(texts)


def _engine(url: str) -> sa.Engine:
    return _ENGINES.setdefault(url, sa.create_engine(url, poolclass=sa.NullPool))


_ENGINES: dict[str, sa.Engine] = {}


def _tables(house: House) -> set[str]:
    with house.db.read() as tx:
        return set(sa.inspect(tx).get_table_names())
