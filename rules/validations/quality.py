"""How complete a set of records is: measured batch by batch, in bounded memory, and weighed to one score.

The score goes from 0 to 100. It is the weighted mean of the parts:

- each field counts with the share of records in which it is filled, times the share of its values that have the form
  that is known for it (an e-mail address, say; 1 where no form is known). Its weight is 3 if it is required, 2 if rules
  map it, else 1;
- each validation counts with the share of the records asked that meet it. Its weight is 3, or 1 if it only warns.

A part that nothing can be said of (no records, a validation asked of none) does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from rules.documents.validation import OnFailure, Validation
from rules.schema import Field, FieldType
from rules.validations.verdicts import Tally

REQUIRED, MAPPED, OTHER = 3, 2, 1
BLOCKING, WARNING = 3, 1
COUNTED = 1_000_000
"""So many different values of a field are counted; of more it is only said that there are more."""
_HELD = 250_000


@dataclass(frozen=True)
class FieldQuality:
    """One field: in how many records it is filled, how many different values there are, how many have their form.

    `form` names the form that is known for the values, empty where none is; `distinct` is None beyond `COUNTED`.
    """

    name: str
    weight: int
    records: int
    filled: int
    distinct: int | None
    form: str = ""
    valid: int = 0

    @property
    def score(self) -> float | None:
        """Return the share that counts, None where there are no records."""
        if not self.records:
            return None
        share = self.filled / self.records
        return share * self.valid / self.filled if self.form and self.filled else share


@dataclass(frozen=True)
class ValidationQuality:
    """One validation: of how many records it was asked, and how many of those meet it."""

    name: str
    severity: str
    message: str
    weight: int
    asked: int
    met: int

    @classmethod
    def of(cls, validation: Validation, tally: Tally) -> ValidationQuality:
        """Return what a tally says of a validation."""
        weight = WARNING if validation.severity is OnFailure.WARN else BLOCKING
        return cls(validation.name, validation.severity.value, validation.message, weight, tally.asked, tally.met)

    @property
    def score(self) -> float | None:
        """Return the share that counts, None where it was asked of no record."""
        return self.met / self.asked if self.asked else None


@dataclass(frozen=True)
class Quality:
    """The measures of a set of records."""

    records: int
    fields: tuple[FieldQuality, ...]
    validations: tuple[ValidationQuality, ...] = ()

    @property
    def score(self) -> float | None:
        """Return the score from 0 to 100 to one decimal place, None where nothing can be said."""
        every: list[FieldQuality | ValidationQuality] = [*self.fields, *self.validations]
        parts = [(part.score, part.weight) for part in every]
        known = [(score, weight) for score, weight in parts if score is not None]
        if not known:
            return None
        return round(100 * sum(score * weight for score, weight in known) / sum(weight for _, weight in known), 1)

    def to_json(self) -> dict[str, Any]:
        """Return a plain form; `from_json` reads it."""
        fields, validations = ([asdict(part) for part in parts] for parts in (self.fields, self.validations))
        return {"records": self.records, "fields": fields, "validations": validations}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Quality:
        """Return the measures that `to_json` gave."""
        fields = tuple(FieldQuality(**part) for part in data["fields"])
        return cls(data["records"], fields, tuple(ValidationQuality(**part) for part in data["validations"]))


@dataclass(frozen=True)
class Form:
    """What values of a field look like: a name for it, and a pattern of the regular expressions of polars."""

    name: str
    pattern: str


class Measure:
    """Measures fields, batch by batch."""

    def __init__(self, fields: Iterable[Field], weights: Mapping[str, int], forms: Mapping[str, Form]) -> None:
        self._weights = weights
        self._forms = forms
        self._fields = {f.name: _Counter(f, forms.get(f.name)) for f in fields}
        self.records = 0

    def add(self, batch: pl.DataFrame) -> None:
        """Take a batch into account."""
        self.records += batch.height
        for name, counter in self._fields.items():
            counter.add(batch[name])

    def result(self, validations: Sequence[ValidationQuality] = ()) -> Quality:
        """Return the measures so far."""
        fields = tuple(
            FieldQuality(
                name,
                self._weights.get(name, OTHER),
                self.records,
                counter.filled,
                counter.distinct,
                counter.form.name if counter.form else "",
                counter.valid,
            )
            for name, counter in self._fields.items()
        )
        return Quality(self.records, fields, tuple(validations))


class _Counter:
    """Counts one field; different values by the hashes of their texts, of which at most some are held at a time."""

    def __init__(self, field: Field, form: Form | None) -> None:
        self.form = form if field.type is FieldType.TEXT else None
        self.filled = 0
        self.valid = 0
        self._seen = pl.Series([], dtype=pl.UInt64)
        self._fresh: list[pl.Series] = []
        self._waiting = 0
        self._beyond = False

    def add(self, column: pl.Series) -> None:
        full = column.drop_nulls()
        if full.dtype == pl.String:
            full = full.filter(full != "")
        self.filled += len(full)
        if self.form is not None:
            self.valid += int(full.str.contains(self.form.pattern).sum())
        if not self._beyond:
            self._fresh.append(full.hash().unique())
            self._waiting += len(self._fresh[-1])
            if self._waiting >= _HELD:
                self._merge()

    @property
    def distinct(self) -> int | None:
        """Return how many different values there are, None if too many."""
        self._merge()
        return None if self._beyond else len(self._seen)

    def _merge(self) -> None:
        self._seen = pl.concat([self._seen, *self._fresh]).unique()
        self._fresh, self._waiting = [], 0
        if len(self._seen) > COUNTED:
            self._seen, self._beyond = self._seen.clear(), True
