"""What people write who come from spreadsheets, SQL or JavaScript, and how it is written here."""

from __future__ import annotations

from dataclasses import dataclass

_CONDITION = "condition ? a : b"
_DEFAULT = "orDefault(value, default)"
_LOOKUP = "lookup('table', value, 'column')"


@dataclass(frozen=True)
class Hint:
    """The form to write instead; `name` is the function to put in the place of the name, where that is all there is."""

    form: str
    name: str | None = None


def _named(form: str, *others: str) -> dict[str, Hint]:
    """Return the same hint for other names; the form begins with the name of the function, or `text.` before it."""
    name = form.partition("(")[0]
    for subject in ("text.", "list."):
        name = name.removeprefix(subject)
    return dict.fromkeys(others, Hint(form, name))


def _written(form: str, *others: str) -> dict[str, Hint]:
    return dict.fromkeys(others, Hint(form))


HINTS: dict[str, Hint] = {
    **_written(_CONDITION, "if", "iif", "ifs", "cond"),
    **_written("choose(value, {'a': 1, 'b': 2}, default)", "case", "decode", "switch"),
    **_written(_LOOKUP, "vlookup", "hlookup", "xlookup", "index"),
    **_written("a + b", "concat", "concatenate"),
    **_written("[a, b].join(', ')", "textjoin", "concat_ws", "string_agg"),
    **_written("a && b", "and"),
    **_written("a || b", "or"),
    **_written("!a", "not"),
    **_written("a % b", "mod"),
    **_written("value == null", "is_null", "isnil", "isundefined"),
    **_written("value != null", "isnotnull", "is_not_null"),
    **_written("a == b ? null : a", "nullif"),
    **_written("value in [a, b]", "oneof", "isin"),
    **_written("text.substring(start, end)", "mid", "substr", "slice"),
    **_written("text.substring(0, n)", "left"),
    **_written("text.substring(size(text) - n)", "right"),
    **_written("formatDate(value, 'yyyy-MM-dd')", "to_char", "date_format", "strftime"),
    **_written("parseDate(text, 'yyyy-MM-dd')", "to_date", "str_to_date", "datevalue", "strptime"),
    **_written("date('2024-01-31')", "datefromparts"),
    **_written("list.exists(x, x > 0)", "some", "any"),
    **_written("list.all(x, x > 0)", "every"),
    **_written("list.exists_one(x, x > 0)", "existsone", "one"),
    **_written("list.map(x, x)", "foreach", "collect", "select"),
    **_written("list.filter(x, x > 0)", "where"),
    **_named(_DEFAULT, "nvl", "ifnull", "ifna", "default", "getordefault"),
    **_named("isBlank(value)", "isempty", "is_empty", "empty", "isnull"),
    **_named("size(value)", "len", "length", "strlen", "char_length", "character_length", "count"),
    **_named("text.upper()", "touppercase", "ucase", "strtoupper"),
    **_named("text.lower()", "tolowercase", "lcase", "strtolower"),
    **_named("text.capitalize()", "proper", "initcap", "ucwords", "titlecase"),
    **_named("text.trim()", "strip", "ltrim", "rtrim", "trimstart", "trimend", "btrim"),
    **_named("text.contains(part)", "like", "ilike"),
    **_named("text.indexOf(part)", "find", "search", "instr", "charindex", "position", "strpos"),
    **_named("text.startsWith(start)", "beginswith", "starts_with", "startwith"),
    **_named("text.endsWith(end)", "ends_with", "endwith"),
    **_named("text.matches(pattern)", "regexp_like", "regexmatch", "test", "rlike", "match"),
    **_named("text.replace(old, new)", "substitute", "replaceall", "replace_all", "translate"),
    **_named("text.split(separator)", "split_part", "textsplit", "explode"),
    **_named("list.join(separator)", "implode"),
    **_named("text.padLeft(length, fill)", "lpad", "padstart", "zfill"),
    **_named("text.padRight(length, fill)", "rpad", "padend"),
    **_named("toText(value)", "tostring", "to_string", "str", "text", "cstr", "varchar"),
    **_named("toInteger(value)", "parseint", "to_int", "toint", "cint", "integer"),
    **_named("toDecimal(value)", "parsefloat", "number", "to_number", "tonumber", "value", "val", "cdbl", "decimal"),
    **_named("toBoolean(value)", "cbool", "boolean", "to_bool"),
    **_named("round(number, decimals)", "roundup", "rounddown", "mround"),
    **_named("ceil(number)", "ceiling"),
    **_named("math.trunc(number)", "trunc", "truncate", "fix"),
    **_named("max(a, b)", "greatest", "maximum"),
    **_named("min(a, b)", "least", "minimum"),
    **_named("math.sqrt(number)", "sqrt"),
    **_named("math.sign(number)", "sign", "sgn"),
    **_named("coalesce(a, b)", "firstnonnull", "first_non_null"),
}
"""Names in small letters; what differs from a function of ours only in its capitals needs no entry."""

CLOCK = frozenset(
    {
        "now",
        "today",
        "sysdate",
        "getdate",
        "current_date",
        "current_timestamp",
        "curdate",
        "rand",
        "random",
        "uuid",
        "newid",
    }
)
"""Functions of the clock and of chance: a rule gives the same result at any time."""
