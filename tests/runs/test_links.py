"""Links: what a run finds of them does not depend on how much of the log it has read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.houses import fresh_house
from webapp.extensions import House
from webapp.runs.models import link_segment
from webapp.runs.pipeline import links as module
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.key_bits import Asked, key_bits
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.link_log import LinkLog
from webapp.runs.pipeline.links import SCHEMA, Links

KEYS = st.sampled_from([str(number) for number in range(30)])
DELTAS = st.lists(st.dictionaries(KEYS, st.none() | st.text("ab", max_size=2), max_size=6), max_size=8)
RIGHT = pl.Series(["", "a", None, "b", "ab"])
NONE = pl.DataFrame(schema={"outcome": pl.String()})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with fresh_house(tmp_path_factory.mktemp("links")) as made:
        yield made


def frame(pairs: dict[str, str | None]) -> pl.DataFrame:
    """Return links as a chunk has them."""
    columns: dict[str, Any] = {"left_key": list(pairs), "right_key": list(pairs.values())}
    number = pl.int_range(len(pairs), dtype=pl.UInt64, eager=True)
    return pl.DataFrame(
        {**columns, "left_hash": number, "right_hash": number, "left_digest": None, "right_digest": None}, SCHEMA
    )


def chunk(pairs: dict[str, str | None]) -> Chunk:
    """Return a chunk with nothing but links."""
    return Chunk(1, NONE, (), frame(pairs), {})


def stored(house: House, deltas: list[dict[str, str | None]], rule_id: int = 7) -> None:
    """Put segments into the database in place of all others."""
    with house.db.begin() as tx:
        tx.execute(sa.delete(link_segment))
        log = LinkLog(rule_id, ("hashed", ""), reverse=False)
        for delta in deltas:
            log.append(tx, 1, frame(delta))


def asked(links: Links, keys: list[str | None]) -> list[dict[str, Any]]:
    """Return what is known of some keys."""
    return links.known(pl.Series(keys, dtype=pl.String)).to_dicts()


@settings(deadline=None, max_examples=60)
@given(DELTAS | st.just([]), DELTAS, st.lists(KEYS | st.none(), max_size=6), st.booleans(), st.booleans())
def test_what_is_read_as_it_is_asked_for_is_what_all_of_it_says(
    house: House,
    before: list[dict[str, str | None]],
    during: list[dict[str, str | None]],
    keys: list[str | None],
    often: bool,
    few: bool,
) -> None:
    """Whatever was committed before, whatever the run itself has changed, and however much was asked for before."""
    stored(house, before)
    lazy = (Links.lazy if few else Links.whole)(house.db.read, 7, "hashed")
    with house.db.read() as tx:
        whole = Links.load(tx, 7, "hashed")
    asked_for = pl.Series(keys, dtype=pl.String)
    for delta in during:
        if often:
            assert asked(lazy, keys) == asked(whole, keys)
            assert lazy.taken(RIGHT).to_list() == whole.taken(RIGHT).to_list()
            assert set(lazy.missing_in(KeySet(asked_for))) == set(whole.missing_in(KeySet(asked_for)))
        one = chunk(delta)
        with house.db.begin() as tx:
            lazy.append(tx, 2, one)
        lazy.merge(one)
        whole.merge(one)
    assert asked(lazy, keys) == asked(whole, keys)
    assert dict(lazy.rows.select("left_key", "right_key").iter_rows()) == dict(
        whole.rows.select("left_key", "right_key").iter_rows()
    )
    assert asked(lazy, keys) == asked(whole, keys)


def test_only_segments_that_may_hold_a_key_are_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key of many reads one segment of many, and a key that nobody knows reads none."""
    stored(house, [{str(100 * part + number): "x" for number in range(100)} for part in range(20)])
    read: list[int] = []
    real = LinkLog._parts

    def counting(self: LinkLog, tx: sa.Connection, numbers: list[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        read.extend(numbers)
        return real(self, tx, numbers)

    monkeypatch.setattr(LinkLog, "_parts", counting)
    links = Links.lazy(house.db.read, 7, "hashed")
    assert asked(links, ["1234", "1235"])[1]["right_key"] == "x"
    assert len(read) == 1
    assert asked(links, ["1234"]) == [frame({"a": "x"} | {"1234": "x"})[0].drop("left_key").to_dicts()[0] | {
        "left_hash": 34, "right_hash": 34}]  # fmt: skip
    assert links.find(pl.Series(["none of them"]))[0] is None
    assert len(read) == 1


def test_a_run_that_asks_for_many_reads_all_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind that, look-ups take no look into the database."""
    monkeypatch.setattr(module, "_FEW", 3)
    stored(house, [{"1": "a", "2": "b"}, {"2": None}])
    links = Links.lazy(house.db.read, 7, "hashed")
    assert links.find(pl.Series(["1", "2"])).to_list() == ["a", None]
    assert links.find(pl.Series(["2", "1"])).to_list() == [None, "a"]
    with house.db.begin() as tx:
        tx.execute(sa.delete(link_segment))
    assert links.find(pl.Series(["1", "3"])).to_list() == ["a", None]
    assert links.keys.to_list() == ["1"]


@pytest.mark.parametrize("lazily", [False, True])
def test_a_log_of_many_small_segments_is_put_together(
    house: House, monkeypatch: pytest.MonkeyPatch, lazily: bool
) -> None:
    """The links stay what they are, in segments that are told apart by their keys."""
    monkeypatch.setattr(module, "_PART", 10)
    monkeypatch.setattr(module, "_MOST", 5)
    stored(house, [{str(10 * part + number): "x" for number in range(4)} for part in range(6)] + [{"0": None}])
    links = Links.lazy(house.db.read, 7, "hashed")
    if not lazily:
        assert len(links) == 23
    with house.db.begin() as tx:
        links.compact(tx, 3)
        links.compact(tx, 3)
    with house.db.read() as tx:
        assert sorted(tx.scalars(sa.select(link_segment.c.rows))) == [3, 10, 10]
        assert sorted(Links.load(tx, 7, "hashed").keys) == sorted(links.keys)
    assert links.find(pl.Series(["0", "1"])).to_list() == [None, "x"]


def test_links_of_the_other_way_are_found_by_what_was_their_other_key(house: House) -> None:
    """The bits of a segment speak of the keys of its time, so that it is read whatever they say."""
    stored(house, [{"a": "1"}])
    links = Links.lazy(house.db.read, 7, "hashed", reverse=True)
    with house.db.read() as tx:
        log = LinkLog(7, ("hashed", ""), reverse=True)
        log.look(tx)
        assert log.find(house.db.read, pl.Series(["a"])).height == 1  # its run is not known: taken for what it is now
    assert links.find(pl.Series(["a"])).to_list() == ["1"]


@given(st.sets(st.text(max_size=12), max_size=50), st.sets(st.text(max_size=12), max_size=5))
def test_no_key_that_is_there_is_missed(there: set[str], others: set[str]) -> None:
    """Bits may say of a key that it may be there although it is not, never the other way round."""
    bits = key_bits(pl.Series([*there, None], dtype=pl.String), "left")
    assert all(Asked(pl.Series([key], dtype=pl.String), "left").may_be_in(bits) for key in there)
    assert Asked(pl.Series([*others, *there], dtype=pl.String), "left").may_be_in(bits) or not there
    assert Asked(pl.Series([*others], dtype=pl.String), "right").may_be_in(bits)
    assert Asked(pl.Series([*others], dtype=pl.String), "left").may_be_in(None)


def test_few_keys_that_are_not_there_seem_to_be() -> None:
    """Of 20,000 strangers, less than one in a hundred."""
    bits = key_bits(pl.select(pl.int_range(25_000).cast(pl.String)).to_series(), "left")
    strangers = pl.select(pl.int_range(25_000, 27_000).cast(pl.String)).to_series()
    assert sum(Asked(strangers[row : row + 1], "left").may_be_in(bits) for row in range(strangers.len())) < 20


def test_a_first_load_keeps_the_keys_of_its_links_and_not_their_rows(house: House) -> None:
    """They are read when one of them is asked for; so what a first load needs of memory hardly depends on its size."""
    stored(house, [])
    links = Links.whole(house.db.read, 7, "hashed")
    assert links.hashed == 0
    for start in range(0, 300, 100):
        one = chunk({str(number): f"r{number}" for number in range(start, start + 100)})
        with house.db.begin() as tx:
            links.append(tx, 2, one)
        links.merge(one)
        assert links.find(pl.Series([str(start + 100)])).to_list() == [None]
    met = KeySet(pl.Series([str(number) for number in range(300)]))
    assert links.missing_in(met).is_empty()
    assert links._all is None
    assert links.find(pl.Series(["7", "300"])).to_list() == ["r7", None]
    assert links.missing_in(KeySet(pl.Series(["0"]))).len() == 299
    assert len(links) == 300
