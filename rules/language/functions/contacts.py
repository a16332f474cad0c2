"""Functions on phone numbers and e-mail addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from rules.language.functions.bounds import short
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants
from rules.language.functions.texts import to_half_width
from rules.text import N_, msg

_contacts = Chapter(Group.CONTACTS)
_STYLES: Mapping[str, str] = {
    "e164": "E164",
    "international": "INTERNATIONAL",
    "national": "NATIONAL",
    "uri": "RFC3966",
}
_MAX_PHONE = 100
_MAX_EMAIL = 254
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]{1,64}(\.[\w!#$%&'*+/=?^`{|}~-]{1,64}){0,31}")
_LABEL = re.compile(r"[^\W_]([\w-]{0,61}[^\W_])?")


@cache
def _library() -> Any:
    import phonenumbers  # noqa: PLC0415 - its tables are read only where they are needed

    return phonenumbers


def check_country(country: str) -> str:
    """Return the code of a country if there are phone numbers of it."""
    if country not in _library().SUPPORTED_REGIONS:
        raise FunctionError(msg("There is no country '{country}'. Write it like CN or DE.", country=country))
    return country


def check_style(style: str) -> str:
    """Return the name of a way to write phone numbers if there is one."""
    if style not in _STYLES:
        styles = ", ".join(_STYLES)
        raise FunctionError(
            msg("'{style}' is no way to write phone numbers. Use one of: {styles}.", style=style, styles=styles)
        )
    return style


def _number(text: str, country: str | None) -> Any:
    """Return the number that a text shows, None where it is none that could be called."""
    if country is not None:
        check_country(country)
    library = _library()
    if len(text) > _MAX_PHONE:
        return None
    try:
        found = library.parse(text, country)
    except library.NumberParseException:
        return None
    return found if library.is_valid_number(found) else None


def _needed(text: str, country: str | None) -> Any:
    found = _number(text, country)
    if found is None and country is None:
        raise FunctionError(msg("'{text}' is not a phone number with + and the code of its country.", text=short(text)))
    if found is None:
        raise FunctionError(msg("'{text}' is not a phone number of {country}.", text=short(text), country=country))
    return found


def phone(text: str, country: str | None = None) -> str:
    """Return a phone number in the form +8613800138000 (E.164); an extension is left out."""
    return str(_library().format_number(_needed(text, country), _library().PhoneNumberFormat.E164))


def is_phone(text: str, country: str | None = None) -> bool:
    """Tell whether a text is a number that could be called."""
    return _number(text, country) is not None


def phone_country(text: str, country: str | None = None) -> str | None:
    """Return the country of a number, None where it belongs to none, like a satellite phone's."""
    found: str | None = _library().region_code_for_number(_needed(text, country))
    return None if found == "001" else found


def format_phone(text: str, country: str, style: str) -> str:
    """Return a phone number as it is written in the country, or for people abroad."""
    form = getattr(_library().PhoneNumberFormat, _STYLES[check_style(style)])
    return str(_library().format_number(_needed(text, country), form))


def _address(text: str) -> tuple[str, str] | None:
    """Return the part before the @ and the domain of an e-mail address, None for any other text."""
    local, at, domain = text.rpartition("@")
    labels = domain.split(".")
    plain = bool(at) and len(text) <= _MAX_EMAIL and len(local) <= 64 and _LOCAL.fullmatch(local) is not None
    named = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdecimal()
    return (local, domain) if plain and named else None


def is_email(text: str) -> bool:
    """Tell whether a text has the form of an e-mail address; nothing is asked of its domain."""
    return _address(text) is not None


def normalize_email(text: str) -> str:
    """Return an e-mail address without spaces around it, in usual characters and small letters."""
    usual = to_half_width(text).strip().lower() if len(text) <= _MAX_EMAIL * 4 else ""
    if _address(usual) is None:
        raise FunctionError(msg("'{text}' is not an e-mail address.", text=short(text)))
    return usual


def email_domain(text: str) -> str:
    """Return the domain of an e-mail address in small letters."""
    return normalize_email(text).rpartition("@")[2]


check_constants("country", check_country)
check_constants("style", check_style)
_contacts.own(
    N_(
        "Writes a phone number in the international form (E.164). The country is the one that numbers without + and"
        " country code belong to."
    ),
    {"phone('138 0013 8000', 'CN')": "'+8613800138000'", "phone('+49 (0)30 901820')": "'+4930901820'"},
    {"phone(text: text) -> text": phone, "phone(text: text, country: text) -> text": phone},
)
_contacts.own(
    N_("Tells whether a text is a phone number that could be called."),
    {"isPhone('138 0013 8000', 'CN')": "true", "isPhone('12345', 'CN')": "false"},
    {"isPhone(text: text) -> boolean": is_phone, "isPhone(text: text, country: text) -> boolean": is_phone},
)
_contacts.own(
    N_("Tells the country of a phone number; empty (null) where it belongs to none."),
    {"phoneCountry('+86 138 0013 8000')": "'CN'"},
    {
        "phoneCountry(text: text) -> text or null": phone_country,
        "phoneCountry(text: text, country: text) -> text or null": phone_country,
    },
)
_contacts.own(
    N_("Writes a phone number in a style: e164, international, national or uri."),
    {"formatPhone('+8613800138000', 'CN', 'international')": "'+86 138 0013 8000'"},
    {"formatPhone(text: text, country: text, style: text) -> text": format_phone},
)
_contacts.own(
    N_("Tells whether a text has the form of an e-mail address."),
    {"isEmail('ada@example.com')": "true", "isEmail('ada@example')": "false"},
    {"isEmail(text: text) -> boolean": is_email},
)
_contacts.own(
    N_("Writes an e-mail address without spaces around it, in usual characters and small letters."),
    {"normalizeEmail(' Ada@Example.COM ')": "'ada@example.com'"},
    {"normalizeEmail(text: text) -> text": normalize_email},
)
_contacts.own(
    N_("Takes the domain of an e-mail address."),
    {"emailDomain('ada@Example.com')": "'example.com'"},
    {"emailDomain(text: text) -> text": email_domain},
)
