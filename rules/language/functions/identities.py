"""Numbers of China: the unified social credit code (GB 32100) and the resident identity number (GB 11643)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from rules.language.functions.bounds import short
from rules.language.functions.registry import Chapter, FunctionError, Group
from rules.language.functions.texts import to_half_width
from rules.text import N_, msg

_identifiers = Chapter(Group.IDENTIFIERS)
_CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
_RESIDENT_WEIGHTS = tuple(pow(2, 17 - place, 11) for place in range(17))
_RESIDENT_CHECK = "10X98765432"
_PROVINCES = frozenset(
    f"{number}"
    for numbers in (range(11, 16), range(21, 24), range(31, 38), range(41, 47), range(50, 55), range(61, 66))
    for number in numbers
) | {"71", "81", "82", "83", "91"}
_SHAPE = re.compile(r"[1-9][0-9]{14}|[1-9][0-9]{16}[0-9X]")
_MAX = 100


def compact(text: str) -> str:
    """Return a number without spaces, in usual characters and capital letters; '' for what is too long for one."""
    return "".join(to_half_width(text).upper().split()) if len(text) <= _MAX else ""


def is_credit_code(text: str) -> bool:
    """Tell whether a text is a unified social credit code: 18 characters, the last one a check character."""
    code = compact(text)
    if len(code) != 18 or any(char not in _CREDIT for char in code) or not code[2:8].isdecimal():
        return False
    total = sum(_CREDIT.index(char) * weight for char, weight in zip(code, _CREDIT_WEIGHTS, strict=False))
    return _CREDIT[-total % 31] == code[17]


def credit_code(text: str) -> str:
    """Return a unified social credit code as it is written: capital letters, no spaces."""
    if not is_credit_code(text):
        raise FunctionError(msg("'{text}' is not a unified social credit code.", text=short(text)))
    return compact(text)


def _check_character(digits: str) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(digits, _RESIDENT_WEIGHTS, strict=True))
    return _RESIDENT_CHECK[total % 11]


def _resident(text: str) -> str | None:
    """Return a resident identity number with 18 digits, None for any other text."""
    number = compact(text)
    if _SHAPE.fullmatch(number) is None:
        return None
    long = number if len(number) == 18 else f"{number[:6]}19{number[6:]}"
    long = long[:17] + _check_character(long[:17]) if len(number) == 15 else long
    known = long[:2] in _PROVINCES and _born(long) is not None and _check_character(long[:17]) == long[17]
    return long if known else None


def _born(number: str) -> datetime | None:
    try:
        day = datetime(int(number[6:10]), int(number[10:12]), int(number[12:14]), tzinfo=UTC)
    except ValueError:
        return None
    return day if day.year >= 1850 else None


def is_resident_id(text: str) -> bool:
    """Tell whether a text is a resident identity number with 18 digits, or with 15 as before 1999."""
    return _resident(text) is not None


def resident_id(text: str) -> str:
    """Return a resident identity number with 18 digits; one with 15 gets its century and check character."""
    found = _resident(text)
    if found is None:
        raise FunctionError(msg("'{text}' is not a resident identity number.", text=short(text)))
    return found


def birth_date(text: str) -> datetime:
    """Return the day of birth that a resident identity number holds."""
    number = resident_id(text)
    return datetime(int(number[6:10]), int(number[10:12]), int(number[12:14]), tzinfo=UTC)


def sex(text: str) -> str:
    """Return `male` or `female`, as the last digit but one of a resident identity number says."""
    return "male" if int(resident_id(text)[16]) % 2 else "female"


_identifiers.own(
    N_("Tells whether a text is a Chinese unified social credit code (GB 32100), by its check character."),
    {"isCreditCode('91350100M000100Y43')": "true", "isCreditCode('91350100M000100Y44')": "false"},
    {"isCreditCode(text: text) -> boolean": is_credit_code},
)
_identifiers.own(
    N_("Writes a Chinese unified social credit code in capital letters without spaces; another text is an error."),
    {"creditCode(' 91350100m000100y43')": "'91350100M000100Y43'"},
    {"creditCode(text: text) -> text": credit_code},
)
_identifiers.own(
    N_("Tells whether a text is a Chinese resident identity number (GB 11643) with 18 or 15 digits."),
    {"isResidentId('11010519491231002X')": "true", "isResidentId('110105194912310021')": "false"},
    {"isResidentId(text: text) -> boolean": is_resident_id},
)
_identifiers.own(
    N_("Writes a Chinese resident identity number with 18 digits, also one that still has 15."),
    {"residentId('110105491231002')": "'11010519491231002X'"},
    {"residentId(text: text) -> text": resident_id},
)
_identifiers.own(
    N_("Takes the date of birth out of a Chinese resident identity number."),
    {"residentBirthDate('11010519491231002X')": "date('1949-12-31')"},
    {"residentBirthDate(text: text) -> date": birth_date},
)
_identifiers.own(
    N_("Takes the sex out of a Chinese resident identity number: male or female."),
    {"residentSex('11010519491231002X')": "'female'"},
    {"residentSex(text: text) -> text": sex},
)
