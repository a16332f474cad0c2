"""The string extension of CEL, so that expressions written elsewhere work here too.

https://github.com/google/cel-go/tree/master/ext#strings ; positions count characters from 0.
"""

from __future__ import annotations

import string

from rules.language.functions import dates as _dates  # noqa: F401 - its duration() gets a signature here
from rules.language.functions.registry import Chapter, FunctionError, Group, extend
from rules.language.functions.texts import join, replace, split
from rules.text import N_, msg

_text = Chapter(Group.TEXT)
_standard = Chapter(Group.STANDARD)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_QUOTED = str.maketrans(
    {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v", "\\": r"\\", '"': r"\""}
)


def _within(text: str, position: int) -> int:
    if not 0 <= position <= len(text):
        raise FunctionError(
            msg(
                "There is no position {position} in a text of {length} characters.", position=position, length=len(text)
            )
        )
    return position


def char_at(text: str, position: int) -> str:
    """Return the character at a position; right behind the last one it is empty."""
    _within(text, position)
    return text[position : position + 1]


def index_of(text: str, part: str, start: int = 0) -> int:
    """Return where a part occurs first from a position on, -1 if it does not."""
    return text.find(part, _within(text, start))


def last_index_of(text: str, part: str, start: int | None = None) -> int:
    """Return where a part occurs last, beginning at a position or before it, -1 if it does not."""
    return text.rfind(part) if start is None else text.rfind(part, 0, _within(text, start) + len(part))


def split_limited(text: str, separator: str, limit: int) -> list[str]:
    """Return at most `limit` parts, the last with what is left; all of them for a negative limit."""
    if limit == 0:
        return []
    return split(text, separator) if limit < 0 or separator == "" else text.split(separator, limit - 1)


def replace_limited(text: str, old: str, new: str, limit: int) -> str:
    """Return the text with the first `limit` places replaced, all of them for a negative limit."""
    if limit < 0:
        return replace(text, old, new)
    replace(text, old, new)  # its limits are the same
    return text.replace(old, new, limit)


def quote(text: str) -> str:
    """Return the text in double quotes, as an expression writes it."""
    return f'"{text.translate(_QUOTED)}"'


_text.own(
    N_("Takes the character at a position. The first has position 0."),
    {"'Syncline'.charAt(4)": "'l'"},
    {"charAt(text: text, position: integer) -> text": char_at},
)
_text.own(
    N_("Tells at which position a text occurs first, from a position on if one is given; -1 if it does not occur."),
    {"'a-b-c'.indexOf('-')": "1", "'a-b-c'.indexOf('-', 2)": "3", "'abc'.indexOf('x')": "-1"},
    {
        "indexOf(text: text, part: text) -> integer": index_of,
        "indexOf(text: text, part: text, start: integer) -> integer": index_of,
    },
)
_text.own(
    N_("Tells at which position a text occurs last, at a position or before it if one is given; -1 if it does not."),
    {"'a-b-c'.lastIndexOf('-')": "3", "'a-b-c'.lastIndexOf('-', 2)": "1"},
    {
        "lastIndexOf(text: text, part: text) -> integer": last_index_of,
        "lastIndexOf(text: text, part: text, start: integer) -> integer": last_index_of,
    },
)
_text.own(
    N_("Turns the order of the characters around."),
    {"'Ada'.reverse()": "'adA'"},
    {"reverse(text: text) -> text": lambda text: text[::-1]},
)
extend(
    {"'a;b;c'.split(';', 2)": "['a', 'b;c']"},
    {"split(text: text, separator: text, limit: integer) -> list of text": split_limited},
)
extend(
    {"'a-b-c'.replace('-', '/', 1)": "'a/b-c'"},
    {"replace(text: text, old: text, new: text, limit: integer) -> text": replace_limited},
)
extend({"['a', 'b'].join()": "'ab'"}, {"join(parts: list) -> text": lambda parts: join(parts, "")})
_standard.own(
    N_("Writes the letters A to Z small and leaves all others as they are. lower() knows every letter."),
    {"'ÀB'.lowerAscii()": "'Àb'"},
    {"lowerAscii(text: text) -> text": lambda text: text.translate(_LOWER)},
)
_standard.own(
    N_("Writes the letters a to z large and leaves all others as they are. upper() knows every letter."),
    {"'àb'.upperAscii()": "'àB'"},
    {"upperAscii(text: text) -> text": lambda text: text.translate(_UPPER)},
)
_standard.own(
    N_("Writes a text in double quotes, with the usual forms of line breaks and the like."),
    {"strings.quote('a\\nb')": "'\"a\\\\nb\"'"},
    {"strings.quote(text: text) -> text": quote},
)
_standard.own(
    N_("Turns a text into binary data (UTF-8)."),
    {"bytes('abc')": "b'abc'"},
    {"bytes(value: text) -> binary": str.encode, "bytes(value: binary) -> binary": bytes},
)
extend(
    {"duration(duration('90s')) == duration('90s')": "true"},
    {"duration(value: duration) -> duration": None},
)
