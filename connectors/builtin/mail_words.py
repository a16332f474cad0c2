"""Texts in headers and bodies of mails: encoded words (RFC 2047), charsets that are named wrong, addresses. No I/O."""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
from collections.abc import Iterable
from email.utils import getaddresses

_WORD = re.compile(r"=\?([^?*\s]+)(?:\*[^?]*)?\?([bBqQ])\?([^?]*)\?=")
_BETWEEN = re.compile(r"(=\?[^?\s]+\?[bBqQ]\?[^?]*\?=)\s+(?==\?[^?\s]+\?[bBqQ]\?[^?]*\?=)")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_LINE = 60
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "hz-gb-2312": "hz", "ks_c_5601-1987": "cp949", "euc-kr": "cp949",
          "shift_jis": "cp932", "iso-8859-1": "cp1252", "us-ascii": "utf-8", "ascii": "utf-8", "big5": "cp950",
          "unicode-1-1-utf-7": "utf-7"}  # fmt: skip
"""Charsets that are read as the larger ones that senders really mean."""
_GUESSES = ("utf-8", "gb18030")


def decoded(data: bytes, charset: str = "") -> str:
    """Return bytes as text: by their charset; where that does not fit, by the usual ones; else with marks of damage."""
    named = _WIDER.get(charset.strip().lower(), charset.strip().lower())
    for name in (named, *_GUESSES):
        try:
            return data.decode(name)
        except (LookupError, UnicodeError, ValueError):
            continue
    try:
        return data.decode(codecs.lookup(named).name, "replace")
    except (LookupError, UnicodeError, ValueError):
        return data.decode("cp1252", "replace")


def header_text(raw: bytes) -> str:
    """Return the value of a header as people read it."""
    text = _FOLD.sub("", decoded(raw)).strip(" \t\r\n")
    return _WORD.sub(_read_word, _joined(text))


def header_value(text: str) -> str:
    """Return a text as it stands in a header, folded; `header_text` gives it back exactly."""
    if not text or (_PLAIN.fullmatch(text) and "=?" not in text and len(text) <= 900):
        return text
    words, part = [], ""
    for character in text:
        if len((part + character).encode("utf-8", "surrogatepass")) > 45:
            words.append(part)
            part = ""
        part += character
    encoded = (base64.b64encode(w.encode("utf-8", "replace")).decode() for w in (*words, part))
    return "\r\n ".join(f"=?utf-8?b?{word}?=" for word in encoded)


def addresses(values: Iterable[str]) -> list[tuple[str, str]]:
    """Return the names and addresses of a header; names are decoded behind the parting, as they may hold commas."""
    found = getaddresses([_FOLD.sub("", value) for value in values])
    return [(header_text(name.encode("utf-8", "surrogateescape")), address) for name, address in found if address]


def address_text(found: Iterable[tuple[str, str]]) -> str:
    """Return addresses as one text."""
    return ", ".join(f"{_quoted(name)} <{address}>" if name else address for name, address in found)


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' if re.search(r'[][,;:.<>"@()\\]', name) else name


def _joined(text: str) -> str:
    """Return a text without the blanks between encoded words, which are no part of it."""
    return _BETWEEN.sub(r"\1", text)


def _read_word(found: re.Match[str]) -> str:
    charset, kind, text = found.groups()
    data = text.encode("utf-8", "surrogateescape")
    try:
        raw = (
            base64.b64decode(data + b"=" * (-len(data) % 4)) if kind in "bB" else quopri.decodestring(data, header=True)
        )
    except (binascii.Error, ValueError):
        return found[0]
    return decoded(raw, charset)
