"""The fields of contacts (vCard 3 and 4); photos, logos and keys are left aside and stay as they are. No I/O."""

from __future__ import annotations

from typing import Any

from connectors.builtin.dav_entry import (
    Entry,
    Put,
    Read,
    list_property,
    objects,
    plain_property,
    single,
    text_property,
)
from connectors.builtin.dav_text import Line, escaped, parts_of, unescaped
from connectors.builtin.dav_times import day_of, when_of
from connectors.errors import RecordRejected
from connectors.json_records import encode
from rules.schema import FieldType
from rules.text import msg

Given = tuple[str, FieldType, tuple[Read, Put | None]]
_ADDRESS = ("po_box", "extended", "street", "city", "region", "postal_code", "country")
_SPOKEN = (3, 1, 2, 0, 4)
"""The order in which the parts of a name are spoken: prefix, given, further and family name, suffix."""
_NO_YEAR = "X-APPLE-OMIT-YEAR"


def _part(name: str, place: int) -> tuple[Read, Put]:
    """Return how a part of a value of several parts is read and put."""

    def read(entry: Entry) -> str | None:
        line = entry.main.first(name)
        parts = [] if line is None else parts_of(line.value, ";")
        return unescaped(parts[place]) or None if place < len(parts) else None

    def put(entry: Entry, value: Any) -> None:
        line = entry.main.first(name)
        parts = [] if line is None else parts_of(line.value, ";")
        if (read(entry) or "") == (value or ""):
            return
        parts += [""] * ((5 if name == "N" else place + 1) - len(parts))
        parts[place] = escaped(value or "")
        entry.main.set(name, ";".join(parts) if any(parts) or name == "N" else None, line.params if line else None)

    return read, put


def _full_name() -> tuple[Read, Put]:
    read, plain = text_property("FN")

    def put(entry: Entry, value: Any) -> None:
        if not value:
            raise RecordRejected(msg("A contact needs a full name."), field="full_name")
        plain(entry, value)

    return read, put


def name_whole(entry: Entry) -> None:
    """Give a contact the full name that its parts make, else that of its organization; without any it is its UID."""
    line, organization = entry.main.first("N"), entry.main.first("ORG")
    parts = [] if line is None else [unescaped(part) for part in parts_of(line.value, ";")]
    made = " ".join(part for place in _SPOKEN for part in parts[place : place + 1] if part)
    text = made or ("" if organization is None else unescaped(parts_of(organization.value, ";")[0]))
    if text:
        entry.main.set("FN", escaped(text))


def _several(name: str, field: str) -> tuple[Read, Put]:
    """Return how the mail addresses or telephone numbers are read and put, as a JSON list."""

    def read(entry: Entry) -> str | None:
        found = [_valued(line) for line in entry.main.all(name)]
        return encode(found).decode() if found else None

    def put(entry: Entry, value: Any) -> None:
        before = entry.main.all(name)
        entry.main.put(name, [_line(name, told, before) for told in objects(value, field)])

    return read, put


def _one(name: str) -> tuple[Read, Put]:
    """Return how the preferred mail address or telephone number is read and put; all others stay."""

    def read(entry: Entry) -> str | None:
        line = entry.main.first(name)
        return None if line is None else _value(line) or None

    def put(entry: Entry, value: Any) -> None:
        line = entry.main.first(name)
        if line is not None and _value(line) == value:
            return
        kept = entry.main.all(name)
        new = [] if value is None else [_line(name, {"value": value, "types": line.types if line else []}, [])]
        if line is None:
            entry.main.put(name, new)
        else:
            place = kept.index(line)
            entry.main.put(name, [*kept[:place], *new, *kept[place + 1 :]])

    return read, put


def _value(line: Line) -> str:
    return line.text.strip().removeprefix("tel:").removeprefix("mailto:")


def _valued(line: Line) -> dict[str, Any]:
    return {"types": line.types, "value": _value(line)}


def _line(name: str, told: dict[str, Any], before: list[Line]) -> Line:
    value = single(str(told.get("value") or ""), name)
    types = told.get("types") or []
    if not value or not isinstance(types, list) or not all(isinstance(word, str) for word in types):
        raise RecordRejected(msg("Each of '{name}' needs a value and may have a list of types.", name=name))
    known = next((line for line in before if _value(line) == value), None)
    if known is not None and ("types" not in told or known.types == sorted({word.lower() for word in types})):
        return known
    params = {"TYPE": [single(word, name) for word in types]} if types else {}
    return Line(name, escaped(value), params)


def _addresses() -> tuple[Read, Put]:
    def read(entry: Entry) -> str | None:
        found = [_address(line) for line in entry.main.all("ADR")]
        return encode(found).decode() if found else None

    def put(entry: Entry, value: Any) -> None:
        before = entry.main.all("ADR")
        entry.main.put("ADR", [_address_line(told, before) for told in objects(value, "addresses")])

    return read, put


def _address(line: Line) -> dict[str, Any]:
    parts = map(unescaped, parts_of(line.value, ";"))
    return {"types": line.types, **{name: part for name, part in zip(_ADDRESS, parts, strict=False) if part}}


def _address_line(told: dict[str, Any], before: list[Line]) -> Line:
    known = next((line for line in before if _address(line) == {"types": [], **told}), None)
    if known is not None:
        return known
    types = [single(str(word), "ADR") for word in told.get("types") or []]
    value = ";".join(escaped(str(told.get(name) or "")) for name in _ADDRESS)
    return Line("ADR", value, {"TYPE": types} if types else {})


def _birthday() -> tuple[Read, Put]:
    def read(entry: Entry) -> str | None:
        line = entry.main.first("BDAY")
        return None if line is None else _whole_day(line)

    def put(entry: Entry, value: Any) -> None:
        if value is None:
            if read(entry) is not None:
                entry.main.set("BDAY", None)
        elif read(entry) != value.isoformat():
            version = entry.main.first("VERSION")
            form = "%Y%m%d" if version is not None and version.value.startswith("4") else "%Y-%m-%d"
            entry.main.set("BDAY", value.strftime(form))

    return read, put


def _whole_day(line: Line) -> str | None:
    """Return a date; a day without a year, or a year alone, is none: `birthday_text` has it."""
    value = line.value.strip().partition("T")[0]
    if line.param(_NO_YEAR) or line.param("VALUE").lower() == "text":
        return None
    if value.startswith("--") or len(value) < len("20240131"):
        return None
    try:
        return day_of(value).isoformat()
    except ValueError:
        return value


def _birthday_text(entry: Entry) -> str | None:
    line = entry.main.first("BDAY")
    return None if line is None else line.text or None


def _revised(entry: Entry) -> str | None:
    line = entry.main.first("REV")
    if line is None:
        return None
    value = line.value.strip()
    if "-" in value[:8]:
        return value if "T" in value else None
    when = when_of(Line("REV", value.partition(".")[0]), entry.whole)
    return None if when.moment is None else f"{when.moment:%Y-%m-%dT%H:%M:%SZ}"


def _version(entry: Entry) -> str | None:
    line = entry.main.first("VERSION")
    return None if line is None else line.value.strip() or None


_TEXT, _JSON = FieldType.TEXT, FieldType.JSON
CONTACT: tuple[Given, ...] = (
    ("full_name", _TEXT, _full_name()),
    *((name, _TEXT, _part("N", place)) for place, name in enumerate(
        ("family_name", "given_name", "additional_names", "prefix", "suffix"))),
    ("nickname", _TEXT, text_property("NICKNAME")),
    ("organization", _TEXT, _part("ORG", 0)),
    ("department", _TEXT, _part("ORG", 1)),
    ("title", _TEXT, text_property("TITLE")),
    ("role", _TEXT, text_property("ROLE")),
    ("email", _TEXT, _one("EMAIL")),
    ("emails", _JSON, _several("EMAIL", "emails")),
    ("phone", _TEXT, _one("TEL")),
    ("phones", _JSON, _several("TEL", "phones")),
    ("addresses", _JSON, _addresses()),
    ("birthday", FieldType.DATE, _birthday()),
    ("birthday_text", _TEXT, (_birthday_text, None)),
    ("note", _TEXT, text_property("NOTE")),
    ("url", _TEXT, plain_property("URL")),
    ("categories", _JSON, list_property("CATEGORIES")),
    ("modified", FieldType.DATETIME, (_revised, None)),
    ("version", _TEXT, (_version, None)),
)  # fmt: skip
