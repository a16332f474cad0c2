"""Documents as text: YAML and JSON in, YAML out, the place of every key, and what is refused."""

# ruff: noqa: E501 - one case a line reads best

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.documents import DocumentError, Format, canonical, digest, dump_document, load_documents
from tests.rules.documents.test_sync import SMALL, WHOLE

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda c: st.lists(c, max_size=4) | st.dictionaries(st.text(max_size=100), c, max_size=4), max_leaves=10
)
DOCUMENTS = st.dictionaries(st.text(max_size=100), VALUES, max_size=5)


def clean(value: Any) -> bool:
    """Tell whether a value holds no half of a surrogate pair, which no text file can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@given(DOCUMENTS.filter(clean))
@example({"no": "no", "on": "on", "a": "1e3", "b": "0o17", "c": "2024-01-31", "d": "~", "e": "=", "f": "<<"})
@example({"a": "x\ny", "b": "\n", "c": " x ", "d": "\u0085\u2028", "e": "😀", "f": "x:\n y", "g": "\ttab\n"})
def test_round_trip(document: dict[str, Any]) -> None:
    """What was written is read again, as YAML and as JSON."""
    (found,) = load_documents(dump_document(document))
    assert found.document == document
    (found,) = load_documents(json.dumps(document), Format.JSON)
    assert found.document == document


def test_json_escapes() -> None:
    """Escaped characters beyond the first 65536, and backslashes before them, are read as JSON has it."""
    (found,) = load_documents(r'{"a": "\\ud83d\\\\\ud83d\ude00\/"}', Format.JSON)
    assert found.document == {"a": "\\ud83d\\\\😀/"}


@given(DOCUMENTS.filter(clean), st.randoms())
def test_digest(document: dict[str, Any], random: Any) -> None:
    """The order of keys does not change a document's digest; a value does."""
    names = list(document)
    random.shuffle(names)
    assert digest({name: document[name] for name in names}) == digest(document)
    assert digest({**document, "x": canonical(document)}) != digest(document)


def test_yaml() -> None:
    """`no`, `on`, dates and times are text, as YAML 1.2 has it; numbers and true are not."""
    text = (
        "on: [a]\nkey: {right: no}\nday: 2024-01-31\ntime: 12:30:00\nn: 012\nf: 1.5e3\nt: True\nz: ~\ne:\nhex: 0x1F\n"
    )
    (found,) = load_documents(text)
    assert found.document == {
        "on": ["a"],
        "key": {"right": "no"},
        "day": "2024-01-31",
        "time": "12:30:00",
        "n": 12,
        "f": 1500.0,
        "t": True,
        "z": None,
        "e": None,
        "hex": "0x1F",
    }


def test_places() -> None:
    """Every key has its line and column, in YAML and in JSON; an unknown path has that of the key around it."""
    (found,) = load_documents("a:\n  b:\n    - c: 1\n客户: {d: 2}\n")
    assert found.place("a/b/0/c") == (3, 7)
    assert found.place("客户/d") == (4, 6)
    assert found.place("a/b/0/zzz/y") == (3, 7)
    assert found.place("zzz") == (1, 1)
    (found,) = load_documents('{\n\t"a": [1,\n {"b": 2}]}', "json")
    assert found.place("a/1/b") == (3, 3)


def test_several() -> None:
    """A text holds several documents, or a list of them; empty ones do not count."""
    assert [d.document for d in load_documents("a: 1\n---\n---\nb: 2\n")] == [{"a": 1}, {"b": 2}]
    assert [d.document for d in load_documents('[{"a": 1}, {"b": 2}]', Format.JSON)] == [{"a": 1}, {"b": 2}]
    assert load_documents("") == []


@pytest.mark.parametrize(
    ("text", "form", "message", "line", "column"),
    [
        ("a: &x 1\nb: *x", "yaml", "Anchors and aliases (& and *) are not supported. Write the value out.", 1, 4),
        ("a: 1\na: 2", "yaml", "The key 'a' stands here twice.", 2, 1),
        ('{"a": 1, "a": 2}', "json", "The key 'a' stands here twice.", 1, 10),
        ("- 1", "yaml", "A document has to be keys and values, such as kind, name and settings.", 1, 3),
        ("a: !!python/none x", "yaml", "Tags such as tag:yaml.org,2002:python/none are not supported.", 1, 4),
        ("? [a]\n: 1", "yaml", "A key has to be text.", 1, 3),
        ("a: [1", "yaml", "The text cannot be read: did not find expected ',' or ']'.", 2, 1),
        ("a: \x07", "yaml", "The text cannot be read: a character in it is not allowed in a document.", 1, 4),
        ("{", "json", "The JSON cannot be read: Expecting property name enclosed in double quotes.", 1, 2),
        (
            "[" * 100_000,
            "json",
            "The JSON cannot be read: it is nested too deeply or has a number that is too long.",
            1,
            1,
        ),
        ("a: " + "[" * 50 + "]" * 50, "yaml", "The text is nested too deeply.", 1, 43),
        ("[" * 300_000, "yaml", "The text is nested too deeply.", 1, 41),
        ("- " * 300_000, "yaml", "The text is nested too deeply.", 1, 81),
        ("a: " + "1" * 50, "yaml", "This number is too long. Put it in quotes if it is a text.", 1, 4),
        ("a: 1e999", "yaml", "This number is too large.", 1, 4),
        ('{"a": "\\ud800"}', "json", "The text cannot be read: found invalid Unicode character escape code.", 1, 10),
        ("x" * 5_000_001, "yaml", "The text is longer than 5000000 characters.", 1, 1),
    ],
)
def test_refused(text: str, form: str, message: str, line: int, column: int) -> None:
    """What is not a plain document is refused, at its place."""
    with pytest.raises(DocumentError) as caught:
        load_documents(text, form)
    (found,) = caught.value.problems
    assert (str(found.message), found.line, found.column) == (message, line, column)


def test_order() -> None:
    """A rule is written with its keys in the order of the reference; other documents keep theirs, kind and name first."""
    shuffled = dict(reversed(WHOLE.items()))
    shuffled["fields"] = [dict(reversed(pair.items())) for pair in WHOLE["fields"]]
    assert dump_document(shuffled) == dump_document(WHOLE)
    assert list(load_documents(dump_document(shuffled))[0].document)[:5] == [
        "kind",
        "name",
        "left",
        "right",
        "direction",
    ]
    assert dump_document({"b": 1, "a": 2, "name": "x", "kind": "role"}) == "kind: role\nname: x\nb: 1\na: 2\n"
    assert "right: 'no'" in dump_document(SMALL)


def test_blocks() -> None:
    """An expression of several lines stays readable."""
    assert dump_document({"a": "x +\ny"}) == "a: |-\n  x +\n  y\n"
