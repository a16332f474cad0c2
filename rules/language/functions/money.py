"""Functions on amounts of money, and numbers as people write them."""

from __future__ import annotations

from decimal import Decimal

from rules.language.functions.bounds import check_length, short, whole
from rules.language.functions.currencies import DIGITS
from rules.language.functions.numbers import round_to as rounded
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants
from rules.language.functions.rounding import exactly, round_by
from rules.language.functions.values import number_of_text
from rules.text import N_, msg

_money = Chapter(Group.MONEY)
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " "})


def currency_digits(currency: str) -> int:
    """Return how many decimals amounts of a currency have (ISO 4217)."""
    if currency not in DIGITS:
        raise FunctionError(msg("There is no currency '{currency}'. Write it like CNY or EUR.", currency=currency))
    return DIGITS[currency]


def round_money(amount: float, currency: str, mode: str = "half_up") -> float:
    """Return an amount with the decimals of its currency."""
    return round_by(amount, currency_digits(currency), mode)


def minor_units(amount: float, currency: str) -> int:
    """Return an amount in its smallest unit, if it has no smaller part."""
    units = exactly(amount).scaleb(currency_digits(currency))
    if units != units.to_integral_value():
        text = N_("{amount} has more decimals than {currency} has. Use roundMoney() first.")
        raise FunctionError(msg(text, amount=amount, currency=currency))
    return whole(int(units))


def from_minor_units(units: int, currency: str) -> float:
    """Return the amount of so many smallest units."""
    return number_of_text(format(Decimal(units).scaleb(-currency_digits(currency)), "f"))


def format_number(number: float, places: int, thousands: str = "", point: str = ".") -> str:
    """Return a number with a fixed count of decimals and marks between groups of three digits."""
    if point == thousands or len(point) != 1 or len(thousands) > 1:
        raise FunctionError(msg("Two different characters are needed: one between thousands, one before decimals."))
    text = format(exactly(rounded(number, places)), f"{',' if thousands else ''}.{max(places, 0)}f")
    check_length(len(text))
    return text.replace(",", "\x00").replace(".", point).replace("\x00", thousands)


def parse_number(text: str, thousands: str, point: str) -> float:
    """Return the number that a text shows with the given marks; groups have to be of three digits."""
    if point == thousands or len(point) != 1 or len(thousands) > 1:
        raise FunctionError(msg("Two different characters are needed: one between thousands, one before decimals."))
    written = text.translate(_SPACES).strip()
    head, _, fraction = written.partition(point)
    digits = head.lstrip("+-")
    groups = digits.split(thousands) if thousands else [digits]
    odd = len(groups) > 1 and (not 1 <= len(groups[0]) <= 3 or any(len(group) != 3 for group in groups[1:]))
    plain = "".join(groups) + fraction
    if odd or not (plain.isascii() and plain.isdecimal()) or len(head) - len(digits) > 1:
        words = N_("'{text}' is not a number written like {example}.")
        raise FunctionError(msg(words, text=short(text), example=f"1{thousands}234{point}56"))
    return number_of_text(f"{head[:1] if head[:1] in '+-' else ''}{''.join(groups)}.{fraction}")


def is_number(text: str) -> bool:
    """Tell whether a text shows a number that can be calculated with."""
    try:
        number_of_text(text)
    except FunctionError:
        return False
    return True


check_constants("currency", currency_digits)
_money.own(
    N_("Rounds an amount to the decimals of its currency (ISO 4217), halves away from zero or in a mode of roundTo()."),
    {
        "roundMoney(1234.5, 'JPY')": "1235.0",
        "roundMoney(12.345, 'CNY')": "12.35",
        "roundMoney(12.345, 'EUR', 'half_even')": "12.34",
    },
    {
        "roundMoney(amount: number, currency: text) -> number": round_money,
        "roundMoney(amount: number, currency: text, mode: text) -> number": round_money,
    },
)
_money.own(
    N_("Tells how many decimals amounts of a currency have (ISO 4217)."),
    {"currencyDigits('JPY')": "0", "currencyDigits('KWD')": "3"},
    {"currencyDigits(currency: text) -> integer": currency_digits},
)
_money.own(
    N_("Tells whether a text is the code of a currency (ISO 4217)."),
    {"isCurrency('CNY')": "true", "isCurrency('RMB')": "false"},
    {"isCurrency(text: text) -> boolean": lambda text: text in DIGITS},
)
_money.own(
    N_("Writes an amount in the smallest unit of its currency, such as cents."),
    {"minorUnits(12.34, 'EUR')": "1234", "minorUnits(12, 'JPY')": "12"},
    {"minorUnits(amount: number, currency: text) -> integer": minor_units},
)
_money.own(
    N_("Makes an amount from the smallest units of its currency, such as cents."),
    {"fromMinorUnits(1234, 'EUR')": "decimal('12.34')"},
    {"fromMinorUnits(units: integer, currency: text) -> decimal": from_minor_units},
)
_money.own(
    N_("Writes a number with a fixed count of decimals; with a mark between thousands, and one before the decimals."),
    {
        "formatNumber(12.5, 2)": "'12.50'",
        "formatNumber(1234567.5, 2, ',')": "'1,234,567.50'",
        "formatNumber(1234567.5, 2, '.', ',')": "'1.234.567,50'",
        "formatNumber(1234, 0)": "'1234'",
    },
    {
        "formatNumber(number: number, decimals: integer) -> text": format_number,
        "formatNumber(number: number, decimals: integer, thousands: text) -> text": format_number,
        "formatNumber(number: number, decimals: integer, thousands: text, point: text) -> text": format_number,
    },
)
_money.own(
    N_("Reads a number with the given marks between thousands and before decimals, exactly."),
    {
        "parseNumber('1.234,56', '.', ',')": "decimal('1234.56')",
        "parseNumber('-12 345', ' ', ',')": "decimal('-12345')",
    },
    {"parseNumber(text: text, thousands: text, point: text) -> decimal": parse_number},
)
_money.own(
    N_("Tells whether a text shows a number with a decimal point, as toDecimal() reads it."),
    {"isNumber(' 12.5 ')": "true", "isNumber('12,5')": "false"},
    {"isNumber(text: text) -> boolean": is_number},
)
_money.own(
    N_("Writes an exact decimal number, like toDecimal()."),
    {"decimal('12.30')": "toDecimal('12.3')"},
    {"decimal(text: text) -> decimal": number_of_text, "decimal(number: number) -> decimal": float},
)
