"""What a preset's document says: its parts, and the checks that need no connector."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from connectors.builtin.document_text import document_of
from connectors.errors import Misconfigured
from rules.schema import FieldType
from rules.text import msg

LANGUAGE = "language"
"""The answer that every preset asks for: in which language objects and fields are labelled."""

_RESERVED = frozenset({"key", "keys", "parent", "record", "records", "value", "iso", "date", "unix", "unix_ms"})
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_.]*)\}")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the document; a member that is not known is a mistake."""


class Said(Part, frozen=True):
    """A text in English and Chinese."""

    en: str
    zh: str

    def text(self, language: str) -> str:
        """Return the text in a language, English for all others."""
        return self.zh if language.startswith("zh") else self.en


class Asked(Part, frozen=True):
    """A value that the admin enters; `choices` are values and what they are called, `pattern` is what fits it whole."""

    name: str
    label: Said
    help: Said | None = None
    kind: Literal["text", "secret", "url", "choice", "multiline"] = "text"
    required: bool = True
    default: str = ""
    placeholder: str = ""
    pattern: str = ""
    choices: dict[str, Said] = {}


class PresetField(Part, frozen=True):
    """A field of an object; `reference` names the object whose key it holds, `more` is the connector's own."""

    name: str
    label: Said
    type: FieldType = FieldType.TEXT
    scale: int | None = None
    required: bool = False
    generated: bool = False
    reference: str = ""
    more: dict[str, Any] = {}


class PresetObject(Part, frozen=True):
    """An object; `described` is what the connector has to know of it beside its fields.

    `cursor` is the field by which changes are found, `writes` what can be done to records.
    """

    name: str
    label: Said
    key: str
    fields: list[PresetField]
    cursor: str = ""
    writes: list[Literal["create", "update", "delete"]] = []
    described: dict[str, Any] = {}

    @property
    def references(self) -> list[tuple[str, str]]:
        """Return the fields that refer to other objects, with the objects' names."""
        return [(field.name, field.reference) for field in self.fields if field.reference]


class Tested(Part, frozen=True):
    """What it was tested against: a server rebuilt from the vendor's documentation as of a month, or the product."""

    against: Literal["rebuilt", "product"]
    documentation: str


class Document(Part, frozen=True):
    """A page of the vendor's documentation; `dated` is the date that it bears, empty where it bears none."""

    title: str
    url: str
    dated: str = ""


class Checked(Part, frozen=True):
    """Which pages of the vendor's documentation the preset was compared with last, and when."""

    date: str
    documents: list[Document]


class Preset(Part, frozen=True):
    """A ready connection for one product.

    `fixed` are the connector's settings, with the asked values as {placeholders}; `each` is what the connector has to
    know of every object, with {object.name}, {object.key}, {object.fields} (separated by commas; {object.paths} are
    their places), {object.list} (the fields as a list) and {object.json} (that list as JSON text).
    """

    kind: Literal["preset"]
    name: str
    version: int
    label: Said
    category: Said
    summary: Said
    connector: str
    documentation: str
    tested: Tested
    settings: list[Asked]
    fixed: dict[str, Any]
    objects: list[PresetObject]
    each: dict[str, Any] = {}
    checked: Checked | None = None
    log: bool = False
    """The product keeps a log of changes that a rule can be fed by."""
    limits: list[Said] = []

    @property
    def reference(self) -> str:
        """Return the name and the version, as connections remember them."""
        return f"{self.name}@{self.version}"

    def object_named(self, name: str) -> PresetObject | None:
        """Return the object of a name, or None."""
        return next((found for found in self.objects if found.name == name), None)


def parse(text: str, place: str, read: Callable[[str], str] | None = None) -> Preset:
    """Return the preset of a document's text; raises `Misconfigured` with the place of the mistake.

    Args:
        text: The document. One that is `like` another has all that it does not say itself from that.
        place: What the document is called.
        read: Returns the text of another document by its name.
    """
    try:
        given = document_of(text)
        if read is not None and isinstance(given, dict) and "like" in given:
            given = {**document_of(read(given.pop("like"))), **given}
        preset = msgspec.convert(given, Preset)
    except (Misconfigured, msgspec.ValidationError) as error:
        raise _wrong(place, str(error).replace("$", "preset")) from error
    for problem in _problems(preset):
        raise _wrong(place, problem)
    return preset


def placeholders(value: Any) -> Iterator[str]:
    """Yield the names of the placeholders in a value and all that it holds."""
    if isinstance(value, str):
        yield from _PLACEHOLDER.findall(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from placeholders(item)
    elif isinstance(value, list):
        for item in value:
            yield from placeholders(item)


def _problems(preset: Preset) -> Iterator[str]:
    asked = [setting.name for setting in preset.settings]
    used = set(placeholders([preset.fixed, preset.each, [o.described for o in preset.objects]]))
    yield from (f"preset.settings: '{name}' is there twice" for name, n in Counter(asked).items() if n > 1)
    yield from (f"preset.settings: '{name}' is asked for and not used" for name in asked if name not in used)
    yield from (f"preset.settings: '{name}' is a word of the connectors" for name in asked if name in _RESERVED)
    secrets = {setting.name for setting in preset.settings if setting.kind == "secret"}
    told = secrets & set(placeholders([preset.each, [o.described for o in preset.objects]]))
    yield from (f"preset: the secret '{name}' must not stand in objects" for name in sorted(told))
    if LANGUAGE in asked:
        yield f"preset.settings: '{LANGUAGE}' is asked for by every preset"
    names = [described.name for described in preset.objects]
    yield from (f"preset.objects: '{name}' is there twice" for name, n in Counter(names).items() if n > 1)
    for described in preset.objects:
        yield from _object_problems(described, names)


def _object_problems(described: PresetObject, names: list[str]) -> Iterator[str]:
    place = f"preset.objects.{described.name}"
    fields = Counter(field.name for field in described.fields)
    yield from (f"{place}.fields: '{name}' is there twice" for name, n in fields.items() if n > 1)
    for member, name in (("key", described.key), ("cursor", described.cursor)):
        if name and name not in fields:
            yield f"{place}.{member}: there is no field '{name}'"
    for field, target in described.references:
        if target not in names:
            yield f"{place}.fields.{field}.reference: there is no object '{target}'"


def _wrong(place: str, problem: str) -> Misconfigured:
    return Misconfigured(
        msg("The preset {place} is wrong: {problem}.", place=place, problem=problem.rstrip(".")),
        msg("Install Syncline again in one version."),
    )
