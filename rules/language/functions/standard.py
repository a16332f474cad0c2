"""The remaining functions of standard CEL, so that expressions written elsewhere work here too."""

from __future__ import annotations

from rules.language.functions.registry import Builtin, Chapter, Group
from rules.language.functions.values import date_text, local_text, to_text
from rules.text import N_

_standard = Chapter(Group.STANDARD)

_standard.own(
    N_("Writes any value as text, like toText()."),
    {"string(1.5)": "'1.5'"},
    {
        "string(value: date) -> text": date_text,
        "string(value: local_datetime) -> text": local_text,
        "string(value: any) -> text": to_text,
    },
)
_standard.builtin(
    Builtin.GLOBAL,
    N_("Turns a value into a whole number; decimals are cut off."),
    {"int(2.9)": "2", "int('42')": "42"},
    "int(value: integer) -> integer",
    "int(value: number) -> integer",
    "int(value: text) -> integer",
    "int(value: datetime) -> integer",
)
_standard.builtin(
    Builtin.GLOBAL,
    N_("Turns a value into a number with fraction."),
    {"double('2.5')": "2.5"},
    "double(value: number) -> number",
    "double(value: text) -> number",
)
_standard.builtin(
    Builtin.GLOBAL,
    N_("Reads true or false from a text."),
    {"bool('true')": "true"},
    "bool(value: boolean) -> boolean",
    "bool(value: text) -> boolean",
)


def _define_part(name: str, doc: str, result: str) -> None:
    """Define a CEL accessor of moments; times are UTC unless a zone is given."""
    signatures = [f"{name}(moment: {kind}) -> integer" for kind in ("date", "local_datetime", "datetime")]
    examples = {f"timestamp('2024-01-31T08:05:09.250Z').{name}()": result}
    _standard.builtin(Builtin.MEMBER, doc, examples, *signatures, f"{name}(moment: datetime, zone: text) -> integer")


_define_part("getFullYear", N_("Takes the year."), "2024")
_define_part("getMonth", N_("Takes the month; 0 is January. month() counts from 1."), "0")
_define_part("getDate", N_("Takes the day of the month, from 1."), "31")
_define_part("getDayOfMonth", N_("Takes the day of the month, from 0."), "30")
_define_part("getDayOfWeek", N_("Takes the day of the week; 0 is Sunday."), "3")
_define_part("getDayOfYear", N_("Takes the day of the year, from 0."), "30")
_define_part("getHours", N_("Takes the hour."), "8")
_define_part("getMinutes", N_("Takes the minute."), "5")
_define_part("getSeconds", N_("Takes the second."), "9")
_define_part("getMilliseconds", N_("Takes the millisecond."), "250")
