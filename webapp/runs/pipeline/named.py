"""Records that are looked up by key: those that a run was asked for, and parked ones that a run by cursor tries again.

A cursor does not bring up a record that failed and has not changed since; so a live run by cursor looks all parked keys
up that it has not met, once the source has sent what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.spi import Connector, Page
from rules.documents.sync import DetectBy, SideName
from rules.reconcile.one_way import key_text, key_values
from rules.schema import Schema
from rules.text import Message, msg
from webapp.runs.models import quarantine
from webapp.runs.pipeline.codec import column_text
from webapp.runs.pipeline.journal import Claim
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.unreadable import Bad, found_by_halves, rejects

_CUT = 255
"""A key that fills its column may have been cut, and cannot be looked up."""


def asked_keys(parameters: Mapping[str, Any] | None, side: str) -> pl.Series:
    """Return the keys of a side that a run was asked for, each once."""
    entries = (parameters or {}).get("records", [])
    return pl.Series(list(dict.fromkeys(e["key"] for e in entries if e["side"] == side)), dtype=pl.String)


def expected(claim: Claim, reader: Connector, sides: Sides, retry: Retry) -> int | None:
    """Return how many records are to come, where that is known, so that progress has an end."""
    if claim.kind == "replay":
        return len(claim.selection)
    if claim.kind == "records":
        return len(asked_keys(claim.parameters, sides.source_name))
    if claim.chunks or sides.detect.by is not DetectBy.FULL or claim.kind != "sync":
        return None
    return next((o.records for o in retry(reader.objects) if o.name == sides.source.object), None)


class Lookup:
    """Looks records of an object up by key, page by page."""

    def __init__(self, connector: Connector, thing: tuple[str, Schema, str], size: int, retry: Retry) -> None:
        self.connector = connector
        self.object, self.schema, self.key = thing
        self.size, self.retry = size, retry
        self._bad: Bad = {}

    def pages(self, texts: pl.Series, done: int = 0) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield how many keys have been asked for and the records found for the last of them, from key `done` on."""
        for start in range(done, texts.len(), self.size):
            part = texts[start : start + self.size]
            values = key_values(part, self.schema[self.key].dtype).drop_nulls().unique().alias(self.key)
            yield start + part.len(), self._found(values)

    def read(self, texts: pl.Series, done: int = 0) -> Iterator[Page]:
        """Yield what `pages` yields as pages, with the records that cannot be read as their rejects."""
        for start in range(done, texts.len(), self.size):
            self._bad = {}
            part = texts[start : start + self.size]
            values = key_values(part, self.schema[self.key].dtype).drop_nulls().unique().alias(self.key)
            found = [self.schema.empty(), *found_by_halves(self._found, values, self._bad, "")]
            yield Page(pl.concat(found), {"looked_up": start + part.len()}, rejects(self._bad))

    def missing(self, texts: pl.Series, found: pl.DataFrame) -> list[str]:
        """Return the keys that no record has; one that cannot be read is there."""
        there = set(key_text(found[self.key]).drop_nulls().to_list()) | set(self._bad)
        return [key for key in texts if key not in there]

    def words(self, texts: pl.Series, found: pl.DataFrame) -> Message | None:
        """Return what to say of the keys that no record has, None where there are none."""
        missing = ", ".join(self.missing(texts, found))
        return msg("{object} has no record with the key {keys}.", object=self.object, keys=missing) if missing else None

    def _found(self, values: pl.Series) -> pl.DataFrame:
        if values.is_empty():
            return self.schema.empty()
        found = self.retry(lambda: self.connector.lookup(self.object, self.schema, self.key, values))
        return found.select(self.schema.names)


class Parked:
    """The records of a side that wait in the quarantine and that this run has not met yet."""

    def __init__(self, tx: sa.Connection, claim: Claim, side: str) -> None:
        self.claim, self.side = claim, side
        q = quarantine.c
        mine = (q.rule_id == claim.rule_id, q.side == side, q.state == "open", q.run_id != claim.run_id)
        rows = tx.execute(sa.select(q.left_key, q.place, q.stage).where(*mine).order_by(q.id))
        self._keys = dict.fromkeys(row.left_key for row in rows if has_key(row))
        self._gone: list[str] = []

    def met(self, keys: Sequence[str | None] | pl.Series) -> None:
        """Take note of keys that the run has handled."""
        if self._keys:
            for key in keys:
                self._keys.pop(str(column_text(key)), None)

    def met_among(self, met: KeySet) -> None:
        """Take note of keys that the run has handled."""
        if self._keys:
            keys = pl.Series(list(self._keys), dtype=pl.String)
            self.met(keys.filter(met.has(keys)))

    def pages(self, lookup: Lookup) -> Iterator[pl.DataFrame]:
        """Yield the records as the source holds them now; what cannot be read waits on as it is."""
        texts = pl.Series(list(self._keys), dtype=pl.String)
        asked = 0
        for page in lookup.read(texts):
            done = int(page.position["looked_up"])
            self._gone += lookup.missing(texts[asked:done], page.records)
            asked = done
            if not page.records.is_empty():
                yield page.records

    def gone(self, tx: sa.Connection) -> list[int]:
        """Return the entries whose records are gone from the source: nothing of them is left to be written.

        What this run has parked itself is not among them: the partner of such a record could not be deleted.
        """
        q, run_id = quarantine.c, self.claim.run_id
        mine = (q.rule_id == self.claim.rule_id, q.side == self.side, q.state == "open", q.run_id != run_id)
        rows = tx.execute(sa.select(q.id, q.left_key).where(*mine)).all() if self._gone else []
        return [row.id for row in rows if row.left_key in set(self._gone)]


def unmet(tx: sa.Connection, claim: Claim) -> list[int]:
    """Return the entries of records that a live run was asked for and has neither settled nor parked again.

    The source has no such record any more, or the rule leaves it out: nothing of it is left to be written.
    """
    if not claim.live or claim.kind != "records":
        return []
    q, found = quarantine.c, []
    mine = (q.rule_id == claim.rule_id, q.state == "open", q.run_id != claim.run_id)
    for side in SideName:
        asked = set(asked_keys(claim.parameters, side.value))
        rows = tx.execute(sa.select(q.id, q.left_key, q.place, q.stage).where(*mine, q.side == side.value))
        found += [row.id for row in rows if row.left_key in asked and has_key(row)]
    return found


def has_key(row: Any) -> bool:
    """Tell whether an entry is known by the key of its record, whole, and not by its place."""
    by_place = row.stage == "repeated" or row.left_key.startswith(f"({row.place})")
    return not by_place and len(row.left_key) < _CUT and "\ufffd" not in row.left_key
