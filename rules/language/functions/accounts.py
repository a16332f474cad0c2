"""Numbers of tax, bank accounts, cards and goods, by their form and check digits. Spaces in them do not matter."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from rules.language.functions.bounds import short
from rules.language.functions.identities import compact
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants
from rules.text import N_, msg

_identifiers = Chapter(Group.IDENTIFIERS)
_MEMBERS = "AT BE BG CY CZ DE DK EE EL ES FI FR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK XI"


@cache
def _library(name: str) -> Any:
    return import_module(f"stdnum.{name}")  # read only where it is needed


def _valid(name: str, text: str) -> bool:
    number = compact(text)
    return number.isascii() and number != "" and bool(_library(name).is_valid(number))


def _written(name: str, what: str, text: str) -> str:
    if not _valid(name, text):
        raise FunctionError(msg("'{text}' is not {what}.", text=short(text), what=msg(what)))
    return str(_library(name).compact(compact(text)))


def check_member(member: str) -> str:
    """Return the prefix of VAT numbers if there is one; Greece's is EL, Northern Ireland's XI."""
    code = {"GR": "EL"}.get(member, member)
    if code not in _MEMBERS.split():
        raise FunctionError(msg("'{member}' is no member of the EU. Write it like DE; Greece is EL.", member=member))
    return code


def is_vat(text: str, member: str | None = None) -> bool:
    """Tell whether a text is a VAT number of the EU, by form and check digits; `member` needs not stand before it."""
    number = compact(text)
    if member is not None:
        code = check_member(member)
        number = number if number.startswith(code) else code + number
    # Northern Ireland has numbers of the United Kingdom.
    return _valid("gb.vat", "GB" + number[2:]) if number.startswith("XI") else _valid("eu.vat", number)


def vat(text: str, member: str | None = None) -> str:
    """Return a VAT number of the EU with its prefix and nothing between its characters."""
    number = compact(text)
    if not is_vat(text, member):
        raise FunctionError(msg("'{text}' is not a VAT number of the EU.", text=short(text)))
    if member is not None and not number.startswith(check_member(member)):
        number = check_member(member) + number
    return "XI" + number[2:] if number.startswith("XI") else str(_library("eu.vat").compact(number))


def iban(text: str) -> str:
    """Return an IBAN without spaces."""
    return _written("iban", _IBAN, text)


def format_iban(text: str) -> str:
    """Return an IBAN in groups of four characters."""
    return str(_library("iban").format(iban(text)))


def is_luhn(text: str) -> bool:
    """Tell whether a number of digits ends with its Luhn check digit."""
    number = "".join(compact(text).split("-"))
    return number.isdecimal() and _valid("luhn", number)


def luhn_digit(text: str) -> str:
    """Return the Luhn check digit that belongs behind digits."""
    number = compact(text)
    if not (number.isascii() and number.isdecimal()):
        raise FunctionError(msg("'{text}' does not consist of digits.", text=short(text)))
    return str(_library("luhn").calc_check_digit(number))


def _checker(name: str) -> Callable[[str], bool]:
    return lambda text: _valid(name, text)


_IBAN = N_("an IBAN")
check_constants("member", check_member)
_identifiers.own(
    N_("Tells whether a text is a VAT number of a member of the EU (or XI), by its form and check digits."),
    {"isVat('DE 136 695 976')": "true", "isVat('136695976', 'DE')": "true", "isVat('DE136695978')": "false"},
    {"isVat(text: text) -> boolean": is_vat, "isVat(text: text, member: text) -> boolean": is_vat},
)
_identifiers.own(
    N_("Writes a VAT number of the EU with the member's prefix and without spaces; another text is an error."),
    {"vat('136 695 976', 'DE')": "'DE136695976'"},
    {"vat(text: text) -> text": vat, "vat(text: text, member: text) -> text": vat},
)
_identifiers.own(
    N_("Tells whether a text is an IBAN, by its country's form and its check digits."),
    {"isIban('DE89 3704 0044 0532 0130 00')": "true", "isIban('DE88 3704 0044 0532 0130 00')": "false"},
    {"isIban(text: text) -> boolean": _checker("iban")},
)
_identifiers.own(
    N_("Writes an IBAN without spaces; another text is an error."),
    {"iban('de89 3704 0044 0532 0130 00')": "'DE89370400440532013000'"},
    {"iban(text: text) -> text": iban},
)
_identifiers.own(
    N_("Writes an IBAN in groups of four."),
    {"formatIban('DE89370400440532013000')": "'DE89 3704 0044 0532 0130 00'"},
    {"formatIban(text: text) -> text": format_iban},
)
_identifiers.own(
    N_("Tells whether a text is a bank identifier code (BIC, SWIFT)."),
    {"isBic('COBADEFFXXX')": "true"},
    {"isBic(text: text) -> boolean": _checker("bic")},
)
_identifiers.own(
    N_("Tells whether a number ends with its Luhn check digit, as the numbers of cards do."),
    {"isLuhn('4111 1111 1111 1111')": "true", "isLuhn('4111111111111112')": "false"},
    {"isLuhn(text: text) -> boolean": is_luhn},
)
_identifiers.own(
    N_("Calculates the Luhn check digit that belongs behind digits."),
    {"luhnDigit('411111111111111')": "'1'"},
    {"luhnDigit(text: text) -> text": luhn_digit},
)
_identifiers.own(
    N_("Tells whether a text is the number of an article (GTIN, EAN, UPC), by its check digit."),
    {"isGtin('4006381333931')": "true"},
    {"isGtin(text: text) -> boolean": _checker("ean")},
)
_identifiers.own(
    N_("Tells whether a text is a legal entity identifier (LEI, ISO 17442)."),
    {"isLei('213800KUD8LAJWSQ9D15')": "true"},
    {"isLei(text: text) -> boolean": _checker("lei")},
)
