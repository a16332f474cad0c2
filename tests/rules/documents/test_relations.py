"""Which rules come before which."""

from __future__ import annotations

from rules.documents.relations import before, circle, in_turn, named_before

GRAPH = {"orders": ("customers", "products"), "customers": ("regions",), "lines": ("orders", "products")}


def test_a_rule_comes_after_what_it_names_and_what_its_fields_refer_to():
    """Both count, each once; references to its own records do not put a rule before itself."""
    fields = [{"reference": "customers"}, {"reference": "orders"}, {"left": "a"}, "nonsense"]
    document = {"name": "orders", "after": ["regions", 7], "fields": fields}
    assert before(document) == ("regions", "customers")
    assert list(named_before(document)) == [
        ("after/0", "regions"), ("fields/0/reference", "customers"), ("fields/1/reference", "orders"),
    ]  # fmt: skip
    assert before({"name": "x", "after": "nonsense"}) == ()


def test_rules_are_put_in_turn():
    """Each rule comes behind all that come before it; a circle is cut open instead of going round for ever."""
    assert in_turn(["lines"], GRAPH) == ["regions", "customers", "products", "orders", "lines"]
    assert in_turn(["a"], {"a": ("b",), "b": ("a",)}) == ["b", "a"]


def test_circles_are_found():
    """The way that closes a circle is told; ways that meet again are none."""
    assert circle("lines", GRAPH) == []
    assert circle("regions", {**GRAPH, "regions": ("lines",)}) == ["regions", "lines", "orders", "customers", "regions"]
    assert circle("a", {"a": ("b",), "b": ("c",), "c": ("a",)}) == ["a", "b", "c", "a"]
