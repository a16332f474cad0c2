"""Lists, JSON, XML, hashes and encodings: laws, and attacks that end in a refusal."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language.functions import FUNCTIONS
from rules.language.functions.bounds import clean, finite
from rules.language.functions.registry import FunctionError
from rules.language.jsontext import read_json
from rules.schema import Field, FieldType
from tests.rules.language.functions.calls import constant, function, problem, refused
from tests.rules.language.records import error, value

_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15).map(float) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)


# Lists


@given(st.lists(st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)))
def test_lists(items: list[Any]) -> None:
    """Ordering, distinct items and extremes agree with each other."""
    ordered = function("sort")(items)
    assert sorted(items) == ordered
    assert function("distinct")(ordered) == sorted(set(items))
    listed = {
        name: next(o for o in _overloads(name) if len(o.parameters) == 1).implementation for name in ("min", "max")
    }
    assert listed["min"](items) == (ordered[0] if items else None)
    assert listed["max"](items) == (ordered[-1] if items else None)
    assert all(function("includes")(items, item) for item in items)


def _overloads(name: str) -> Any:
    return FUNCTIONS[name].overloads


def test_list_values() -> None:
    """Items keep their types, and decimals are added as such."""
    assert constant("sum([])") == "0"
    assert constant("sum([0.1, 0.2, 0.3])") == 0.6
    assert constant("avg([]) == null") is True
    assert constant("distinct([1, 1.0, true, '1', [1], [1.0]])") == '[1,true,"1",[1]]'
    assert constant("includes([1, 2], 1.0)") is True
    assert constant("includes([1, 2], true)") is False
    assert constant("first(['a']).upper() + last(['b']).upper()") == "AB"
    assert constant("slice([1, 2, 3], 1, 9)") == "[2,3]"
    assert constant("flatten([[1], 2, [[3]]])") == "[1,2,[3]]"
    assert value("sum([price, price])") == value("price * 2.0")
    assert function("distinct")([bytearray(b"a"), bytearray(b"a")]) == [b"a"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sum([1, 'a'])", "sum() needs numbers; item 2 is none."),
        ("avg([true])", "avg() needs numbers; item 1 is none."),
        ("sort([1, 'a'])", "sort() orders numbers, or text, but not this list."),
        ("min([[1], [2]])", "min() orders numbers, or text, but not this list."),
        ("slice([1], 2, 1)", "slice() from 2 to 1 is not possible."),
        ("first([date('2024-01-31')])", "Dates and times cannot be taken out of a list by this function. Use [0]."),
        ("sum([9223372036854775807, 1])", "The result is too large."),
    ],
)
def test_lists_refused(text: str, reason: str) -> None:
    """What a list does not allow is said."""
    assert error(f"name == '' ? null : {text}")[0] == reason


def test_long_lists() -> None:
    """Lists of lists do not grow beyond all bounds."""
    assert refused("flatten", [[1] * 60_000] * 2) == "A list may have at most 100000 items here."


# JSON


@given(_JSON)
def test_json(found: Any) -> None:
    """What was written as JSON is read again; text with JSON and its value have the same parts."""
    text = function("toJson")(found)
    assert function("parseJson")(text) == found
    assert function("jsonPath")(text, "$") == found
    if not isinstance(found, str):
        assert function("jsonPathAll")(function("parseJson")(text), "$[*]") == function("jsonPathAll")(text, "$.*")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.a[0].b", [1.0]),
        ("$.a[-1].b", [2.0]),
        ("$.a[*].b", [1.0, 2.0]),
        ("$.a.*.b", [1.0, 2.0]),
        ("$['a b']", ["x"]),
        ('$["a b"]', ["x"]),
        ("$.上海", [True]),
        ("$.a[9]", []),
        ("$.a.b", []),
        ("$.x.y", []),
        ("$.上海.x", []),
        ("$.a[0][0]", []),
    ],
)
def test_json_paths(path: str, found: list[Any]) -> None:
    """Paths lead to names, positions from both ends and everything."""
    document = {"a": [{"b": 1.0}, {"b": 2.0}], "a b": "x", "上海": True}
    assert function("jsonPathAll")(document, path) == found
    assert function("jsonPath")(json.dumps(document), path) == (found[0] if found else None)


@pytest.mark.parametrize(
    ("path", "rest"), [("a", "a"), ("", ""), ("$..a", "..a"), ("$.a[?(@.b)]", "[?(@.b)]"), ("$[a]", "[a]"), ("$.", ".")]
)
def test_wrong_json_paths(path: str, rest: str) -> None:
    """Filters and scripts are no part of a path."""
    reason = f"'{rest}' cannot stand in a path into JSON. Write it like $.items[0].name, with [*] for every item."
    assert problem(f"jsonPath(data, '{path}')", Field("data", FieldType.JSON)) == (reason, 16)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 65 + "]" * 65,
        '{"a":' * 100_000,
        "1" * 999_000,
        "1." + "1" * 900_000,
        "1e999999999",
        "1e-999999999",
        '"\\u0000"',
        '"\\ud800"',
        "NaN",
        "",
        "[" + "1," * 600_000 + "1]",
        '"' + "\\" * 900_001 + '"',
    ],
    ids=range(13),
)
def test_json_refused(text: str) -> None:
    """Deep, huge and broken JSON ends quickly in a refusal."""
    started = time.perf_counter()
    assert refused("parseJson", text)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("text", ["1e400", "-1e999999999", "1e-999999999", "9" * 20, "9" * 5000])
def test_numbers_of_json_fields(text: str) -> None:
    """A number that no floating point number can stand for is an error of its record, not of the run."""
    with pytest.raises(ValueError, match=r"too (large|many)"):
        read_json(text)
    assert error("data == 1", {"data": text})[0].startswith("The JSON cannot be used: ")


def test_json_characters() -> None:
    """Pairs of half characters make one; brackets in text are no nesting."""
    assert function("parseJson")('"\\ud83d\\ude00"') == "😀"
    assert function("parseJson")(json.dumps("[" * 1000)) == "[" * 1000
    assert function("parseJson")('"\\\\u0000"') == "\\u0000"
    assert refused("toJson", object()) == "toJson() cannot write this value."


# XML


_ORDER = """<?xml version="1.0" encoding="GBK"?>
<o:order xmlns:o="urn:x" xmlns="urn:y" id="7">
  <line no="1"><name lang="zh">茶</name><price>1.5</price></line>
  <line no="2"><name lang="en">Tea <b>green</b></name><!-- no --></line>
</o:order>"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/order/@id", ["7"]),
        ("/o:order/line/@no", ["1", "2"]),
        ("/order/line[2]/name", ["Tea green"]),
        ("/order/line[last()]/@no", ["2"]),
        ("//name[@lang='zh']", ["茶"]),
        ('/order/line[price="1.5"]/@no', ["1"]),
        ("/order/line[1]/@*", ["1"]),
        ("/order/*/price/text()", ["1.5"]),
        ("/order/line[name='x']", []),
        ("//missing", []),
    ],
)
def test_xml_paths(path: str, found: list[str]) -> None:
    """Paths lead to elements, attributes and text, whatever the namespaces and the named encoding are."""
    assert function("xmlPathAll")(_ORDER, path) == found
    assert function("xmlPath")(_ORDER, path) == (found[0] if found else None)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "//a//b",
        "/a/..",
        "/a[position()>1]",
        "/a | /b",
        "/a[count(//b)=1]",
        "document('x')",
        "/@id/a",
        "/ancestor::a",
        "/a[b=c]",
        "/a" * 600,
    ],
)
def test_wrong_xml_paths(path: str) -> None:
    """Whatever makes XPath slow or lets it reach elsewhere is no part of a path."""
    assert "cannot stand in a path into XML." in refused("xmlPath", "<a/>", path)


_BOMB = (
    '<!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><a>&j;</a>"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (_BOMB, "XML with a DOCTYPE is refused; leave the DOCTYPE out."),
        (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
            "XML with a DOCTYPE is refused; leave the DOCTYPE out.",
        ),
        ('<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><a/>', "XML with a DOCTYPE is refused; leave the DOCTYPE out."),
        ("<a>&x;</a>", "This is not XML: "),
        ("", "This is not XML: "),
        ("<a>" * 100_000, "This is not XML: "),
        ("<a>" + "x" * 1_000_000 + "</a>", "A text may have at most 1000000 characters."),
    ],
)
def test_xml_refused(text: str, reason: str) -> None:
    """Bombs, foreign files and broken documents are refused before anything is read from elsewhere."""
    started = time.perf_counter()
    assert refused("xmlPath", text, "/a").startswith(reason)
    assert time.perf_counter() - started < 2


def test_slow_xml() -> None:
    """The worst document for a path is answered in little time; what it would copy too often is refused."""
    deep = "<a>" * 200 + "<b/>" * 230_000 + "</a>" * 200
    started = time.perf_counter()
    assert len(function("xmlPathAll")(deep, "//*[b='x']")) == 0
    assert function("xmlPath")(deep, "//b[last()]") == ""
    wide = "<a>" * 200 + "x" * 100_000 + "</a>" * 200
    assert refused("xmlPathAll", wide, "//a") == "A text may have at most 1000000 characters."
    assert time.perf_counter() - started < 5


# Hashes and encodings


@given(_TEXT)
def test_encodings(text: str) -> None:
    """What was encoded is decoded, and hashes are those of the standard library."""
    assert function("base64Decode")(function("base64Encode")(text)) == text
    assert function("hexDecode")(function("hexEncode")(text)) == text
    assert function("urlDecode")(function("urlEncode")(text)) == text
    for name in ("md5", "sha1", "sha256", "sha512"):
        assert function(name)(text) == hashlib.new(name, text.encode()).hexdigest()
        assert function(name)(bytearray(text.encode())) == function(name)(text)
    assert function("uuid5")("url", text) == str(uuid.uuid5(uuid.NAMESPACE_URL, text))
    assert function("isUuid")(function("uuid5")(str(uuid.NAMESPACE_DNS), text))


def test_encoding_forms() -> None:
    """Base64 may be that of addresses, and without its end."""
    text = "上海😀?>"
    assert function("base64Decode")(base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")) == text
    assert not function("isUuid")("8" * 36)
    assert not function("isUuid")("{886313e1-3b8a-5372-9b90-0c9aee199e5}")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://Example.com:8/a", "example.com"),
        ("http://[::1]/", "::1"),
        ("a", None),
        ("http://[", None),
        ("x" * 200_000, None),
    ],
)
def test_hosts(text: str, host: str | None) -> None:
    """A web address has a host, other text has none."""
    assert function("urlHost")(text) == host
    assert function("isUrl")(text) is (host is not None)


def test_urls() -> None:
    """Spaces and other schemes make no web address; parameters are decoded."""
    assert not function("isUrl")("http://a b.com")
    assert not function("isUrl")("ftp://a.com")
    assert function("urlParameter")("http://a/?x=%E4%B8%8A&x=2", "x") == "上"
    assert function("urlParameter")("http://a/?y=1", "x") is None


@pytest.mark.parametrize(
    ("name", "args", "reason"),
    [
        ("base64Decode", ("!",), "This is not the Base64 of a text: '!'."),
        ("base64Decode", ("/w==",), "This is not the Base64 of a text: '/w=='."),
        ("base64Decode", ("AA==",), "The result holds characters that no text can hold (code 0, or half a character)."),
        ("hexDecode", ("x",), "These are not the hexadecimal digits of a text: 'x'."),
        ("hexDecode", ("00",), "The result holds characters that no text can hold (code 0, or half a character)."),
        ("urlDecode", ("%FF",), "'%FF' does not stand for a text."),
        ("urlParameter", ("http://[", "x"), "'http://[' is not a web address."),
        ("uuid5", ("x", "y"), "'x' is neither a UUID nor dns, url, oid or x500."),
        ("base64Encode", ("a" * 999_999,), "A text may have at most 1000000 characters."),
        ("hexEncode", ("a" * 999_999,), "A text may have at most 1000000 characters."),
        ("urlEncode", ("上" * 999_999,), "A text may have at most 1000000 characters."),
    ],
)
def test_encodings_refused(name: str, args: tuple[object, ...], reason: str) -> None:
    """What stands for no text is quoted."""
    assert refused(name, *args) == reason


def test_bounds() -> None:
    """Half characters and infinities are no results."""
    with pytest.raises(FunctionError, match="half a character"):
        clean("\ud800")
    with pytest.raises(FunctionError, match="not a number"):
        finite(float("nan"))
