"""References: the key of a record on one side becomes the key of the record that another rule has linked it to.

What a link table holds comes from outside; here it is only asked, a whole column at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import polars as pl

from rules.language.results import shown
from rules.mapping.convert import convert, refusal
from rules.mapping.results import Cause
from rules.reconcile.one_way import key_text, key_values
from rules.schema import Field
from rules.text import N_, Message, msg

STAGE = "reference"
"""The stage at which a record is parked that waits for the link of another one."""
_OTHER = {"left": "right", "right": "left"}


class Standing(StrEnum):
    """Why a record of a rule has no link."""

    UNKNOWN = "unknown"
    REMOVED = "removed"
    APART = "apart"
    PARKED = "parked"


_WHY = {
    Standing.UNKNOWN: N_("It waits for {object} {key} of the rule '{rule}', which is not linked yet."),
    Standing.PARKED: N_("It waits for {object} {key} of the rule '{rule}', which is in quarantine itself."),
    Standing.REMOVED: N_(
        "It refers to {object} {key} of the rule '{rule}', which was linked but is not any more: the record was"
        " deleted, or its link was removed."
    ),
    Standing.APART: N_(
        "It refers to {object} {key} of the rule '{rule}', which is to stay without a partner. Refer to another record,"
        " or link that one."
    ),
}


@dataclass(frozen=True)
class LinkEnd:
    """One side of a link table: where its records are, and the field that identifies them."""

    connection: str
    object: str
    key: Field


class LinkTable(Protocol):
    """The links of one sync rule as they are when they are first asked; keys are texts of `key_text`."""

    @property
    def ends(self) -> Mapping[str, LinkEnd]:
        """Return both sides by name."""

    def partners(self, side: str, keys: pl.Series) -> pl.Series:
        """Return the linked key of the other side for each key of a side, null where there is none."""

    def standing(self, side: str, keys: Sequence[str]) -> Mapping[str, Standing]:
        """Return why keys of a side have no link; what is not named is `UNKNOWN`."""


def side_of(ends: Mapping[str, LinkEnd], source: str, target: str) -> str | None:
    """Return the side of a rule that lies in the connection `source` while the other lies in `target`, None if none."""
    return next((s for s in _OTHER if (ends[s].connection, ends[_OTHER[s]].connection) == (source, target)), None)


@dataclass(frozen=True)
class Reference:
    """A field whose values are keys of records that `rule` links; they lie on the rule's `side`."""

    rule: str
    table: LinkTable
    side: str

    @property
    def own(self) -> LinkEnd:
        """Return where the records are that values refer to."""
        return self.table.ends[self.side]

    @property
    def other(self) -> LinkEnd:
        """Return where the records are that the written values refer to."""
        return self.table.ends[_OTHER[self.side]]

    def keys(self, values: pl.Series, source: Field) -> tuple[pl.Series, dict[int, Message]]:
        """Return the keys that values of a field stand for, and for each row that is none of their type why."""
        made = convert(values, source, self.own.key)
        return key_text(made.values), made.errors

    def partners(self, values: pl.Series, source: Field) -> pl.Series:
        """Return for each value the key of the linked record as text, null where there is none."""
        return self.table.partners(self.side, self.keys(values, source)[0])

    def values(self, values: pl.Series, source: Field, target: Field) -> tuple[pl.Series, dict[int, Cause]]:
        """Return the keys to be written, exactly in the target's type; empty stays empty."""
        keys, errors = self.keys(values, source)
        found = self.table.partners(self.side, keys)
        typed = key_values(found, self.other.key.dtype)
        made = convert(typed, self.other.key, target)
        causes = {row: Cause(why) for row, why in (errors | made.errors).items()}
        causes |= dict(self._waiting(keys, found))
        for row in (typed.is_null() & found.is_not_null()).arg_true().to_list():
            causes[row] = Cause(_no_key(found[row], self))
        return made.values.alias(target.name), causes

    def _waiting(self, keys: pl.Series, found: pl.Series) -> Iterator[tuple[int, Cause]]:
        rows = (keys.is_not_null() & found.is_null()).arg_true()
        if rows.is_empty():
            return
        standing = self.table.standing(self.side, keys[rows].unique().sort().to_list())
        for row, key in zip(rows.to_list(), keys[rows].to_list(), strict=True):
            text = _WHY[standing.get(key, Standing.UNKNOWN)]
            yield row, Cause(msg(text, object=self.own.object, key=key, rule=self.rule, side=self.side), stage=STAGE)


def _no_key(text: str, reference: Reference) -> Message:
    return msg(
        "The rule '{rule}' has linked it to {value}, which is no {type}.",
        rule=reference.rule,
        value=shown(text),
        type=reference.other.key.type.value,
    )


def referring(
    name: str, links: Mapping[str, Any], ends: tuple[str, str], fields: tuple[Field, Field]
) -> Reference | Message:
    """Return the reference of a field pair to the records of the rule `name`, or why there is none.

    Args:
        name: the rule whose links are meant.
        links: the link tables by rule.
        ends: the connections that values come from and go to.
        fields: the fields that values come from and go to.
    """
    if name not in links:
        return msg("There is no sync rule called '{name}'.", name=name)
    table: LinkTable = links[name]
    side = side_of(table.ends, *ends)
    if side is None:
        text = N_("The rule '{name}' does not lie between '{source}' and '{target}', so it has no keys for both.")
        return msg(text, name=name, source=ends[0], target=ends[1])
    found = Reference(name, table, side)
    refused = refusal(fields[0], found.own.key) or refusal(found.other.key, fields[1])
    return found if refused is None else refused


class SameKeys(Mapping[str, LinkTable]):
    """Link tables for examples: each record is linked to one with the same key; they fit wherever they are asked."""

    def __init__(self, links: Mapping[str, LinkTable]) -> None:
        self._links = links

    def __getitem__(self, name: str) -> LinkTable:
        return _Same(self._links[name].ends)

    def __iter__(self) -> Iterator[str]:
        return iter(self._links)

    def __len__(self) -> int:
        return len(self._links)


@dataclass(frozen=True)
class _Same:
    ends: Mapping[str, LinkEnd]

    def partners(self, side: str, keys: pl.Series) -> pl.Series:  # noqa: ARG002 - both sides have the same
        return keys

    def standing(self, side: str, keys: Sequence[str]) -> Mapping[str, Standing]:  # noqa: ARG002
        return {}
