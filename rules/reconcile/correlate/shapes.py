"""Dates, numbers, phone numbers and e-mail addresses as text in one form; null where a text shows none."""

from __future__ import annotations

from functools import cache

import polars as pl

from rules.reconcile.correlate.plain import canonical, texts

_YEAR_FIRST = r"^(\d{4})(?:[-/.年 ](\d{1,2})[-/.月 ](\d{1,2})|(\d{2})(\d{2}))日?(?:[t ].*)?$"
_YEAR_LAST = r"^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})$"
_THOUSANDS = r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)$"


def _usual(values: pl.Series) -> pl.DataFrame:
    clean = pl.col("t").str.normalize("NFKC").str.strip_chars().str.to_lowercase()
    return texts(values).to_frame("t").select(clean)


def dates(values: pl.Series) -> pl.Series:
    """Return dates as eight digits, year first; of two numbers before a year the first is the day where it can be."""
    text = pl.col("t")
    one = text.str.extract_groups(_YEAR_FIRST)
    year_first = [one.struct[0], pl.coalesce(one.struct[1], one.struct[3]), pl.coalesce(one.struct[2], one.struct[4])]
    two = text.str.extract_groups(_YEAR_LAST)
    a, b = two.struct[0].cast(pl.Int32), two.struct[1].cast(pl.Int32)
    month_first = (b > 12) & (a <= 12)
    year_last = [
        two.struct[2],
        pl.when(month_first).then(two.struct[0]).otherwise(two.struct[1]),
        pl.when(month_first).then(two.struct[1]).otherwise(two.struct[0]),
    ]
    forms = [pl.concat_str(y, m.str.zfill(2), d.str.zfill(2)) for y, m, d in (year_first, year_last)]
    return _usual(values).select(pl.coalesce(*forms)).to_series()


def numbers(values: pl.Series) -> pl.Series:
    """Return numbers in plain form; commas between thousands are fine."""
    text = pl.col("t").str.replace_all(" ", "", literal=True)
    text = pl.when(text.str.contains(_THOUSANDS)).then(text.str.replace_all(",", "", literal=True)).otherwise(text)
    found = _usual(values).select(pl.when(text.str.contains(_NUMBER)).then(text)).to_series()
    return canonical(found)


def emails(values: pl.Series) -> pl.Series:
    """Return e-mail addresses in small letters of usual width, without spaces."""
    bare = pl.col("t").str.replace_all(r"\s|^mailto:", "")
    return _usual(values).select(pl.when(bare != "").then(bare)).to_series()


@cache
def _codes() -> str:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE as CODES  # noqa: PLC0415 - its tables take time to read

    return "|".join(str(code) for code in sorted(CODES, reverse=True))


def phones(values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return phone numbers as country code and digits, null where no country is named, and as national digits."""
    text = pl.col("t").str.replace(r"^\s*\(?\s*(?:\+|00)", "+").str.replace(r"\(0\)", "")
    signed = text.str.starts_with("+")
    digits = text.str.replace_all(r"\D", "")
    long = digits.str.len_bytes() > 11
    whole = pl.when(signed | long).then(digits)
    national = whole.str.replace(rf"^(?:{_codes()})", "")
    bare = pl.coalesce(national, digits).str.strip_chars_start("0")
    frame = _usual(values).with_columns(whole=whole, bare=pl.when(bare.str.len_bytes() > 0).then(bare))
    return frame["whole"], frame["bare"]
