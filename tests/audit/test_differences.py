"""Differences of documents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webapp.audit.differences import difference, flat

_PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
_DOCUMENTS = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.recursive(
        _PLAIN,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3),
    ),
    max_size=4,
)


def test_items_are_told_by_their_name():
    """A list of objects is compared by what names them; what only moved is not a change."""
    old = {"fields": [{"left": "phone", "right": "tel"}, {"left": "name", "right": "title"}], "on": ["create"]}
    new = {
        "fields": [{"left": "name", "right": "title"}, {"left": "phone", "right": "tel", "when": "a > 1"}],
        "on": ["create", "update"],
    }
    found = difference(old, new)
    assert found.before == {"on": ["create"]}
    assert found.after == {"fields › phone › when": "a > 1", "on": ["create", "update"]}
    assert found.same == 4


def test_items_without_a_name_are_numbered():
    """Objects that nothing tells apart are counted."""
    assert flat({"guards": [{"over": 5}, {"over": 9}]}) == {"guards › 1 › over": 5, "guards › 2 › over": 9}


@given(_DOCUMENTS)
def test_a_document_does_not_differ_from_itself(document):
    """Nothing differs between a document and itself."""
    found = difference(document, document)
    assert (found.before, found.after) == ({}, {})


@given(_DOCUMENTS, _DOCUMENTS)
def test_the_other_way_round_is_the_mirror(old, new):
    """Exchanging the documents exchanges the sides."""
    found, mirrored = difference(old, new), difference(new, old)
    assert (found.before, found.after, found.same) == (mirrored.after, mirrored.before, mirrored.same)
