"""Pinyin: how Chinese characters are read; surnames have readings of their own."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any

from rules.language.functions.bounds import check_length
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants
from rules.text import N_, msg

MAX_LENGTH = 20_000  # what takes a fifth of a second
_text = Chapter(Group.TEXT)
_STYLES: Mapping[str, str] = {"none": "NORMAL", "marks": "TONE", "numbers": "TONE3"}
# Readings of surnames, where they differ from the usual ones; two characters first.
_SURNAMES: Mapping[str, str] = {
    "尉迟": "yù chí",
    "万俟": "mò qí",
    "单于": "chán yú",
    "长孙": "zhǎng sūn",
    "澹台": "tán tái",
    "宰父": "zǎi fǔ",
    "令狐": "líng hú",
    "单": "shàn",
    "曾": "zēng",
    "仇": "qiú",
    "解": "xiè",
    "查": "zhā",
    "任": "rén",
    "朴": "piáo",
    "区": "ōu",
    "盖": "gě",
    "华": "huà",
    "覃": "qín",
    "翟": "zhái",
    "乐": "yuè",
    "缪": "miào",
    "冼": "xiǎn",
    "洗": "xiǎn",
    "员": "yùn",
    "种": "chóng",
    "秘": "bì",
    "繁": "pó",
    "折": "shé",
    "黑": "hè",
    "纪": "jǐ",
    "逄": "páng",
    "牟": "mù",
    "宓": "mì",
    "晁": "cháo",
    "乜": "niè",
    "那": "nā",
    "曲": "qū",
    "卜": "bǔ",
    "葛": "gě",
    "过": "guō",
    "哈": "hǎ",
    "燕": "yān",
    "应": "yīng",
    "於": "yū",
    "柏": "bǎi",
    "薄": "bó",
    "召": "shào",
    "尉": "wèi",
    "宁": "nìng",
    "臧": "zāng",
    "车": "chē",
    "沈": "shěn",
    "石": "shí",
    "尹": "yǐn",
    "隗": "wěi",
    "郇": "xún",
}
_PLAIN_DOUBLE = " 欧阳 司马 上官 诸葛 夏侯 皇甫 慕容 司徒 东方 公孙 宇文 轩辕 端木 独孤 南宫 百里 呼延 西门 闻人 赫连 "


@cache
def _library() -> Any:
    import pypinyin  # noqa: PLC0415 - its tables take a fifth of a second to read

    return pypinyin


def check_tones(tones: str) -> str:
    """Return the name of a way to write tones if there is one."""
    if tones not in _STYLES:
        raise FunctionError(msg("'{tones}' is no way to write tones. Use none, marks or numbers.", tones=tones))
    return tones


def _bounded(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise FunctionError(msg("Pinyin is made of texts of at most {limit} characters.", limit=MAX_LENGTH))


def _syllables(text: str, tones: str) -> list[str]:
    """Return syllables, and what is no Chinese as it is; ü is written ü."""
    _bounded(text)
    library = _library()
    style = getattr(library.Style, _STYLES[check_tones(tones)])
    found: list[str] = library.lazy_pinyin(text, style=style, v_to_u=True)
    return found


def pinyin(text: str, tones: str = "none") -> str:
    """Return the reading of a text, its syllables separated by spaces; other text stays as it is."""
    parts = [part.strip() for part in _syllables(text, tones)]
    result = " ".join(part for part in parts if part)
    check_length(len(result))
    return result


def spelled(text: str) -> str:
    """Return the reading without tones where there are Chinese characters, else the text as it is."""
    return text if text.isascii() else pinyin(text)


def initials(text: str) -> str:
    """Return the first letter of each syllable; other text stays as it is."""
    _bounded(text)
    library = _library()
    return "".join(library.lazy_pinyin(text, style=library.Style.FIRST_LETTER))


def pinyin_name(text: str, tones: str = "none") -> str:
    """Return a person's name as `Family Given`, with the readings that surnames have."""
    name = "".join(text.split())
    family = _family(name)
    surname = _SURNAMES.get(family)
    read = _toned(surname.split(), tones) if surname else _syllables(family, tones)
    given = _syllables(name[len(family) :], tones)
    return " ".join(part for part in ("".join(read).capitalize(), "".join(given).capitalize()) if part)


def _family(name: str) -> str:
    """Return the family name that a name starts with: two characters where such a family name is known."""
    known = (len(name) > 2 and f" {name[:2]} " in _PLAIN_DOUBLE) or name[:2] in _SURNAMES
    return name[:2] if known and len(name) > 2 else name[:1]


def _toned(syllables: list[str], tones: str) -> list[str]:
    """Return syllables that have tone marks in another way to write tones."""
    if check_tones(tones) == "marks":
        return syllables
    return [_unmarked(syllable, tones) for syllable in syllables]


_TONES = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}


def _unmarked(syllable: str, tones: str) -> str:
    apart = unicodedata.normalize("NFD", syllable)
    tone = next((_TONES[char] for char in apart if char in _TONES), "")
    plain = unicodedata.normalize("NFC", "".join(char for char in apart if char not in _TONES))
    return plain + tone if tones == "numbers" else plain


check_constants("tones", check_tones)
_text.own(
    N_("Writes Chinese as pinyin, in syllables with spaces; tones are none, marks or numbers. Other text stays."),
    {
        "pinyin('重庆')": "'chong qing'",
        "pinyin('绿色', 'marks')": "'lǜ sè'",
        "pinyin('绿色', 'numbers')": "'lü4 se4'",
    },
    {"pinyin(text: text) -> text": pinyin, "pinyin(text: text, tones: text) -> text": pinyin},
)
_text.own(
    N_("Takes the first letter of each syllable of Chinese; other text stays."),
    {"pinyinInitials('上海')": "'sh'"},
    {"pinyinInitials(text: text) -> text": initials},
)
_text.own(
    N_("Writes a Chinese person's name as family name and given name in pinyin; surnames as they are read as such."),
    {
        "pinyinName('单雄信')": "'Shan Xiongxin'",
        "pinyinName('曾国藩', 'marks')": "'Zēng Guófān'",
        "pinyinName('欧阳修')": "'Ouyang Xiu'",
    },
    {"pinyinName(text: text) -> text": pinyin_name, "pinyinName(text: text, tones: text) -> text": pinyin_name},
)
