"""Records as JSON: values of their own kinds, in the way the file's other records have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

import msgspec
import polars as pl

from connectors.builtin.files_overlay import Overlay
from connectors.casting import cast
from connectors.json_records import columns_of, decoded_or_error
from connectors.sampling import TEXT_KIND
from connectors.value_text import PLAIN, Style
from rules.schema import FieldType

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_BATCH = 10_000


class JsonWriter:
    """Gives the texts of changed and new records."""

    def __init__(self, overlay: Overlay, styles: Mapping[str, Style], kinds: Mapping[str, frozenset[str]]) -> None:
        self.overlay = overlay
        self.styles = styles
        self.kinds = kinds
        self._there: list[Any] = []

    def copy(self, texts: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the records of the file as they will be; texts that are no records stay as they are."""
        rest = iter(texts)
        while batch := list(islice(rest, _BATCH)):
            decoded = [decoded_or_error(text) for text in batch]
            verdicts = self.overlay.verdicts(self._keys([r for r in decoded if isinstance(r, dict)]))
            for text, record in zip(batch, decoded, strict=True):
                values = next(verdicts) if isinstance(record, dict) else {}
                if values is not None:
                    yield _ENCODER.encode({**record, **self._members(values)}) if values else text

    def new(self) -> Iterator[bytes]:
        """Yield the new records; call it behind the others."""
        known = pl.Series(self._there, dtype=self.overlay.schema[self.overlay.key].dtype)
        for record in self.overlay.new(self.overlay.schema, known).iter_rows(named=True):
            yield _ENCODER.encode(self._members(record))

    def _keys(self, records: list[dict[str, Any]]) -> list[Any]:
        key = self.overlay.key
        keys = cast(columns_of(records, [key])[key], self.overlay.schema[key]).to_list()
        self._there += [value for value in keys if value in self.overlay.created]
        return keys

    def _members(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._member(name, value) for name, value in values.items()}

    def _member(self, name: str, value: Any) -> Any:
        if value is None:
            return None
        if self.overlay.schema[name].type is FieldType.JSON:
            return msgspec.Raw(value)
        quoted = self.kinds.get(name) == frozenset({TEXT_KIND})
        if isinstance(value, (bool, int, float)) and not quoted:
            return value
        text = self.styles.get(name, PLAIN).text(value)
        return msgspec.Raw(text or "") if isinstance(value, Decimal) and not quoted else text
