"""A range that a database carries out itself, as a chunk: what it has found, against the links of the rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from connectors.pushing import FOUND, KEY, Found, Push
from rules.documents.sync import Action
from rules.reconcile.one_way import PARTNER, Batch, Decision, decide, key_text
from rules.reconcile.situations import Outcome, Situation
from rules.validations.uniqueness import MARKS
from rules.validations.verdicts import Tally, Verdicts
from webapp.runs.pipeline.checked import Checked, nothing, of_verdicts
from webapp.runs.pipeline.chunk import ROW, Chunk
from webapp.runs.pipeline.links import SCHEMA as LINK_SCHEMA
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.made import Made
from webapp.runs.pipeline.one_way_chunk import OUTCOME_OF
from webapp.runs.pipeline.outcomes import outcomes_of, put
from webapp.runs.pipeline.planning import Planner

ASIDE = "aside"
"""In the position behind a range: the keys of its records that Syncline looks at next."""
SHOWN = 200
"""Of so many records that a range would create a simulation shows the values."""
_LINKED = {Found.SAME: Situation.LINKED_UNCHANGED, Found.DIFFERENT: Situation.LINKED_CHANGED}
_DOES = {
    Found.OUTSIDE: (Outcome.SKIPPED,),
    Found.MISSING: (Outcome.CREATED,),
    Found.SAME: (Outcome.UPDATED, Outcome.SKIPPED),
    Found.DIFFERENT: (Outcome.UPDATED,),
}


class Range:
    """What becomes of the records of a range; `creates`, `updates` and `names` are what the database has to write."""

    def __init__(self, planner: Planner, links: Links, push: Push, numbered: int) -> None:
        self._planner, self._push, self._first = planner, push, numbered + 1
        rows = push.rows
        texts = key_text(rows[KEY])
        known = links.find(texts)
        self._rows = rows.with_columns(key=texts, known=known, situation=_situations(rows[FOUND], known))
        action = self._rows["situation"].replace_strict(planner.actions, default=None, return_dtype=pl.String)
        self._rows = self._rows.with_columns(action=action)
        self._certain = ~self._doubtful(links)
        self.decision = self._decide()
        kept = self._rows.filter(self._certain)
        new = kept.filter(pl.col(FOUND) == Found.MISSING)[KEY]
        self.creates = None if new.len() == rows.height else new
        self.updates = kept.filter(pl.col(FOUND) == Found.DIFFERENT)[KEY]

    @property
    def names(self) -> list[str]:
        """Return the fields that differ in some record."""
        return sorted({name for names in self.decision[0].found["changed"].to_list() for name in names})

    @property
    def writes(self) -> bool:
        """Tell whether anything is written."""
        return bool(self._rows.height) and (self.creates is None or bool(self.creates.len() + self.updates.len()))

    def chunk(self, no: int, position: Mapping[str, Any], *, sample: bool) -> Chunk:
        """Return the chunk of the range; with `sample` it shows values of records that would be created."""
        kept = self._rows.filter(self._certain)
        numbers = pl.int_range(self._first, self._first + kept.height, dtype=pl.Int64, eager=True).alias("record_no")
        kept = kept.with_columns(numbers)
        aside = self._rows.filter(~self._certain)["key"].to_list()
        place = {**position, **({ASIDE: aside} if aside else {})}
        outcomes = self._outcomes(kept)
        made = self._made(kept) if sample else ()
        return Chunk(no, outcomes, (), self._links(kept), place, checked=self._checked(kept), made=made)

    def _doubtful(self, links: Links) -> pl.Series:
        """Return a mask of the records that Syncline has to look at itself."""
        rows, odd = self._rows, links.rows.filter(pl.col("left_key") != pl.col("right_key"))["right_key"]
        outcome = rows["action"].replace_strict(
            {action: outcome.value for action, outcome in OUTCOME_OF.items()}, default=None, return_dtype=pl.String
        )
        fits = pl.repeat(value=False, n=rows.height, eager=True)
        for found, allowed in _DOES.items():
            fits |= (rows[FOUND] == found) & outcome.is_in([one.value for one in allowed]).fill_null(value=False)
        left = (rows[FOUND] == Found.OUTSIDE) & rows["known"].is_not_null()
        left |= (rows[FOUND] == Found.SAME) & (rows["action"] == Action.LINK).fill_null(value=False)
        left |= (rows["situation"] == Situation.UNLINKED) & (rows["action"] != Action.LINK_UPDATE)
        elsewhere = (rows["known"] != rows["key"]).fill_null(value=False) | rows["key"].is_in(odd.implode())
        return ~fits | left.fill_null(value=False) | elsewhere

    def _decide(self) -> tuple[Decision, pl.DataFrame]:
        """Return what is changed of the records that differ, with the values that they get."""
        rows = self._rows.filter(self._certain & (self._rows[FOUND] == Found.DIFFERENT))
        values, applies = self._push.values(rows[KEY]) if rows.height else self._nothing()
        order = rows.select(KEY).join(
            values.select(KEY).with_row_index(ROW), on=KEY, how="left", maintain_order="left"
        )[ROW]
        values = values[order]
        held = self._push.held(rows[KEY]) if rows.height else self._planner.target_schema.empty()
        held = held.with_columns(key_text(held[self._planner.sides.target_key]).alias(PARTNER))
        yes = pl.repeat(value=True, n=rows.height, eager=True)
        masks = {name: applies[name][order] for name in applies.columns}
        batch = Batch(yes, yes, rows["known"].is_not_null(), rows["key"], values.drop(KEY), masks, held)
        decision = decide(batch, self._planner.fields, self._planner.actions)
        if (decision.found["changed"].list.len() == 0).any():
            return self._without(rows["key"].filter(decision.found["changed"].list.len() == 0))
        return decision, values

    def _without(self, keys: pl.Series) -> tuple[Decision, pl.DataFrame]:
        """Let Syncline look at records in which it sees no difference where the database does."""
        self._certain &= ~self._rows["key"].is_in(keys.implode())
        return self._decide()

    def _nothing(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        schema = {KEY: self._rows[KEY].dtype, **self._planner.target_schema.dtypes()}
        return pl.DataFrame(schema=schema), pl.DataFrame()

    def _outcomes(self, kept: pl.DataFrame) -> pl.DataFrame:
        outcome = kept[FOUND].replace_strict(
            {
                Found.OUTSIDE: Outcome.SKIPPED.value,
                Found.MISSING: Outcome.CREATED.value,
                Found.SAME: Outcome.UNCHANGED.value,
                Found.DIFFERENT: Outcome.UPDATED.value,
            },
            return_dtype=pl.String,
        )
        before, after = self._texts(kept)
        sides = self._planner.sides
        frame = kept.select(
            "record_no",
            left_key="key",
            right_key="key",
            situation=pl.col("situation").replace(sides.mirrored),
            outcome=outcome,
            side=pl.lit(sides.source_name),
            before=before,
            after=after,
        )
        return outcomes_of(frame)

    def _texts(self, kept: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Return what updated records held before and hold after, by the fields that change."""
        decision, values = self.decision
        nothing = pl.repeat(None, kept.height, dtype=pl.String, eager=True)
        before, after = nothing, nothing
        rows = (kept[FOUND] == Found.DIFFERENT).arg_true()
        sets = decision.found.select(fields=pl.col("changed").list.join("\x1f")).with_row_index("at")
        for (fields,), part in sets.group_by("fields", maintain_order=True):
            names = str(fields).split("\x1f")
            after = put(after, rows[part["at"]], values.select(names)[part["at"]])
            before = put(before, rows[part["at"]], decision.partners.select(names)[part["at"]])
        return before, after

    def _links(self, kept: pl.DataFrame) -> pl.DataFrame:
        new = kept.filter(
            pl.col("known").is_null() & (pl.col(FOUND) != Found.OUTSIDE) | (pl.col(FOUND) == Found.MISSING)
        )
        none = {name: pl.lit(None, dtype=dtype) for name, dtype in LINK_SCHEMA.items()}
        return new.select(**{**none, "left_key": pl.col("key"), "right_key": pl.col("key")})

    def _checked(self, kept: pl.DataFrame) -> Checked:
        """Return how many records each validation was asked for: all that are kept meet it."""
        validating = self._planner.validating
        if validating is None:
            return nothing()
        asked = kept.filter(pl.col(FOUND) != Found.OUTSIDE)
        tallies = {}
        for number, validation in enumerate(self._planner.rule.validations):
            name = f"syncline_asked_{number}"
            count = int(asked[name].sum()) if name in asked.columns else asked.height
            tallies[validation.name] = Tally(count, count)
        verdicts = Verdicts((), tallies, pl.DataFrame(schema=MARKS))
        return of_verdicts(verdicts, validating.severities, kept["record_no"], kept["key"])

    def _made(self, kept: pl.DataFrame) -> tuple[Made, ...]:
        """Return the values of some records that would be created."""
        some = kept.filter(pl.col(FOUND) == Found.MISSING).head(SHOWN)
        if some.is_empty():
            return ()
        values, _ = self._push.values(some[KEY])
        ordered = some.select(KEY, "record_no").join(values, on=KEY, how="left", maintain_order="left")
        names = [field.name for field in self._planner.fields if field.on_create]
        return (Made(ordered["record_no"], ordered.select(names)),)


def _situations(found: pl.Series, known: pl.Series) -> pl.Series:
    """Return what is found of each record, seen from the source; null where that is not certain."""
    linked = {Found.MISSING: Situation.DELETED_RIGHT, **_LINKED}
    alone = {Found.MISSING: Situation.UNMATCHED_LEFT, **dict.fromkeys(_LINKED, Situation.UNLINKED)}
    named = [
        found.replace_strict(
            {one.value: situation.value for one, situation in {**some, Found.OUTSIDE: Situation.OUT_OF_SCOPE}.items()},
            default=None,
            return_dtype=pl.String,
        )
        for some in (linked, alone)
    ]
    return named[0].zip_with(known.is_not_null(), named[1]).alias("situation")
