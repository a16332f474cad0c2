"""Words that tell a company's legal form, not its name."""

from __future__ import annotations

import polars as pl

_AFTER = (
    "ltd|limited|inc|incorporated|corp|corporation|co|company|llc|llp|lp|plc|pty|pte|pvt|private|gmbh|mbh|ag|kg|kgaa"
    "|ohg|ug|gbr|ev|eg|se|sa|sas|sarl|sasu|srl|sl|spa|sro|as|asa|ab|oy|oyj|aps|bv|nv|vof|cv|kft|zrt|rt|doo|dd|ltda"
    "|eurl|snc|sc|spzoo|sdn|bhd|tbk|pt|kk|gk|jsc|ojsc|pjsc|ooo|oao|zao|eireli"
)
_JOINING = "and|und|et|y|og|och|en"
_EAST = (
    "股份有限公司|有限责任公司|有限公司|股份公司|无限公司|合伙企业|公司"
    "|株式会社|有限会社|合同会社|合资会社|주식회사|유한회사"
)
SIGNS = r"㈱|㈲|[(（][株有][)）]"
# A form is at the end; what joins it to the name ("Meier GmbH & Co. KG") goes with it.
_WEST_END = rf"(?: (?:(?:{_JOINING}) )?(?:{_AFTER}))+$"
_EAST_ENDS = rf"^\s*(?:{_EAST})\s*|\s*(?:{_EAST})\s*$"


def without_form(texts: pl.Expr) -> pl.Expr:
    """Return plain names (small letters, single spaces) without words for a legal form; never nothing."""
    short = texts.str.replace_all(_EAST_ENDS, "").str.strip_chars()
    bare = pl.when(short == "").then(texts).otherwise(short).str.replace(_WEST_END, "")
    return pl.when(bare == "").then(texts).otherwise(bare)
