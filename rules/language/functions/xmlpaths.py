"""Paths into XML: `/order/line[2]/@id`, `//name[@lang='en']`; namespaces are left out of account.

The paths are a part of XPath 1.0 whose time is linear in the text: steps, one `//`, `*`, `@`, `text()`, positions, and
equality with a text. A document with a DOCTYPE is refused, so there are no entities and nothing is fetched.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from lxml import etree

from rules.language.functions.bounds import check_length, short
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants
from rules.text import N_, msg

MAX_PATH = 1_000
_structures = Chapter(Group.STRUCTURES)
_NAME = r"(?:[^\W\d][\w.-]*:)?[^\W\d][\w.-]*"
_TEXT = etree.XPath("string()", smart_strings=False)
_STEP = re.compile(rf"(?P<slash>//?)(?:(?P<text>text\(\))|(?P<at>@?)(?P<name>{_NAME}|\*)(?P<tests>(?:\[[^\[\]]*\])*))")
_TEST = re.compile(
    rf"""\[(?:(?P<place>[0-9]{{1,9}}|last\(\))|(?P<at>@?)(?P<name>{_NAME})=(?P<value>'[^']*'|"[^"]*"))\]"""
)


@lru_cache(maxsize=256)
def xpath(text: str) -> Any:
    """Return the compiled form of a path."""
    made: list[str] = []
    end = 0
    if text == "" or len(text) > MAX_PATH or text.count("//") > 1:
        raise _wrong(text, 0)
    while end < len(text):
        found = _STEP.match(text, end)
        if found is None or (made and made[-1].startswith(("/@", "//@", "/text", "//text"))):
            raise _wrong(text, end)
        made.append(found["slash"] + ("text()" if found["text"] else _step(found, text)))
        end = found.end()
    return etree.XPath("".join(made), smart_strings=False, regexp=False)


def _step(found: re.Match[str], text: str) -> str:
    tests = _TEST.findall(found["tests"])
    if len(tests) != found["tests"].count("["):
        raise _wrong(text, found.start("tests"))
    return _node(found["at"], found["name"]) + "".join(_test(*test) for test in tests)


def _node(at: str, name: str) -> str:
    return f"{at}*" if name == "*" else f"{at}*[local-name()='{name.rpartition(':')[2]}']"


def _test(place: str, at: str, name: str, value: str) -> str:
    return f"[{place}]" if place else f"[{_node(at, name)}={value}]"


def _wrong(text: str, place: int) -> FunctionError:
    words = N_("'{rest}' cannot stand in a path into XML. Write it like /order/line[1]/@id or //name, // only once.")
    return FunctionError(msg(words, rest=short(text[place:])))


def _parse(text: str) -> Any:
    check_length(len(text))
    if "<!DOCTYPE" in text:
        raise FunctionError(msg("XML with a DOCTYPE is refused; leave the DOCTYPE out."))
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(text.lstrip("\ufeff \t\r\n").encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise FunctionError(msg("This is not XML: {reason}", reason=str(error)[:200])) from None


def _text_of(part: Any) -> str:
    return str(part if isinstance(part, str) else _TEXT(part))


def find_all(text: str, written: str) -> list[str]:
    """Return the text of everything that a path leads to."""
    compiled = xpath(written)
    found: list[str] = []
    length = 0
    for part in compiled(_parse(text)):
        found.append(_text_of(part))
        length += len(found[-1])
        check_length(length)
    return found


def find(text: str, written: str) -> str | None:
    """Return the text of the first thing that a path leads to, None where it leads nowhere."""
    compiled = xpath(written)
    part = next(iter(compiled(_parse(text))), None)
    if part is None:
        return None
    return _text_of(part)


check_constants("xpath", xpath)
_structures.own(
    N_("Takes the text that a path leads to, out of XML; empty (null) where there is none. Namespaces do not matter."),
    {
        "xmlPath('<order id=\"7\"><name>Ada</name></order>', '/order/@id')": "'7'",
        "xmlPath('<order id=\"7\"><name>Ada</name></order>', '//name')": "'Ada'",
        'xmlPath(\'<a><b k="1">x</b><b k="2">y</b></a>\', \'/a/b[@k="2"]\')': "'y'",
    },
    {"xmlPath(text: text, xpath: text) -> text or null": find},
)
_structures.own(
    N_("Lists the texts of everything that a path leads to in XML."),
    {"xmlPathAll('<a><b>1</b><b>2</b></a>', '/a/b')": "['1', '2']"},
    {"xmlPathAll(text: text, xpath: text) -> list of text": find_all},
)
