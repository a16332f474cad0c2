"""Lists: each record once whatever is inserted meanwhile, filters that mean what they say, searches that find."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.entities.conftest import ANN, field
from webapp.entities import filters, frames, listing, records, services
from webapp.entities.filters import BadFilter, Filter, Operator
from webapp.entities.history import Author
from webapp.entities.listing import Query
from webapp.entities.model import Entity
from webapp.extensions import House

Define = Callable[..., Entity]
CHOICES = [{"value": v} for v in ("red", "green", "blue")]


def fill(house: House, entity: Entity, rows: list[dict[str, Any]]) -> list[int]:
    with house.db.begin() as tx:
        frame: pl.DataFrame = frames.from_dicts(entity.schema, rows, list(entity.data_names))
        outcome = records.create(tx, services.entity(tx, entity.name), frame, Author(ANN, house.clock()))
    assert not outcome.refusals, outcome.refusals
    return [i for i in outcome.ids if i is not None]


def walk(
    house: House, entity: Entity, query: Query, size: int, between: Callable[[], None] = lambda: None
) -> list[int]:
    """Return the ids of all pages, going forward, and check that going back shows the same pages."""
    ids: list[int] = []
    pages: list[tuple[list[int], str | None]] = []
    after = None
    while True:
        with house.db.read() as tx:
            page = listing.page(tx, entity, query, size, after=after)
        pages.append(([r["id"] for r in page.records], page.before))
        ids += pages[-1][0]
        if page.after is None:
            break
        after = page.after
        between()
    for (earlier, _), (_, before) in pairwise(pages):
        with house.db.read() as tx:
            back = listing.page(tx, entity, query, size, before=before)
        assert [r["id"] for r in back.records][-len(earlier) :] == earlier
    return ids


@pytest.mark.parametrize("sort", ["id", "-id", "n", "-n", "d", "-d", "t", "-t", "updated_at", "-updated_at"])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_pages_show_each_record_once_in_order(house: House, define: Define, sort: str, size: int) -> None:
    """Going through the pages in any order shows each record once, empty values first when rising."""
    entity = define(
        "item",
        field("n", "integer", indexed=True),
        field("d", "decimal", scale=1, precision=30, indexed=True),
        field("t", indexed=True),
    )
    chance = random.Random(3)
    rows = [
        {
            "n": chance.choice([None, 1, 2]),
            "d": chance.choice([None, Decimal("-1.5"), Decimal(2)]),
            "t": chance.choice([None, "", "ä", "Z", "a", "中"]),
        }
        for _ in range(15)
    ]
    ids = fill(house, entity, rows)
    name = sort.lstrip("-")
    values = dict(zip(ids, rows, strict=True))

    def key(i: int) -> Any:
        value = values[i].get(name) if name in values[i] else None
        return (value is not None, value if value is not None else 0, i)

    expected = sorted(ids, key=key, reverse=sort.startswith("-"))
    assert walk(house, entity, Query(sort=sort), size) == expected


@pytest.mark.parametrize("sort", ["n", "-n", "id", "-id"])
def test_pages_stand_inserts(house: House, define: Define, sort: str) -> None:
    """Records that are there throughout are shown exactly once, whatever is inserted and deleted between pages."""
    entity = define("item", field("n", "integer", indexed=True))
    chance = random.Random(5)
    ids = fill(house, entity, [{"n": chance.choice([None, *range(5)])} for _ in range(40)])
    doomed = [i for i in ids if i % 4 == 0]

    def between() -> None:
        fill(house, entity, [{"n": chance.choice([None, *range(5)])} for _ in range(2)])
        if doomed:
            services.delete_record(house, "item", doomed.pop(), ANN)

    seen: list[int] = []
    after = None
    while True:
        with house.db.read() as tx:
            page = listing.page(tx, entity, Query(sort=sort), 5, after=after)
        seen += [r["id"] for r in page.records]
        if page.after is None or len(seen) > 200:
            break
        after = page.after
        between()
    assert len(seen) == len(set(seen))
    assert {i for i in ids if i % 4} <= set(seen)


def test_only_indexed_fields_sort(house: House, define: Define) -> None:
    """A sort that no index serves is refused instead of being slow; a damaged mark is told."""
    entity = define("item", field("n", "integer"))
    with house.db.read() as tx:
        with pytest.raises(BadFilter, match="index"):
            listing.page(tx, entity, Query(sort="n"))
        with pytest.raises(BadFilter, match="damaged"):
            listing.page(tx, entity, Query(), after="!!!")


def test_counts(house: House, define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filtered count is exact up to its cap, and says so beyond."""
    entity = define("item", field("n", "integer"))
    fill(house, entity, [{"n": i} for i in range(10)])
    few, many = Query((Filter("n", Operator.LESS, "3"),)), Query((Filter("n", Operator.LESS, "9"),))
    monkeypatch.setattr(listing, "COUNT_CAP", 5)
    with house.db.read() as tx:
        assert listing.count(tx, entity, Query()).records == 10
        assert listing.count(tx, entity, few) == listing.Count(3)
        assert listing.count(tx, entity, many) == listing.Count(5, more=True)


TEXTS = st.text(st.sampled_from("aAbBäÄ中%_\\ z😀"), max_size=4)
COLUMNS: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "t": ("text", TEXTS),
    "x": ("text", TEXTS),
    "n": ("integer", st.integers(-3, 3)),
    "d": ("decimal", st.integers(-30, 30).map(lambda n: Decimal(n) / 10)),
    "big": ("decimal", st.integers(-30, 30).map(lambda n: Decimal(n) / 10)),
    "b": ("boolean", st.booleans()),
    "day": ("date", st.dates(dt.date(2024, 1, 1), dt.date(2024, 1, 5))),
    "at": ("datetime", st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 3), timezones=st.just(dt.UTC))),
    "c": ("choice", st.sampled_from(["red", "green", "blue"])),
    "m": ("multi_choice", st.sets(st.sampled_from(["red", "green", "blue"]), min_size=1)),
}
EXTRA = {
    "big": {"precision": 30, "scale": 2},
    "c": {"choices": CHOICES},
    "m": {"choices": CHOICES},
    "t": {"indexed": True},
    "n": {"indexed": True},
}


@st.composite
def conditions(draw: st.DrawFn) -> Filter:
    name = draw(st.sampled_from(sorted(COLUMNS)))
    kind, values = COLUMNS[name]
    spec = filters.EntityField(name, filters.Kind(kind))
    operator = draw(st.sampled_from(filters.operators(spec)))
    if operator in filters.WITHOUT_VALUE:
        return Filter(name, operator)
    if operator is Operator.ANY_OF:
        picked = [
            _text(v)
            for v in draw(st.lists(values.filter(lambda v: str(v).strip() == str(v) != ""), min_size=1, max_size=3))
        ]
        return Filter(name, operator, ",".join(picked))
    value = draw(values)
    return Filter(name, operator, _text(sorted(value)[0] if isinstance(value, set) else value))


def _text(value: Any) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else value.isoformat()
        if isinstance(value, dt.date)
        else str(value)
    )


def holds(item: Filter, record: dict[str, Any]) -> bool:  # noqa: PLR0911
    """The model: what a filter means, in Python."""
    value = record[item.field]
    kind = COLUMNS[item.field][0]
    if item.operator in filters.WITHOUT_VALUE:
        return (value in (None, "")) is (item.operator is Operator.EMPTY)
    if item.operator is Operator.HAS_NOT:
        return value is None or item.value not in value
    if value is None:
        return item.operator is Operator.IS_NOT
    if item.operator is Operator.HAS:
        return item.value in value
    if item.operator in (Operator.CONTAINS, Operator.STARTS):
        whole, part = filters.ascii_fold(value), filters.ascii_fold(item.value)
        return part in whole if item.operator is Operator.CONTAINS else whole.startswith(part)
    if item.operator is Operator.ON:
        return bool(value.date() == dt.datetime.fromisoformat(item.value).date())
    read: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "decimal": Decimal,
        "boolean": lambda t: t == "true",
        "date": dt.date.fromisoformat,
        "datetime": dt.datetime.fromisoformat,
    }
    wanted = [
        read.get(kind, str)(part)
        for part in (item.value.split(",") if item.operator is Operator.ANY_OF else [item.value])
    ]
    compare: dict[Operator, Callable[[], bool]] = {
        Operator.IS: lambda: value == wanted[0],
        Operator.IS_NOT: lambda: value != wanted[0],
        Operator.ANY_OF: lambda: value in wanted,
        Operator.LESS: lambda: value < wanted[0],
        Operator.AT_MOST: lambda: value <= wanted[0],
        Operator.MORE: lambda: value > wanted[0],
        Operator.AT_LEAST: lambda: value >= wanted[0],
    }
    return compare[item.operator]()


@pytest.fixture
def mixed(house: House, define: Define) -> tuple[Entity, dict[int, dict[str, Any]]]:
    entity = define("mixed", *(field(n, kind, **EXTRA.get(n, {})) for n, (kind, _) in COLUMNS.items()))
    chance = random.Random(11)
    pools: dict[str, list[Any]] = {
        "t": ["", "a", "A", "aB", "ab", "bA", "ä", "Ä", "a%", "_", "\\", "中a", "AB😀", "z"],
        "x": ["", "aa", "ÄA", "%", "a_b", "😀"],
        "n": list(range(-3, 4)),
        "d": [Decimal(n) / 10 for n in range(-30, 31, 3)],
        "big": [Decimal(n) / 10 for n in range(-30, 31, 3)],
        "b": [True, False],
        "day": [dt.date(2024, 1, d) for d in range(1, 6)],
        "at": [dt.datetime(2024, 1, d, h, 0, 0, us, tzinfo=dt.UTC) for d in (1, 2) for h in (0, 23) for us in (0, 1)],
        "c": ["red", "green", "blue"],
        "m": [{"red"}, {"red", "blue"}, {"green"}],
    }
    rows = [{n: chance.choice([None, *pool, *pool]) for n, pool in pools.items()} for _ in range(80)]
    ids = fill(
        house, entity, [{**r, "m": None if r["m"] is None else str(sorted(r["m"])).replace("'", '"')} for r in rows]
    )
    return entity, dict(zip(ids, rows, strict=True))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.lists(conditions(), min_size=1, max_size=2))
def test_filters_equal_their_model(
    house: House, mixed: tuple[Entity, dict[int, dict[str, Any]]], wanted: list[Filter]
) -> None:
    """On each database a filter finds exactly the records that the Python model says."""
    entity, held = mixed
    query = Query(tuple(wanted), sort="id")
    expected = [i for i, record in held.items() if all(holds(f, record) for f in wanted)]
    blank = [
        f for f in wanted if not f.value and f.operator not in filters.WITHOUT_VALUE and COLUMNS[f.field][0] != "text"
    ]
    with house.db.read() as tx:
        if blank:
            return
        assert [r["id"] for r in listing.page(tx, entity, query, 200).records] == expected
        assert listing.ids(tx, entity, query, 200) == expected
        assert listing.count(tx, entity, query).records == len(expected)


@pytest.mark.parametrize("text", ["status", "t:near:x", "nothing:is:x", "b:contains:x", "n:is:x", "m:has:pink"])
def test_bad_filters_are_told(house: House, mixed: tuple[Entity, dict[int, dict[str, Any]]], text: str) -> None:
    """A filter that cannot be used is refused with a sentence."""
    entity, _ = mixed
    with house.db.read() as tx, pytest.raises(BadFilter):
        listing.page(tx, entity, Query((filters.parse(text),)))


def test_search_finds_words_numbers_and_chinese(house: House, define: Define) -> None:
    """The search box finds beginnings of words, ends of numbers, Chinese from any character, in any case and width."""
    entity = define("person", field("name", searchable=True), field("phone", "phone", searchable=True), field("note"))
    people = [
        {"name": "王小明 Wang Xiaoming", "phone": "+86 138 1234 5678"},
        {"name": "王伟", "phone": "13900005678"},
        {"name": "Müller-Lüdenscheidt", "note": "Wang"},
        {"name": "𠮷野家 123456789"},
    ]
    ids = fill(house, entity, people)
    expected = {
        "wang": [0], "WANG xiao": [0], "王": [0, 1], "小明": [0], "王小明": [0], "明王": [],
            "伟": [1], "5678": [0, 1, 3], "00005678": [1],
        "müll": [2], "MÜLLER": [2], "lüden": [2], "ｗａｎｇ": [0], "𠮷": [3], "野家": [3],
            "6789": [3], "%": [], "' OR 1": [], "\"*": [],
    }  # fmt: skip
    with house.db.read() as tx:
        found = {
            q: sorted(ids.index(r["id"]) for r in listing.page(tx, entity, Query(search=q)).records) for q in expected
        }
    assert found == expected


def test_search_follows_changes(house: House, define: Define) -> None:
    """A changed or deleted record is found under what it says now."""
    entity = define("person", field("name", searchable=True))
    one, two = fill(house, entity, [{"name": "Anna"}, {"name": "Berta"}])
    services.update_record(house, "person", one, {"name": "Clara"}, ANN)
    services.delete_record(house, "person", two, ANN)
    with house.db.read() as tx:
        hits = {
            q: [r["id"] for r in listing.page(tx, entity, Query(search=q)).records] for q in ("anna", "clara", "berta")
        }
    assert hits == {"anna": [], "clara": [one], "berta": []}


def test_search_with_filter_sort_and_pages(house: House, define: Define) -> None:
    """A search goes with filters, any sort and pages in both directions."""
    entity = define("person", field("name", searchable=True), field("n", "integer", indexed=True))
    ids = fill(house, entity, [{"name": f"Wang {i % 3}", "n": i % 5} for i in range(30)])
    for sort in ("id", "-id", "n", "-n"):
        query = Query((Filter("n", Operator.MORE, "1"),), "wang 1", sort)
        wanted = [i for k, i in enumerate(ids) if k % 3 == 1 and k % 5 > 1]
        key = {i: (k % 5, i) for k, i in enumerate(ids)}
        ordered = sorted(wanted, key=(lambda i: key[i]) if "n" in sort else None, reverse=sort.startswith("-"))  # noqa: B023
        assert walk(house, entity, query, 2) == ordered


def test_titles(house: House, define: Define) -> None:
    """A record is called by its title field, or by its number where that is empty."""
    entity = define("person", field("n", "integer"), field("name"))
    one, two = fill(house, entity, [{"name": "Anna"}, {}])
    with house.db.read() as tx:
        assert listing.titles(tx, "person", [one, two, 99]) == {one: "Anna", two: f"#{two}"}
        assert listing.titles(tx, "nobody", [1]) == {}
