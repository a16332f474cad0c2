"""Values in one form: what two systems write differently and people read as the same."""

from __future__ import annotations

from functools import cache
from typing import Any

import polars as pl

from rules.language.functions.pinyin import pinyin_name, spelled
from rules.reconcile.one_way import key_text

HAN = r"\p{Han}"
# Letters that Unicode does not take apart into a plain letter and a mark, and signs that stand for words.
_LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "&": " and "}


def texts(values: pl.Series) -> pl.Series:
    """Return values as text, the same for equal numbers of any type; null where there is nothing but spaces."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    found = canonical(values.cast(pl.String)) if values.dtype.is_numeric() else key_text(values)
    return found.to_frame("t").select(pl.when(pl.col("t").str.contains(r"\S")).then("t")).to_series()


def canonical(values: pl.Series) -> pl.Series:
    """Return plain numbers without needless signs and zeros."""
    number = pl.col("n").str.strip_chars_start("+")
    number = pl.when(number.str.contains(r"\.\d*$")).then(number.str.strip_chars_end("0").str.strip_chars_end("."))
    number = number.otherwise(pl.col("n").str.strip_chars_start("+"))
    bare = number.str.strip_chars_start("-").str.strip_chars_start("0")
    bare = pl.when((bare == "") | bare.str.starts_with(".")).then("0" + bare).otherwise(bare)
    negative = number.str.starts_with("-") & (bare != "0")
    return values.to_frame("n").select(pl.when(negative).then("-" + bare).otherwise(bare)).to_series()


def plain(values: pl.Series) -> pl.Series:
    """Return texts in small letters of usual width, in simplified Chinese, without accents and punctuation."""
    found = pl.col("t").str.normalize("NFKC").str.to_lowercase()
    found = found.str.replace_many(list(_LETTERS), list(_LETTERS.values())).str.normalize("NFKD")
    found = found.str.replace_all(r"([a-z])\p{Mn}+", "$1").str.normalize("NFC")
    found = found.str.replace_all(r"['’`´]", "").str.replace_all(r"[^\p{L}\p{N}\p{M}]+", " ").str.strip_chars()
    made = values.to_frame("t").select(pl.when(found != "").then(found)).to_series()
    return _simplified(made)


@cache
def _converter() -> Any:
    from opencc import OpenCC  # noqa: PLC0415 - its tables are read only where they are needed

    return OpenCC("t2s")


def _simplified(values: pl.Series) -> pl.Series:
    """Write Chinese in simplified characters without spaces; all texts at once, a line each."""
    chinese = values.filter(values.str.contains(HAN)).unique()
    if chinese.is_empty():
        return values
    changed = pl.Series(_converter().convert("\n".join(chinese.to_list())).split("\n"), dtype=pl.String)
    for _ in range(2):  # a character may stand between two spaces
        changed = changed.str.replace_all(rf"({HAN}) ({HAN})", "$1$2")
    return values.replace(chinese, changed)


def spread(values: pl.Series) -> pl.Series:
    """Return texts without spaces."""
    return values.str.replace_all(" ", "", literal=True)


def sorted_words(values: pl.Series) -> pl.Series:
    """Return texts with their words in order."""
    # Ten times as fast as sorting lists in columns.
    words = [text and " ".join(sorted(text.split(" "))) for text in values.to_list()]
    return pl.Series(words, dtype=pl.String)


def latin(values: pl.Series, *, person: bool) -> pl.Series:
    """Return how Chinese texts are read, character by character; a person's family name as it is read as such."""
    spaced = pl.col("t").str.replace_all(rf"({HAN})", " $1 ")
    frame = values.to_frame("t")
    first = frame.select(pl.col("t").str.extract(rf"^({HAN})")).to_series().drop_nulls().unique()
    if person:
        readings = [pinyin_name(char).lower() + " " for char in first]
        start = frame.select(
            pl.col("t").str.slice(0, 1).replace(first, pl.Series(readings, dtype=pl.String)) + spaced.str.slice(2)
        )
        frame = values.to_frame("t").select(
            pl.when(pl.col("t").str.contains(f"^{HAN}")).then(start.to_series()).otherwise(spaced).alias("t")
        )
    else:
        frame = frame.select(spaced.alias("t"))
    chars = frame.select(pl.col("t").str.extract_all(HAN).explode()).to_series().drop_nulls().unique()
    table = {char: spelled(char) for char in chars}
    read = pl.col("t").str.replace_many(list(table), list(table.values())) if table else pl.col("t")
    tidy = read.str.replace_all("ü", "u").str.replace_all(" +", " ").str.strip_chars()
    return frame.select(tidy).to_series()
