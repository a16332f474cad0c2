"""New files by template: a header, a part for each record and a footer, in Jinja's sandbox.

`record.name` is a value as text, escaped where the file is XML; `json.name` is a value as JSON. What comes out is
looked at before it is put in place: XML has to be well-formed, and JSON has to be JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import polars as pl
from jinja2.exceptions import SecurityError
from jinja2.filters import do_round
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import htmlsafe_json_dumps
from lxml import etree
from markupsafe import Markup

from connectors.builtin.files_overlay import Overlay
from connectors.casting import short
from connectors.errors import Misconfigured
from connectors.json_records import encode, json_values
from connectors.value_text import PLAIN
from rules.schema import Schema
from rules.text import Message, msg

_NUMBERS = (int, float)
_DIGITS = 30
_FILLING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})
_UNBOUND = frozenset({"center", "indent", "pprint", "slice", "batch", "wordwrap"})
_WIDE = re.compile(r"\d{3,}|\*")


def _formatted(text: str, *values: Any) -> str:
    """Put values into a text at the places that % marks."""
    if _WIDE.search(text):
        raise SecurityError("formatting is only possible with short widths")
    return str(text) % values


_BOUNDED: Mapping[str, Any] = {
    "format": _formatted,
    "round": lambda value, digits=0, method="common": do_round(value, max(-_DIGITS, min(digits, _DIGITS)), method),
    "tojson": lambda value, indent=None: htmlsafe_json_dumps(value, indent=2 if indent else None),
}


class _Sandbox(ImmutableSandboxedEnvironment):
    """Refuses what makes a text or number of any size out of a few signs."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse products of texts, powers and the formatting of texts."""
        if operator == "**" or not (isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)):
            raise SecurityError(f"'{operator}' is only possible with numbers, and powers are not")
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> Any:
        """Refuse the formatting of texts, which can ask for any width."""
        if getattr(value, "__name__", "") in ("format", "format_map") and isinstance(value.__self__, str):
            raise SecurityError("formatting is not possible here")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse the methods of texts that fill them up."""
        return attr not in _FILLING and super().is_safe_attribute(obj, attr, value)


class TemplateWriter:
    """Writes records by a template."""

    def __init__(self, name: str, parts: tuple[str, str, str]) -> None:
        """Take a file's name and header, record and footer; raises `Misconfigured` for a mistake in them."""
        self.ending = name.lower().rpartition(".")[2]
        environment = _Sandbox(
            autoescape=self.ending == "xml", undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
            finalize=lambda value: "" if value is None else value,
        )  # fmt: skip
        environment.filters = {**{n: f for n, f in environment.filters.items() if n not in _UNBOUND}, **_BOUNDED}
        try:
            self._header, self._record, self._footer = map(environment.from_string, parts)
        except jinja2.TemplateSyntaxError as error:
            raise _wrong(f"{error.message} ({error.lineno})") from error

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
        """Return nothing: what comes out is looked at as a whole."""
        del records
        return {}

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write all records; raises `Misconfigured` if the template fails or gives no document."""
        records = list(overlay.created.values())
        try:
            with target.open("w", encoding="utf-8", newline="") as file:
                for part in self._parts(records, overlay.schema):
                    file.write(part)
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise _wrong(str(error)) from error
        self._look_at(target)

    def _parts(self, records: list[dict[str, Any]], schema: Schema) -> Iterator[str]:
        yield self._header.render(count=len(records))
        for number, record in enumerate(records, 1):
            whole = {name: record.get(name) for name in schema.names}
            yield self._record.render(
                record={name: PLAIN.text(value) for name, value in whole.items()},
                json={n: Markup(encode(v).decode()) for n, v in json_values(whole, schema).items()},  # noqa: S704 - JSON
                number=number, first=number == 1, last=number == len(records), count=len(records),
            )  # fmt: skip
        yield self._footer.render(count=len(records))

    def _look_at(self, target: Path) -> None:
        try:
            if self.ending == "xml":
                for _, element in etree.iterparse(str(target), resolve_entities=False, no_network=True):
                    element.clear()
            elif self.ending == "json":
                msgspec.json.decode(target.read_bytes(), type=msgspec.Raw)
            elif self.ending in ("jsonl", "ndjson"):
                with target.open("rb") as file:
                    for line in file:
                        msgspec.json.decode(line, type=msgspec.Raw)
        except (etree.XMLSyntaxError, msgspec.DecodeError) as error:
            raise _wrong(str(error)) from error


def _wrong(problem: str) -> Misconfigured:
    return Misconfigured(
        msg("The template of the files cannot be used: {problem}.", problem=short(problem.rstrip("."), 200)),
        msg("Correct it in the connection's settings. No file was written."),
    )
