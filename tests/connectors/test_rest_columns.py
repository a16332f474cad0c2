"""Records of web services become columns: the fast way and the careful way agree, whatever is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.builtin.rest_calls import Request
from connectors.builtin.rest_columns import Columns
from connectors.builtin.rest_flat import Flat, NotFlat
from connectors.builtin.rest_listing import Listing
from connectors.http_reply import Reply
from rules.schema import Field, FieldType, Schema

_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=8), st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), st.just("2024-01-02"), st.just("7"),
)  # fmt: skip
_FIELDS = tuple(
    Field(kind.value, kind, scale=2 if kind is FieldType.DECIMAL else None, nullable=kind is not FieldType.INTEGER)
    for kind in FieldType
)


@given(st.lists(st.dictionaries(st.sampled_from([f.name for f in _FIELDS]), _VALUES), max_size=4))
def test_fast_and_careful_reading_agree(records: list[dict[str, Any]]) -> None:
    """Whatever a service sends, the fast way gives the same records as the careful one, or leaves them to it."""
    raws = [msgspec.json.encode(record) for record in records]
    schema = Schema(_FIELDS)
    fast, careful = Columns(schema), Columns(schema)
    careful._patience = 0
    left, right = fast.page(raws, 3), careful.page(raws, 3)
    assert left.records.equals(right.records)
    assert left.rejects == right.rejects


_PLAIN: dict[str, tuple[str, ...]] = {
    "text": ('"a"', '"客\\ud83d\\ude00"', '""', '"\\u0000"', '"null"', '"/Date(0)/"', "null", "7"),
    "integer": ("1", "-0", "9223372036854775807", "1e2", "9223372036854775808", "true"),
    "float": ("1.5", "-0.0", "1e-5", "123456789012345678901234567890", "5e-324", "1e400", '"1"'),
    "boolean": ("true", "false", '"true"', "1"),
    "decimal": ("1.50", "-7", "12.340", "1e3", "0e-99", "0.005", '"1e3"', "9" * 38, "1234567890" * 4, "1e36"),
    "json": ('{"b":1.50,"a":[1]}', '{"a":1,"a":"\\u001f"}', "[\n1 ]", '"null"', "null", "1.0"),
    "datetime": ('"2024-02-29T00:00:00Z"', '"0000-00-00T00:00:00Z"', '"2024-02-29T00:00:00.123456Z"', "{}"),
    "other": ("1", '{"text":[]}'),
}


@st.composite
def _records(draw: st.DrawFn) -> bytes:
    """Draw the text of a record: mostly plain, its members in any order, spaced in any way, some twice."""
    names = draw(st.lists(st.sampled_from(list(_PLAIN)), max_size=9, unique=draw(st.booleans())))
    space = st.sampled_from(["", "", " ", "\n", "\r\n\t"])
    values = [draw(st.just(_PLAIN[name][0]) | st.sampled_from(_PLAIN[name])) for name in ["integer", *names]]
    return ("{" + ",".join(
        f'{draw(space)}"{name}"{draw(space)}:{value}' for name, value in zip(["integer", *names], values, strict=True)
    ) + "}").encode()  # fmt: skip


@given(st.lists(_records() | st.sampled_from([b"null", b"7", b"[{}]", b"{}"]), min_size=1, max_size=3), st.data())
def test_texts_of_records_are_read_the_same_in_both_ways(raws: list[bytes], data: st.DataObject) -> None:
    """Numbers at their limits, members twice, spaces anywhere, no objects: the fast way gives what the careful does."""
    names = data.draw(st.lists(st.sampled_from(_FIELDS), min_size=1, unique=True))
    fast, careful = Columns(Schema(tuple(names))), Columns(Schema(tuple(names)))
    careful._patience = 0
    left, right = fast.page(raws), careful.page(raws)
    assert left.records.equals(right.records)
    assert left.rejects == right.rejects


@pytest.mark.parametrize(
    ("raws", "names"),
    [
        ([b"null"], ("text",)), ([b'{"text":"a"}', b"null"], ("text",)), ([b'{"decimal":"1e3"}'], ("decimal",)),
        ([b'{"text":"a"}\n{"text":"b"}'], ("text",)), ([b'{"json":"\xff"}'], ("json",)),
        ([b'{"text":"a","text":"b"}'], ("text",)), ([b'{"integer":null}'], ("integer",)), ([b"{}{}"], ("json",)),
        ([b'{"datetime":"soon"}'], ("datetime",)),
    ],
)  # fmt: skip
def test_what_the_fast_way_leaves(raws: list[bytes], names: tuple[str, ...]) -> None:
    """No object, a member twice, a broken text, a decimal in quotes, no value where one must be: seen, not guessed."""
    with pytest.raises(NotFlat):
        Flat(Schema(_FIELDS).select(names)).frame(raws)


def test_json_alone_is_read_fast() -> None:
    """A list of which only JSON is wanted is read by the fast way, too."""
    frame = Flat(Schema(_FIELDS).select(("json",))).frame([b'{"json": {"b":1.50, "a":[]}}', b"{}"])
    assert frame["json"].to_list() == ['{"a":[],"b":1.50}', None]


def test_a_list_that_is_mixed_is_read_with_care_in_the_end() -> None:
    """After a few pages with values of another kind, the fast way is not tried any more; nothing changes by it."""
    columns = Columns(Schema((Field("id", FieldType.INTEGER),)))
    for _ in range(5):
        assert columns.page([b'{"id": "7"}']).records["id"].to_list() == [7]
    assert columns._patience == 0
    assert Columns(Schema(())).page([b"{}", b"1"]).rejects


_PARTS = ("rows", "total", "page", "a.b", "a", "b")
_TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=2) | st.lists(st.integers(), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(_PARTS), inner, max_size=4), max_leaves=8,
)  # fmt: skip
_PATHS = st.sampled_from(["", "rows", "total", "a.b", "a", "a.b.rows", "a.rows", "page.total", "header:X-Total"])


@given(_TREES, _PATHS, st.lists(_PATHS, max_size=3))
@example({"rows": [1]}, "rows", ["rows"])
def test_answers_are_taken_apart_the_same_in_one_go(tree: Any, path: str, others: list[str]) -> None:
    """An answer of which is told what will be asked gives the same records and members, or the lack of them."""
    reply = Reply(200, msgspec.json.encode(tree), "http://x/", b"Content-Type: application/json\r\nX-Total: 7\r\n")
    one, other = (Listing(reply, Request("/"), *told) for told in ((path, others), ()))
    assert _found(_texts, one, path) == _found(_texts, other, path)
    for asked in others:
        assert _found(one.at, asked) == _found(other.at, asked)


def _found(ask: Callable[..., Any], *what: Any) -> Any:
    try:
        return ask(*what)
    except KeyError:
        return KeyError


def _texts(listing: Listing, path: str) -> list[bytes]:
    return [bytes(record) for record in listing.records(path)]
