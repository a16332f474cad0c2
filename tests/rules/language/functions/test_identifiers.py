"""Phones, e-mail, and numbers with check digits: one changed digit is always found."""

from __future__ import annotations

import datetime as dt

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.language.functions.identities import _CREDIT, is_credit_code, is_resident_id
from rules.schema import Field
from tests.rules.language.functions.calls import constant, function, problem, refused

_VAT = {
    "AT": "ATU13585627",
    "BE": "BE0428759497",
    "BG": "BG175074752",
    "CY": "CY10259033P",
    "CZ": "CZ25123891",
    "DE": "DE136695976",
    "DK": "DK13585628",
    "EE": "EE100931558",
    "EL": "EL094259216",
    "ES": "ESM1234567L",
    "FI": "FI20774740",
    "FR": "FR40303265045",
    "HR": "HR33392005961",
    "HU": "HU12892312",
    "IE": "IE6433435F",
    "IT": "IT00743110157",
    "LT": "LT119511515",
    "LU": "LU15027442",
    "LV": "LV40003521600",
    "MT": "MT11679112",
    "NL": "NL004495445B01",
    "PL": "PL8567346215",
    "PT": "PT501964843",
    "RO": "RO18547290",
    "SE": "SE123456789701",
    "SI": "SI50223054",
    "SK": "SK2022749619",
    "XI": "XI980780684",
}


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
def test_phones(country: str) -> None:
    """The international form of any country's number is read as itself, and tells its country's code."""
    example = phonenumbers.example_number(country)
    if example is None or not phonenumbers.is_valid_number(example):
        return
    national = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
    written = function("phone", 2)(national, country)
    assert function("phone", 1)(written) == written
    assert function("isPhone", 1)(written)
    assert written.startswith(f"+{phonenumbers.country_code_for_region(country)}")


def test_phone_forms() -> None:
    """Full-width digits count, extensions are left out, numbers of no country have none."""
    assert constant("phone('１３８ ００１３ ８０００', 'CN')") == "+8613800138000"
    assert constant("phone('(021) 5888-1234 ext. 5', 'CN')") == "+862158881234"
    assert constant("phoneCountry('+870773111632')") is None
    assert constant("phoneCountry('030 901820', 'DE')") == "DE"
    assert constant("formatPhone('13800138000', 'CN', 'uri')") == "tel:+86-138-0013-8000"
    assert not function("isPhone", 2)("1" * 101, "CN")


@given(st.emails())
def test_emails(text: str) -> None:
    """A normalised address is an address, and normal."""
    if not function("isEmail")(text):  # the rare forms that no mail system of a company takes
        return
    normal = function("normalizeEmail")(text)
    assert function("isEmail")(normal)
    assert function("normalizeEmail")(normal) == normal
    assert function("emailDomain")(text) == normal.rpartition("@")[2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@b.cn",
        "a@",
        "a@b",
        "a@b..cn",
        ".a@b.cn",
        "a.@b.cn",
        "a b@c.cn",
        "a@b@c.cn",
        "a@-b.cn",
        "a@1.2.3.4",
        "a" * 65 + "@b.cn",
        "a@" + "b." * 130 + "cn",
    ],
)
def test_no_emails(text: str) -> None:
    """What has not the form of an address is none."""
    assert not function("isEmail")(text)


def test_chinese_emails() -> None:
    """Addresses may be Chinese; full-width ones become usual."""
    assert constant("isEmail('用户@例子.公司')") is True
    assert constant("normalizeEmail('　Ada＠Example．com')") == "ada@example.com"


@given(st.text(_CREDIT, min_size=9, max_size=9), st.from_regex("[1-9][1-9A]", fullmatch=True), st.data())
def test_credit_codes(body: str, head: str, data: st.DataObject) -> None:
    """Each beginning has one check character, and one changed character makes the code wrong."""
    start = head + "310000" + body
    codes = [start + char for char in _CREDIT if is_credit_code(start + char)]
    assert len(codes) == 1
    place = data.draw(st.integers(0, 17))
    char = data.draw(st.sampled_from([c for c in _CREDIT if c != codes[0][place]]))
    assert not is_credit_code(codes[0][:place] + char + codes[0][place + 1 :])


@given(st.dates(dt.date(1900, 1, 1), dt.date(2050, 1, 1)), st.integers(0, 999), st.data())
def test_resident_ids(born: dt.date, order: int, data: st.DataObject) -> None:
    """Number, birth date and sex go together, and one changed digit makes the number wrong."""
    start = f"110105{born:%Y%m%d}{order:03}"
    (number,) = [start + char for char in "0123456789X" if is_resident_id(start + char)]
    assert function("residentBirthDate")(number).date() == born
    assert function("residentSex")(number) == ("male" if order % 2 else "female")
    place = data.draw(st.integers(0, 16))
    digit = data.draw(st.sampled_from([c for c in "0123456789" if c != number[place]]))
    assert not is_resident_id(number[:place] + digit + number[place + 1 :])
    if born.year < 2000:
        assert function("residentId")(number[:6] + number[8:17]) == number


def test_resident_ids_that_are_none() -> None:
    """Provinces, dates and lengths are checked."""
    for text in ("", "99010519491231002X", "11010517491231002X", "110105491331002", "1" * 1000):
        assert not is_resident_id(text)


@pytest.mark.parametrize("member", _VAT)
def test_vat(member: str) -> None:
    """Every member's numbers are known, with and without the prefix, and a wrong digit is found."""
    number = _VAT[member]
    assert function("isVat", 1)(number)
    assert function("isVat", 2)(number[2:], member)
    assert function("vat", 2)(f" {number[2:].lower()} ", member) == number
    assert function("vat", 2)(number, member) == function("vat", 1)(number) == number
    places = [place for place in range(2, len(number)) if number[place].isdecimal()]
    changed = [number[:p] + str((int(number[p]) + 1) % 10) + number[p + 1 :] for p in places]
    assert not all(function("isVat", 1)(other) for other in changed)


@given(st.integers(0, 10**18), st.data())
def test_luhn(number: int, data: st.DataObject) -> None:
    """A check digit fits, and one changed digit is found."""
    whole = f"{number}{function('luhnDigit')(str(number))}"
    assert function("isLuhn")(whole)
    place = data.draw(st.integers(0, len(whole) - 1))
    digit = data.draw(st.sampled_from([c for c in "0123456789" if c != whole[place]]))
    assert not function("isLuhn")(whole[:place] + digit + whole[place + 1 :])


@given(st.integers(0, 10**18 - 1), st.data())
def test_iban(account: int, data: st.DataObject) -> None:
    """A changed digit of an IBAN is found; its groups of four are the same number."""
    body = f"{account:018}"
    check = 98 - int(body + "131400") % 97
    whole = f"DE{check:02}{body}"
    assert function("isIban")(whole)
    assert function("iban")(function("formatIban")(whole)) == whole
    place = data.draw(st.integers(2, 21))
    digit = data.draw(st.sampled_from([c for c in "0123456789" if c != whole[place]]))
    assert not function("isIban")(whole[:place] + digit + whole[place + 1 :])


@pytest.mark.parametrize(
    "name", ["isVat", "isIban", "isBic", "isLuhn", "isGtin", "isLei", "isCreditCode", "isResidentId"]
)
@pytest.mark.parametrize("text", ["", " ", "上海", "١٢٣٤٥٦٧٨٩٠", "x" * 10_000, "-", "²²²²", "0"])
def test_strange_texts(name: str, text: str) -> None:
    """Text of any kind is simply no number."""
    assert function(name)(text) is False or (name, text) == ("isLuhn", "0")


@pytest.mark.parametrize(
    ("name", "args", "reason"),
    [
        ("phone", ("12345", "CN"), "'12345' is not a phone number of CN."),
        ("phone", ("13800138000",), "'13800138000' is not a phone number with + and the code of its country."),
        ("phone", ("1", "XX"), "There is no country 'XX'. Write it like CN or DE."),
        (
            "formatPhone",
            ("+8613800138000", "CN", "x"),
            "'x' is no way to write phone numbers. Use one of: e164, international, national, uri.",
        ),
        ("normalizeEmail", ("ada",), "'ada' is not an e-mail address."),
        ("normalizeEmail", ("a" * 2000,), f"'{'a' * 57}...' is not an e-mail address."),
        ("creditCode", ("1",), "'1' is not a unified social credit code."),
        ("residentId", ("1",), "'1' is not a resident identity number."),
        ("vat", ("DE1",), "'DE1' is not a VAT number of the EU."),
        ("isVat", ("1", "US"), "'US' is no member of the EU. Write it like DE; Greece is EL."),
        ("iban", ("DE1",), "'DE1' is not an IBAN."),
        ("luhnDigit", ("1a",), "'1a' does not consist of digits."),
    ],
)
def test_refused(name: str, args: tuple[object, ...], reason: str) -> None:
    """What is no such number is quoted."""
    assert refused(name, *args) == reason


@pytest.mark.parametrize(
    ("text", "column"), [("phone(name, 'XX')", 13), ("vat(name, 'US')", 11), ("formatPhone(name, 'CN', 'x')", 25)]
)
def test_constants(text: str, column: int) -> None:
    """Countries and styles that are written out are checked when the expression is."""
    assert problem(text, Field("name"))[1] == column
