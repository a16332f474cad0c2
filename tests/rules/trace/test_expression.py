"""An explained expression: where its parts stand, what value each had, and which of them decided."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import pytest

from rules.language import ExpressionError, compile_expression
from rules.language.nodes import children
from rules.language.parse import parse
from rules.language.spans import spans
from rules.schema import FieldType
from rules.trace import Role, State, Step, Tracer, plain
from rules.trace.expression import MAX_ITEMS
from tests.rules.language.expressions import SCHEMA as WILD
from tests.rules.language.expressions import Generator, batches
from tests.rules.language.records import SCHEMA, batch


def traced(text: str, **values: Any) -> Step:
    return Tracer(text, SCHEMA).trace(batch(values))


def told(step: Step) -> list[tuple[str, Any]]:
    """Return the parts below the whole with their values, those that were not asked without one."""
    return [(s.text, s.value if s.state is State.VALUE else s.state.value) for s in list(step.walk())[1:]]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("(qty + 2) * 3 > 4", ["(qty + 2) * 3", "qty + 2", "qty"]),
        ("!(active && qty > 1)", ["active && qty > 1", "active", "qty > 1", "qty"]),
        ("(name + phone).trim()", ["name + phone", "name", "phone"]),
        ("-qty + -3", ["-qty", "qty"]),
        ("has(record.name) || record['a.b'] == 'x'", ["has(record.name)", "record['a.b'] == 'x'", "record['a.b']"]),
        ("size([name, 'b'])", ["[name, 'b']", "name"]),
        ("{'a': name}['a']", ["{'a': name}", "name"]),
        ("  name // a comment\n .upper()", ["name"]),
    ],
)
def test_parts_are_shown_as_they_are_written(text, parts):
    """Each part is a piece of the expression, its brackets in balance."""
    step = traced(text)
    assert [s.text for s in list(step.walk())[1:]] == parts
    assert all(text[s.start : s.end] == s.text for s in step.walk())


def test_every_node_of_random_expressions_has_its_place():
    """A part that is read by itself gives the same tree again, whatever the expression."""
    generator = Generator(7)
    for _ in range(150):
        text = generator.expression()
        tree = parse(text)
        places = spans(text, tree)
        rest = [tree]
        while rest:
            node = rest.pop()
            rest += children(node)
            start, end = places[id(node)]
            assert _shape(parse(text[start:end])) == _shape(node), (text, text[start:end])


def _shape(node: Any) -> Any:
    return (type(node).__name__, getattr(node, "name", None), [_shape(part) for part in children(node)])


def test_the_whole_comes_to_what_a_run_computes():
    """For random expressions and difficult records the explained value is the value of the compiled expression."""
    generator, seen = Generator(11), 0
    records = batches(3)[0]
    while seen < 60:
        text = generator.expression()
        try:
            program = compile_expression(text, WILD)
        except ExpressionError:  # the generator also writes what is refused
            continue
        seen += 1
        evaluated, tracer = program.evaluate(records), Tracer(text, WILD)
        errors = {error.row: error.message for error in evaluated.errors}
        for row in range(0, records.height, 6):
            step = tracer.trace(records[row])
            if row not in errors:
                assert step.state is State.VALUE, (text, row, step.error)
                stored = evaluated.values[row]
                assert _alike(step.value, stored, program.type), (text, row, step.value, stored)
            elif step.state is State.VALUE:  # it has a value, which its column cannot hold
                assert errors[row].template.startswith("The result"), (text, row, errors[row])


def _alike(found: Any, stored: Any, type_: FieldType) -> bool:
    """Compare a value of the runtime with one in a column: what JSON holds is kept as text, floats as decimals."""
    if type_ is FieldType.JSON and isinstance(stored, str):
        return found is not None
    if isinstance(found, float) and math.isnan(found):
        return isinstance(stored, float) and math.isnan(stored)
    return found == stored or (isinstance(stored, Decimal) and math.isclose(found, stored, rel_tol=1e-12))


def test_the_false_clause_of_a_row_decides():
    """In a row of && the parts that are false decide; an error beside them does not count, and it says so."""
    step = traced("active && name.size() > 3 && qty > 100", name=None)
    first, second, third = step.steps
    assert (step.value, first.decides, third.decides) == (False, False, True)
    assert second.state is State.ERROR
    assert "does not count" in str(second.note)
    assert str(step.steps[1].cause.error).startswith("The field 'name' is empty")


def test_the_true_clause_of_a_row_decides():
    """In a row of || a part that is true decides."""
    step = traced("qty > 100 || active || rate > 5")
    assert [s.decides for s in step.steps] == [False, True, False]
    assert [s.role for s in step.steps] == [Role.CLAUSE] * 3


def test_the_condition_chooses_a_branch():
    """Of ?: the branch that was not taken is shown as not asked; a condition that fails asks none."""
    step = traced("qty > 5 ? name : phone")
    assert told(step) == [("qty > 5", True), ("qty", 7), ("name", " Ada "), ("phone", "skipped")]
    assert [s.decides for s in step.steps] == [False, True, False]
    other = traced("qty > 50 ? name : phone")
    assert [(s.text, s.state.value) for s in other.steps][1:] == [("name", "skipped"), ("phone", "value")]
    assert [s.text for s in traced("qty > 5 ? name : phone", qty=None).steps] == ["qty > 5"]


def test_defaults_stand_in_for_what_is_empty():
    """orDefault() and coalesce() show which value was taken and which were not asked."""
    assert told(traced("name.orDefault(phone)")) == [("name", " Ada "), ("phone", "skipped")]
    step = traced("coalesce(name, phone, 'x')", name=None)
    assert told(step) == [("name", None), ("phone", "+86 21"), ("'x'", "skipped")]
    assert [s.decides for s in step.steps] == [False, True, False]
    assert "Stands in" in str(step.steps[1].note)


def test_choices_show_which_one_fits():
    """choose() shows the choice that was taken, or the default that stands in."""
    text = "choose(phone, {'+86 21': name, '+49': 'b'}, 'none')"
    assert told(traced(text)) == [("phone", "+86 21"), ("name", " Ada "), ("'none'", "skipped")]
    assert told(traced(text, phone="?")) == [("phone", "?"), ("'none'", "none")]
    short = "choose(phone, {'+86 21': name})"
    assert told(traced(short)) == [("phone", "+86 21"), ("name", " Ada ")]
    assert traced(short, phone="?").state is State.ERROR
    assert [s.text for s in traced("choose(name.trim(), {'a': 1}, 2)", name=None).steps] == ["name.trim()"]


def test_loops_show_each_item():
    """all(), exists(), map() and filter() show what became of each item, of long lists of the first ones."""
    step = traced("data.a.b.exists(x, x == 2)")
    items = [(s.item, s.value) for s in step.steps if s.role is Role.ITEM]
    assert items == [(1, False), (2, True), ("x", False)]
    guarded = traced("data.a.b.map(x, x != 'x', x)")
    assert [s.value for s in guarded.steps if s.role is Role.ITEM] == [True, 1, True, 2, False, "x"]
    long = traced("data.exists(x, x > 30)", data=json.dumps(list(range(40))))
    assert len([s for s in long.steps if s.role is Role.ITEM]) == MAX_ITEMS
    assert "first 20 items" in str(long.steps[0].note)
    assert len(traced("data.a.b.exists(x, x == 2)", data=None).steps) == 1


def test_an_error_is_told_where_it_arises():
    """The innermost part that failed is the cause."""
    step = traced("size(name.trim() + phone) > 3", name=None)
    assert step.cause.text == "name.trim()"
    assert traced("qty > 1").cause is None


def test_values_have_the_types_of_the_language():
    """Stored decimals stay exact, dates are dates, and all of it can be written as JSON."""
    assert traced("true ? big : price").value == Decimal("123456789012345678.12")
    assert traced("born > date('1980-01-01')").steps[1].value == dt.date(1980, 1, 1)
    assert traced("local == local").steps[0].value == dt.datetime(2024, 1, 2, 3, 4, 5)
    shown = json.loads(json.dumps(traced("name.orDefault(phone).trim() == 'Ada'").to_json()))
    assert (shown["value"], shown["steps"][0]["steps"][0]["steps"][1]["state"]) == (True, "skipped")
    assert traced("name", name=None).to_json()["value"] is None
    assert "error" in traced("name.trim()", name=None).to_json()
    assert "item" in traced("data.a.b.exists(x, x == 2)").to_json()["steps"][1]
    odd = [math.nan, math.inf, b"a\x00", {"k": (Decimal("1.0"), dt.date(2024, 1, 2))}, dt.timedelta(hours=1)]
    assert plain(odd) == ["nan", "inf", "6100", {"k": ["1.0", "2024-01-02"]}, "1:00:00"]


def test_a_part_that_is_too_deep_says_so():
    """A part that the runtime does not take is told as such, and nothing breaks."""
    text = "name" + ".trim()" * 60
    assert traced(text).state in (State.VALUE, State.ERROR)


def test_the_outline_names_what_can_decide():
    """Clauses of rows and choices are named with their places, each once, however long the row is."""
    text = (
        "(active && qty > 1 && (rate > 2 || qty < 0) && true) ? coalesce(name, phone) : choose(name, {'a': 'b'}, 'c')"
    )
    found = [(role.value, part) for role, _start, part in Tracer(text, SCHEMA).outline()]
    assert found == [
        ("choice", "coalesce(name, phone)"),
        ("choice", "choose(name, {'a': 'b'}, 'c')"),
        ("clause", "active"),
        ("clause", "qty > 1"),
        ("clause", "true"),
        ("clause", "rate > 2"),
        ("clause", "qty < 0"),
        ("choice", "name"),
        ("choice", "phone"),
        ("choice", "'b'"),
        ("choice", "'c'"),
    ]
    loop = Tracer(" data.a.b.exists(x, x == 1 || x == 2)", SCHEMA)
    assert (list(loop.outline()), loop.span) == ([], (1, 37))
