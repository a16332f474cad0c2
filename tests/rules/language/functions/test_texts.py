"""Functions on text: laws, limits, and what is said where they cannot work."""

from __future__ import annotations

import string
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language.functions.bounds import MAX_REPEATED, MAX_TEXT
from rules.schema import Field
from tests.rules.language.functions.calls import constant, function, problem, refused

_MODEST = st.text(max_size=60)
_CHINESE = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=12)


@given(_MODEST, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_normalize(text: str, form: str) -> None:
    """Normalising twice changes nothing, and gives what Unicode says."""
    once = function("normalize", 2)(text, form)
    assert once == function("normalize", 2)(once, form) == unicodedata.normalize(form, text)  # type: ignore[arg-type]


@given(st.text(string.printable.strip() + " "))
def test_widths(text: str) -> None:
    """What was made full-width comes back."""
    assert function("toHalfWidth")(function("toFullWidth")(text)) == text


@given(_MODEST)
def test_accents(text: str) -> None:
    """Removing accents twice changes nothing."""
    once = function("removeAccents")(text)
    assert function("removeAccents")(once) == once


def test_accents_of_other_scripts() -> None:
    """Marks that make another letter in their script stay."""
    assert function("removeAccents")("がй Å") == "がй A"


@given(_MODEST | _CHINESE)
def test_slug(text: str) -> None:
    """A slug is made of a-z, 0-9 and single hyphens, and is its own slug."""
    slug = function("slug")(text)
    assert set(slug) <= set(string.ascii_lowercase + string.digits + "-")
    assert "--" not in slug
    assert not slug.startswith("-")
    assert function("slug")(slug) == slug


@given(_CHINESE)
def test_simplified(text: str) -> None:
    """Simplified text stays simplified."""
    once = function("toSimplified")(text)
    assert function("toSimplified")(once) == once


@given(_MODEST, st.text(min_size=1, max_size=3))
def test_before_and_after(text: str, separator: str) -> None:
    """What stands before and after a separator makes the text again."""
    before, after = function("before")(text, separator), function("after")(text, separator)
    first, last = function("beforeLast")(text, separator), function("afterLast")(text, separator)
    if separator in text:
        assert before + separator + after == text == first + separator + last
    else:
        assert (before, after, first, last) == (text, "", text, "")


@given(_MODEST, st.integers(0, 80))
def test_left_and_right(text: str, count: int) -> None:
    """The two ends have the wanted length, and the text starts and ends with them."""
    left, right = function("left")(text, count), function("right")(text, count)
    assert len(left) == len(right) == min(count, len(text))
    assert text.startswith(left)
    assert text.endswith(right)


@pytest.mark.parametrize(
    ("name", "tones", "read"),
    [
        ("单雄信", "none", "Shan Xiongxin"),
        ("曾国藩", "numbers", "Zeng1 Guo2fan1"),
        ("单于夜", "marks", "Chányú Yè"),
        ("尉迟恭", "none", "Yuchi Gong"),
        ("仇英", "marks", "Qiú Yīng"),
        ("解缙", "none", "Xie Jin"),
        ("区寄", "none", "Ou Ji"),
        ("欧阳修", "numbers", "Ou1yang2 Xiu1"),
        ("欧阳", "none", "Ou Yang"),
        ("吕布", "none", "Lü Bu"),
        ("王 小明", "none", "Wang Xiaoming"),
        ("王", "none", "Wang"),
        ("", "none", ""),
    ],
)
def test_pinyin_names(name: str, tones: str, read: str) -> None:
    """Surnames are read as surnames are."""
    assert function("pinyinName", 2)(name, tones) == read


def test_pinyin() -> None:
    """Other text stays; words tell which reading is meant."""
    assert constant("pinyin('重庆 ABC，重要')") == "chong qing ABC， zhong yao"
    assert constant("pinyinInitials('重庆A1')") == "cqA1"


def test_between() -> None:
    """Where a mark is missing, nothing stands between."""
    assert constant("'a(b'.between('(', ')')") == ""
    assert constant("'a(b)c)'.between('(', ')')") == "b"


@pytest.mark.parametrize(
    ("name", "args", "reason"),
    [
        ("left", ("a", -1), "The number of characters must not be negative, as -1 is."),
        ("before", ("a", ""), "The text to look for is empty here."),
        ("between", ("a(b", "(", ""), "The text to look for is empty here."),
        ("repeat", ("ab", 10**12), f"A text may be padded or repeated to at most {MAX_REPEATED} characters."),
        ("repeat", ("ab", 5001), f"A text may be padded or repeated to at most {MAX_REPEATED} characters."),
        ("normalize", ("a", "X"), "'X' is no Unicode form. Use NFC, NFD, NFKC or NFKD."),
        ("normalize", ("\ufdfa" * 100_000, "NFKC"), f"A text may have at most {MAX_TEXT} characters."),
        ("normalize", ("a" + "\u0301" * 101, "NFC"), "More than 100 accents stand on one letter here."),
        ("pinyin", ("重", "x"), "'x' is no way to write tones. Use none, marks or numbers."),
        ("pinyin", ("重" * 20_001,), "Pinyin is made of texts of at most 20000 characters."),
        ("regexExtract", ("a", "("), "The pattern is not a regular expression: missing ): (."),
        ("regexExtract", ("a", "(?=a)"), "The pattern is not a regular expression: invalid perl operator: (?=."),
        ("regexExtract", ("a", "a" * 1001), "A pattern may have at most 1000 characters."),
        ("regexExtract", ("a", r"\pL{1,500}"), "The pattern is too large. Use fewer or smaller repetitions."),
        ("regexExtract", ("a", r"\pL{1,50}"), "The pattern is too large. Use fewer or smaller repetitions."),
        (
            "regexExtract",
            ("a" * 10_000, r"[\pL]{1,16}" * 6),
            "The pattern is too large. Use fewer or smaller repetitions.",
        ),
        (
            "regexExtract",
            ("a" * MAX_TEXT, "a.{900}b.{900}"),
            "The text is too long for a pattern of this size. Cut it up first.",
        ),
        ("regexExtract", ("a", "(a)", 2), "The pattern has 1 groups; there is no group 2."),
        (
            "regexReplace",
            ("a", "(a)", r"\2"),
            r"'\2' in a replacement stands for a group of the pattern, \0 to \1; write \\ for \.",
        ),
        (
            "regexReplace",
            ("a", "a", "x\\"),
            "'\\' in a replacement stands for a group of the pattern, \\0 to \\0; write \\\\ for \\.",
        ),
        ("regexReplace", ("a" * 2000, "a", "b" * 1000), f"A text may have at most {MAX_TEXT} characters."),
        ("regexReplace", ("a" * MAX_TEXT, "^a", "bb"), f"A text may have at most {MAX_TEXT} characters."),
    ],
)
def test_refused(name: str, args: tuple[object, ...], reason: str) -> None:
    """What cannot be done is said in plain words."""
    assert refused(name, *args) == reason


def test_patterns() -> None:
    """Extracting and replacing go by RE2, with groups."""
    assert function("regexExtract", 3)("a1", "(b)?(a)", 1) is None
    assert function("regexExtractAll")("a1 b22", r"([a-z])(\d+)") == ["a", "b"]
    assert function("regexExtractAll")("上海abc海", "海") == ["海", "海"]
    assert function("regexReplace")("上海", "海", r"\\[\0]") == "上\\[海]"
    assert function("regexReplace")("ab", "(x)?", "-") == "-a-b-"
    assert function("regexReplace")("ab", "(x)?a", r"<\1>") == "<>b"


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", r"(\w+\s?)*!$"])
def test_no_backtracking(pattern: str) -> None:
    """Patterns that hang other engines end quickly on 100,000 characters."""
    started = time.perf_counter()
    function("regexExtract")("a" * 100_000 + "?", pattern)
    assert time.perf_counter() - started < 2


def test_many_long_searches() -> None:
    """A pattern that looks at the whole rest of a text again and again ends in a refusal."""
    started = time.perf_counter()
    reason = refused("regexReplace", "a" * 500_000, "a.*x|a", "b")
    assert reason == "Too many places of this long text match the pattern. Cut the text up first."
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name.regexExtract('(')", ("The pattern is not a regular expression: missing ): (.", 19)),
        ("name.matches('(')", ("The pattern is not a regular expression: missing ): (.", 14)),
        ("normalize(name, 'X')", ("'X' is no Unicode form. Use NFC, NFD, NFKC or NFKD.", 17)),
        ("pinyin(name, 'x')", ("'x' is no way to write tones. Use none, marks or numbers.", 14)),
    ],
)
def test_constants(text: str, found: tuple[str, int]) -> None:
    """What is written out is checked when the expression is, at its own place."""
    assert problem(text, Field("name")) == found
