"""Functions on the characters of a text: Unicode forms, widths, accents, simplified and traditional Chinese."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

from rules.language.functions.bounds import check_length
from rules.language.functions.pinyin import spelled
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants
from rules.language.functions.texts import to_half_width
from rules.text import N_, msg

_text = Chapter(Group.TEXT)
MAX_MARKS = 100
_FORMS = ("NFC", "NFD", "NFKC", "NFKD")
_FULL = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}
# Letters that Unicode does not take apart into a plain letter and a mark.
_PLAIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
    | {"ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i", "ẞ": "SS"}
)


def check_form(name: str) -> str:
    """Return the name of a Unicode form if there is one."""
    if name not in _FORMS:
        raise FunctionError(msg("'{name}' is no Unicode form. Use NFC, NFD, NFKC or NFKD.", name=name))
    return name


def _formed(form: str, text: str) -> str:
    """Return the text in a Unicode form. The time of ordering marks grows with their square, so it is bounded."""
    run = 0
    for char in () if text.isascii() else text:
        run = run + 1 if unicodedata.combining(char) else 0
        if run > MAX_MARKS:
            raise FunctionError(msg("More than {limit} accents stand on one letter here.", limit=MAX_MARKS))
    result = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    check_length(len(result))
    return result


def normalize(text: str, form: str = "NFC") -> str:
    """Return the text in a Unicode form; doing it twice changes nothing."""
    check_form(form)
    return _formed(form, text)


def to_full_width(text: str) -> str:
    """Return letters, digits, punctuation and spaces as wide as Chinese characters; `to_half_width` turns back."""
    return text.translate(_FULL)


def remove_accents(text: str) -> str:
    """Return letters without their accents; other scripts stay as they are."""
    apart = _formed("NFD", text.translate(_PLAIN))
    kept: list[str] = []
    latin = False
    for char in apart:
        if not unicodedata.combining(char):
            latin = char.isascii()
            kept.append(char)
        elif not latin:
            kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def slug(text: str) -> str:
    """Return small letters a-z and digits with single hyphens between them; Chinese as pinyin."""
    plain = remove_accents(to_half_width(spelled(text))).lower()
    words = "".join(char if char.isascii() and char.isalnum() else " " for char in plain).split()
    return "-".join(words)


@cache
def _converter(name: str) -> Any:
    from opencc import OpenCC  # noqa: PLC0415 - its tables are read only where they are needed

    return OpenCC(name)


def to_simplified(text: str) -> str:
    """Return traditional Chinese characters as simplified ones."""
    return str(_converter("t2s").convert(text))


def to_traditional(text: str) -> str:
    """Return simplified Chinese characters as traditional ones, by words where characters have several forms."""
    result = str(_converter("s2t").convert(text))
    check_length(len(result))
    return result


check_constants("unicode", check_form)
_text.own(
    N_("Brings a text into a Unicode form: NFC (the usual one), NFD, NFKC (one form for characters alike) or NFKD."),
    {"'ｶ①Å'.normalize('NFKC')": "'カ1Å'", "size('é'.normalize('NFD'))": "2", "'é'.normalize()": "'é'"},
    {"normalize(text: text) -> text": normalize, "normalize(text: text, unicode: text) -> text": normalize},
)
_text.own(
    N_("Turns letters, digits, punctuation and spaces into full-width ones."),
    {"'AB 12'.toFullWidth()": "'ＡＢ　１２'"},
    {"toFullWidth(text: text) -> text": to_full_width},
)
_text.own(
    N_("Takes the accents off letters."),
    {"'Müller-Łódź'.removeAccents()": "'Muller-Lodz'"},
    {"removeAccents(text: text) -> text": remove_accents},
)
_text.own(
    N_("Makes a name for addresses: small letters, digits and hyphens; Chinese as pinyin."),
    {"'Müller & Söhne'.slug()": "'muller-sohne'", "'北京 Office 2'.slug()": "'bei-jing-office-2'"},
    {"slug(text: text) -> text": slug},
)
_text.own(
    N_("Writes traditional Chinese characters as simplified ones."),
    {"'漢字轉換'.toSimplified()": "'汉字转换'"},
    {"toSimplified(text: text) -> text": to_simplified},
)
_text.own(
    N_("Writes simplified Chinese characters as traditional ones."),
    {"'汉字转换'.toTraditional()": "'漢字轉換'"},
    {"toTraditional(text: text) -> text": to_traditional},
)
