"""Trees, records of several parents, and the smaller words of descriptions of web services."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from connectors.builtin.rest import Rest
from connectors.builtin.rest_columns import Columns
from connectors.builtin.rest_errors import meanings_of
from connectors.builtin.rest_objects import objects_of
from connectors.builtin.rest_paging import placed
from connectors.errors import Fatal, Misconfigured
from connectors.spi import Context, ReadRequest
from rules.schema import Field, FieldType, Schema

TREE = {"": ["1"], "1": ["2", "3"], "2": ["4"], "3": ["4"], "4": []}
STAFF = {"1": ["ann"], "2": ["ann", "bob"], "3": ["bob"], "4": ["cy"]}
DEPARTMENTS = {
    "name": "departments",
    "path": "/departments/{parent}",
    "key": "id",
    "parent": {"object": "departments", "also": ["1"]},
    "fields": [{"name": "id", "type": "integer"}, {"name": "of", "path": "above.id"}],
}
PEOPLE = {
    "name": "people",
    "path": "/people",
    "method": "POST",
    "body": {"department": "{parent}"},
    "key": "name",
    "parent": {"object": "departments", "also": ["1"], "once": True},
    "fields": [{"name": "name"}, {"name": "roles", "join": ","}],
}


@pytest.fixture
def rest(web: Any, reply: Any) -> Rest:
    def answer(request: Any) -> Any:
        if request.path.startswith("/departments/"):
            above = request.path.rpartition("/")[2]
            return reply(body=[{"id": int(n), "above": {"id": above}} for n in TREE[above]])
        place = request.json()["department"]
        assert isinstance(place, int)
        found = [{"name": n, "roles": ["a", 1] if n == "ann" else None} for n in STAFF[str(place)]]
        return reply(body=found)

    web.answer = answer
    return Rest({"base_url": web.url, "objects": [DEPARTMENTS, PEOPLE]}, Context(timeout=5))


def read(rest: Rest, name: str, **more: Any) -> tuple[list[Any], list[Any]]:
    pages = list(rest.read(ReadRequest(name, rest.schema(name), **more)))
    return [row for page in pages for row in page.records.rows()], [page.position for page in pages]


def test_a_tree_is_walked_down(rest: Rest) -> None:
    """Each record that is found is asked for those below it, once, also one that stands in two places."""
    assert read(rest, "departments")[0] == [(2, "1"), (3, "1"), (4, "2"), (4, "3")]


def test_records_of_several_parents_are_met_once(rest: Rest) -> None:
    """A record that several parents list is read under the first; a list stands as the text that it is here."""
    assert read(rest, "people")[0] == [("ann", "a,1"), ("bob", None), ("cy", None)]


@pytest.mark.parametrize("name", ["departments", "people"])
def test_a_read_goes_on_anywhere(rest: Rest, name: str) -> None:
    """Behind each position comes the rest, and a parent that is gone is told."""
    everything, positions = read(rest, name, page_size=1)
    for number, position in enumerate(positions, 1):
        assert read(rest, name, page_size=1, after=position)[0] == everything[number:]
    lost = {**positions[0], "state": {"parent": "9", "at": 7, "inner": None}}
    with pytest.raises(Fatal, match="'9' is not in the list"):
        read(rest, name, after=lost)


def test_trees_have_a_largest_size(rest: Rest) -> None:
    """A tree with more records than allowed is refused."""
    few = {**DEPARTMENTS, "parent": {"object": "departments", "also": ["1"], "most": 2}}
    with pytest.raises(Fatal, match="more than 2 times"):
        read(Rest({**rest.settings, "objects": [few]}, rest.context), "departments")


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"parent": {"object": "departments"}}, "needs the member 'also'"),
        ({"path": "/departments"}, "needs '{parent}'"),
        ({"parent": {"object": "others"}}, "there is no object 'others'"),
    ],
)
def test_parents_are_checked(members: dict[str, Any], told: str) -> None:
    """A parent that leads nowhere is a mistake of the description."""
    with pytest.raises(Misconfigured) as caught:
        objects_of([{**DEPARTMENTS, **members}])
    assert told.removeprefix("there is no object ") in str(caught.value)


def test_parameters_reach_into_lists() -> None:
    """A name such as `filters.1.value` reaches a part of a list; the template stays as it was."""
    body = {"filters": [{"value": "a"}, {"value": "b"}]}
    assert placed(body, {"filters.1.value": "c"}) == {"filters": [{"value": "a"}, {"value": "c"}]}
    assert body["filters"][1] == {"value": "b"}
    assert placed(body, {"filters.7.value": "c"}) == {"filters": {"7": {"value": "c"}}}
    assert placed(None, {"page.number": 2}) == {"page": {"number": 2}}


def test_false_can_mean_no_value() -> None:
    """Where a service says so, `false` is no value, but for fields that are yes or no."""
    described = objects_of([{"name": "x", "path": "/x", "false_is_null": True}])["x"]
    schema = Schema((Field("a"), Field("b", FieldType.BOOLEAN), Field("c", FieldType.JSON)))
    page = Columns(schema, described).page([b'{"a":false,"b":false,"c":false}'])
    assert page.records.rows() == [(None, False, None)]
    assert isinstance(page.records, pl.DataFrame)


def test_meanings_can_be_of_a_method() -> None:
    """An entry of the error map for one method does not fit the answers to another."""
    (meaning,) = meanings_of([{"method": "GET", "member": "deleted", "equals": [True], "then": "missing"}])
    assert meaning.fits(200, {"deleted": True}, "", "GET")
    assert not meaning.fits(200, {"deleted": True}, "", "DELETE")
