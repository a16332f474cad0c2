"""Records of a regular form, taken from the bytes of an answer by one pattern, without an element for each value.

Most answers hold records that are all alike: elements with plain texts, in the order of the WSDL, without attributes
but `xsi:nil`. They are matched record by record without a gap; what stands around them is parsed as XML. Whatever is
not of this form (comments, CDATA, other orders, nested elements, another encoding ...) is left to the parser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_NAME = rb"[\w.-]+"
_FORBIDDEN = bytes(code for code in range(32) if code not in (9, 10))
_ENCODING = re.compile(rb"""\s*<\?xml[^>]*?encoding=["']([^"']*)""")
_ENTITY = re.compile(r"&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|(lt|gt|amp|quot|apos));|&")
_UNSEEN = rb"[^<&]*(?:&(?:lt|gt|amp|quot|apos);[^<&]*)*"
"""The text of a value that is not wanted, and so not looked at any more."""
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


@dataclass(frozen=True)
class Scanned:
    """Where the records stand in an answer, and their texts."""

    rows: list[tuple[bytes | None, ...]]
    around: bytes
    """The answer with one empty record in the place of all."""
    nils: frozenset[str]
    """The prefixes that stand before `nil`, which must mean XML Schema's."""
    ends: tuple[bytes, ...]
    order: tuple[int, ...] = ()
    """Which of the texts of a row stands in each column."""

    def columns(self, namespaces: Mapping[str | None, str]) -> list[pl.Series] | None:
        """Return the texts as columns, None where they have to be parsed.

        Args:
            namespaces: The prefixes that are declared where the records stand.
        """
        if any(namespaces.get(prefix) != _XSI for prefix in self.nils):
            return None
        try:
            values = list(zip(*self.rows, strict=True))
            return [
                _texts(pl.Series(str(number), values[place], pl.Binary), self.ends[place].decode())
                for number, place in enumerate(self.order)
            ]
        except (ValueError, pl.exceptions.PolarsError):
            return None


def scanned(content: bytes, record: str, leaves: Sequence[str], wanted: Sequence[str]) -> Scanned | None:
    """Return the records of an answer, None where they are not all of the regular form.

    Args:
        content: The answer.
        record: The name of a record's element.
        leaves: The names of the plain values of a record, in the order of the WSDL.
        wanted: Those whose texts are wanted, in the same order.
    """
    name = re.escape(record.encode())
    first = re.search(
        rb"<(?:(" + _NAME + rb"):)?" + name + rb"(?:\s[^<>]*)?>\s*<(?:(" + _NAME + rb"):)?" + _NAME, content
    )
    if first is None or not _plain(content):
        return None
    prefix, inner = (f[1] + b":" if f[1] else b"" for f in ((0, first[1]), (0, first[2])))
    close = b"</" + prefix + record.encode() + b">"
    start, end = first.start(), content.rfind(close) + len(close)
    pattern = _pattern(prefix, inner, record, tuple(leaves), tuple(wanted))
    rows, place = [], start
    if end <= start or pattern.match(content, start, end) is None:
        return None
    for found in pattern.finditer(content, start, end):
        if found.start() != place:
            return None
        place = found.end()
        rows.append(found.groups())
    if place != end:
        return None
    tag = prefix + record.encode()
    marker = b"<" + tag + b"><" + inner + b"x/></" + tag + b">"
    nils = re.findall(rb"\s(" + _NAME + rb"):nil=", content[start:end]) if b":nil=" in content else []
    ends = tuple(b"</" + inner + n.encode() for n in wanted)
    around = content[:start] + marker + content[end:]
    return Scanned(rows, around, frozenset(nil.decode() for nil in set(nils)), ends)


def _plain(content: bytes) -> bool:
    """Tell whether an answer is UTF-8 without anything that a parser would change or refuse."""
    declared = _ENCODING.match(content)
    if declared and declared[1].lower() not in (b"utf-8", b"us-ascii"):
        return False
    if any(mark in content for mark in (b"]]>", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"<!")):
        return False
    return len(content.translate(None, _FORBIDDEN)) == len(content)


@lru_cache(64)
def _pattern(
    prefix: bytes, inner: bytes, record: str, leaves: tuple[str, ...], wanted: tuple[str, ...]
) -> re.Pattern[bytes]:
    tag, before = re.escape(prefix + record.encode()), re.escape(inner)
    parts = [b"<" + tag + rb"(?:\s" + _NAME + rb':type="[^"<]*")?>\s*']
    for leaf in leaves:
        name = before + re.escape(leaf.encode())
        text, group = (rb"[^<]*", b"(") if leaf in wanted else (_UNSEEN, b"(?:")
        value = b">" + text + b"</" + name + rb"|\s*/|\s" + _NAME + rb':nil="(?:true|1)"\s*(?:/|></' + name + rb")"
        parts.append(b"(?:<" + name + group + value + rb")>\s*)?")
    return re.compile(b"".join(parts) + b"</" + tag + rb">\s*")


def _texts(found: pl.Series, end: str) -> pl.Series:
    """Return what stands between the tags: null where the element is missing or nil, empty where it is empty."""
    text = found.cast(pl.String)
    filled = text.str.starts_with(">")
    plain = text.str.strip_prefix(">").str.strip_suffix(end)
    if not filled.all():
        missing = text.str.contains(":nil=", literal=True)
        empty = pl.when(missing).then(None).otherwise(pl.lit(""))
        plain = pl.select(pl.when(text.is_null() | filled).then(plain).otherwise(empty)).to_series().alias(found.name)
    marked = plain.str.contains("&", literal=True)
    if not marked.any():
        return plain
    return pl.Series(found.name, [v if v is None or "&" not in v else _ENTITY.sub(_meant, v) for v in plain], pl.String)


def _meant(found: re.Match[str]) -> str:
    """Return the character that an entity stands for; raises `ValueError` for what is none in XML."""
    if found[3]:
        return _NAMED[found[3]]
    code = int(found[1], 16) if found[1] else int(found[2] or 0)
    if code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000:
        return chr(code)
    raise ValueError(found[0])
