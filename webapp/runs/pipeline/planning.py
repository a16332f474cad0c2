"""From a page of source records to a chunk: scope, map, match, decide. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import polars as pl

from connectors.errors import RecordRejected
from connectors.spi import Connector, Page
from rules.decisions.asking import Asked
from rules.documents.defaults import actions
from rules.documents.sync import Action, DetectBy, SyncRule
from rules.mapping import Mapping as FieldMapping
from rules.reconcile.one_way import PARTNER, Batch, Decision, decide, key_text, key_values
from rules.reconcile.situations import REJECTED, Outcome, Situation
from rules.schema import Change, Op, Schema
from rules.text import Message, msg
from webapp.runs.pipeline.checked import of_verdicts
from webapp.runs.pipeline.chunk import OUTCOMES, ROW, Chunk, Write
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.correlating import Found
from webapp.runs.pipeline.draft import Draft
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.links import SCHEMA as LINK_SCHEMA
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.outcomes import reasons, rejected
from webapp.runs.pipeline.retry import at_once
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.unreadable import Look, found_by_halves, park_unreadable
from webapp.runs.pipeline.validating import Validating

_OUTCOME_OF: Mapping[str, Outcome] = {
    Action.CREATE: Outcome.CREATED,
    Action.RECREATE: Outcome.CREATED,
    Action.UPDATE: Outcome.UPDATED,
    Action.MERGE: Outcome.UPDATED,
    Action.LINK_UPDATE: Outcome.UPDATED,
    Action.LINK: Outcome.SKIPPED,
    Action.IGNORE: Outcome.SKIPPED,
    Action.UNLINK: Outcome.SKIPPED,
    Action.DELETE: Outcome.SKIPPED,
    Action.CASE: Outcome.QUARANTINED,
}
_WRITES = tuple(a for a, o in _OUTCOME_OF.items() if o in (Outcome.CREATED, Outcome.UPDATED))
_HOLDS = (Outcome.CREATED.value, Outcome.UPDATED.value, Outcome.UNCHANGED.value)


class Planner:
    """Plans the chunks of one run."""

    def __init__(
        self, rule: SyncRule, mapping: FieldMapping, target: Connector, schemas: tuple[Schema, Schema]
    ) -> None:
        self.rule = rule
        self.sides = Sides.of(rule)
        self.mapping = mapping
        self.target = target
        self.source_schema, target_schema = schemas
        self.full = self.sides.detect.by is DetectBy.FULL
        self.actions = self.sides.seen_from_source({n: a.value for n, a in actions(rule).items()})
        mapped = tuple(n for n in target_schema.names if n in mapping.names)
        self.fields = self.sides.target_fields(rule, mapped)
        sought = {*mapped, self.sides.target_key, *(t for _, t in self.sides.matches(rule))}
        self.whole_target = target_schema
        self.target_schema = target_schema.select(tuple(n for n in target_schema.names if n in sought))
        self.seen, self.met = KeySet(), KeySet()
        self._coming = KeySet(), KeySet()
        self.matches = self.sides.matches(rule)
        self.found: Found | None = None
        """Partners that were found by comparing all with all; None where look-ups by value are enough."""
        self.retry: Callable[[Callable[[], pl.DataFrame]], pl.DataFrame] = at_once
        self.replaying = False
        self.asks_links = False
        self.validating: Validating | None = None
        self.at = datetime.fromtimestamp(0, UTC)

    def plan(self, page: Page, no: int, first: int, links: Links) -> Chunk:
        """Return the chunk of a page whose first record has the run-wide number `first`."""
        draft = Draft(page.records, first)
        keys = key_text(page.records[self.sides.source_key])
        self.check_keys(draft, keys)
        in_scope = self.scope(draft)
        asked = self.decide(draft, in_scope)
        self.validate(draft, asked.batch, in_scope, keys)
        mapped = self.mapping.apply(asked.batch)
        for error in mapped.errors:
            if in_scope[error.row]:
                draft.park(error.row, error.stage, error.message, error.field)
        known = links.find(keys)
        named = self._named(draft, known, keys, in_scope)
        wanted = draft.usable & in_scope
        partner, partners = self.partners(draft, named, mapped.records, wanted)
        batch = Batch(draft.usable, in_scope, known.is_not_null(), partner, mapped.records, mapped.applies, partners)
        decision = decide(batch, self.fields, self.actions)
        self._park_cases(draft, decision)
        self._check_partners(draft, batch, decision, links)
        chunk = _Assembly(self, draft, keys, known, batch, decision).chunk(no, page)
        return replace(chunk, hits=asked.hits(in_scope))

    def expect(self, chunk: Chunk) -> None:
        """Take note of a chunk that is about to be written: what it is going to hold counts as met from now on."""
        if self.validating is not None:
            self.validating.remember(chunk.checked.marks)
        if self._notes:
            self._coming = KeySet(chunk.outcomes["left_key"]), KeySet(_held(chunk.outcomes))

    def confirm(self, outcomes: pl.DataFrame) -> None:
        """Take note of keys that the run has handled, so that a second one is noticed.

        The keys of a replay are not: links tell what its records would take from others.
        """
        if self._notes:
            self.seen.add(outcomes["left_key"])
            self.met.add(_held(outcomes))
            self._coming = KeySet(), KeySet()  # last, as another thread may be asking

    def remember(self, outcomes: pl.DataFrame, marks: pl.DataFrame) -> None:
        """Take note of a chunk that was done earlier."""
        if self.validating is not None:
            self.validating.remember(marks)
        self.confirm(outcomes)

    @property
    def _notes(self) -> bool:
        return self.full and not self.replaying

    def _named(self, draft: Draft, known: pl.Series, keys: pl.Series, in_scope: pl.Series) -> pl.Series:
        """Return the keys of partners by link, or as comparing all with all has found them; park what is in doubt."""
        if self.found is None:
            return known
        side = "right" if self.sides.reverse else "left"
        situations = self.found.situations(side, keys).set(known.is_not_null() | ~in_scope, None)
        for row in situations.is_not_null().arg_true().to_list():
            named = self.found.candidates(side, keys[row])
            text = msg(
                "It may be the same as {keys} of {target}, but that is not certain. Complete the records, or the rule.",
                keys=", ".join(named["key"].to_list()),
                target=self.sides.target.object,
            )
            draft.park(row, "match", text)
        return pl.select(pl.coalesce(known, self.found.partners(side, keys))).to_series()

    def check_keys(self, draft: Draft, keys: pl.Series) -> None:
        """Park records without a key, and those whose key has occurred already."""
        name = self.sides.source_key
        for row in keys.is_null().arg_true():
            draft.park(row, "match", msg("The key field '{field}' is empty.", field=name), name)
        repeated = (~keys.is_first_distinct() & keys.is_not_null()) | self._coming[0].has(keys) | self.seen.has(keys)
        for row in repeated.arg_true():
            text = msg(
                "The key '{key}' occurs more than once in {object}.", key=keys[row], object=self.sides.source.object
            )
            draft.park(row, "repeated", text, name)

    def scope(self, draft: Draft) -> pl.Series:
        """Return which records are in the rule's scope; those for which that cannot be said are parked."""
        mask, errors = self.mapping.where(draft.records)
        for error in errors:
            draft.park(error.row, "scope", error.message, "where")
        return mask

    def decide(self, draft: Draft, in_scope: pl.Series) -> Asked:
        """Return the records with the outputs of the rule's decision tables."""
        asked = self.mapping.ask(draft.records, self.at)
        for name, error in asked.errors:
            if in_scope[error.row]:
                draft.park(error.row, "decide", error.message, name)
        return asked

    def validate(self, draft: Draft, records: pl.DataFrame, in_scope: pl.Series, keys: pl.Series) -> None:
        """Park or leave out the records that do not meet the rule's validations."""
        if self.validating is None:
            return
        verdicts = self.validating.ask(records, draft.usable & in_scope, keys)
        draft.checked = of_verdicts(verdicts, self.validating.severities, draft.first, keys)
        for row, verdict in verdicts.blocking.items():
            draft.fail(row, verdict)

    def partners(
        self, draft: Draft, known: pl.Series, mapped: pl.DataFrame, wanted: pl.Series
    ) -> tuple[pl.Series, pl.DataFrame]:
        """Return the text under which each record's partner is sought, and the partners found in the target."""
        key = self.sides.target_key
        by_key = pl.select(pl.coalesce(known, key_text(mapped[key]))).to_series() if key in mapped.columns else known
        sought = ("k:" + by_key).set(~wanted, None)
        bad: dict[str, RecordRejected] = {}
        found = [self._lookup(key, by_key.filter(wanted), "k:", bad)]
        for tier, (source_field, target_field) in enumerate(self.matches):
            mark, texts = f"{tier}:", key_text(draft.records[source_field])
            values = key_text(key_values(texts, self.target_schema[target_field].dtype))
            open_ = wanted & sought.is_null() & (values != "").fill_null(value=False)
            found.append(self._lookup(target_field, values.filter(open_), mark, bad))
            there = pl.concat([found[-1][PARTNER], pl.Series([*bad], dtype=pl.String)])
            hits = open_ & (mark + values).is_in(there.implode())
            sought = sought.zip_with(~hits, mark + values)
        park_unreadable(draft, sought, bad, self.sides.target.object)
        return sought, pl.concat(found)

    def _lookup(self, name: str, texts: pl.Series, mark: str, bad: dict[str, RecordRejected]) -> pl.DataFrame:
        values = key_values(texts.drop_nulls().unique(), self.target_schema[name].dtype).drop_nulls().alias(name)
        found = self.target_schema.empty()
        if not values.is_empty():
            thing = (self.sides.target.object, self.target_schema, name)
            look: Look = lambda part: self.retry(lambda: self.target.lookup(*thing, part))  # noqa: E731
            found = pl.concat([found, *found_by_halves(look, values, bad, mark)])
        return found.with_columns((mark + key_text(found[name])).alias(PARTNER))

    def _park_cases(self, draft: Draft, decision: Decision) -> None:
        cases = decision.found.with_row_index("row").filter(pl.col("action") == Action.CASE)
        for row, situation in cases.select("row", "situation").iter_rows():
            draft.park(row, "match", _why(Situation(situation), self.sides.target.object))

    def _check_partners(self, draft: Draft, batch: Batch, decision: Decision, links: Links) -> None:
        """Park records that would change their partner's key, or write to the partner of another record.

        A run over some records does not meet the others of its rule and asks the links instead. A run over all does
        not: the record that a link names may be gone from the source.
        """
        key, target = self.sides.target_key, self.sides.target.object
        partner, own = key_text(decision.partners[key]), _own_keys(batch.mapped, key)
        acts = decision.found["action"].is_in(_WRITES).fill_null(value=False)
        moved = acts & decision.found["changed"].list.contains(key).fill_null(value=False)
        for row in moved.arg_true():
            text = msg(
                "Its record in {target} has the key '{old}', and the rule now gives '{new}'. Keys are not changed: map"
                " the field only on create, or change the key in {target}.",
                target=target,
                old=partner[row],
                new=own[row],
            )
            draft.park(row, "match", text, key)
        holds = acts | (decision.found["situation"] == Situation.LINKED_UNCHANGED).fill_null(value=False)
        right = pl.select(pl.coalesce(partner, own)).to_series().set(~(holds & draft.usable), None)
        again = ~right.is_first_distinct() | self._coming[1].has(right) | self.met.has(right)
        if self.asks_links:
            again |= links.taken(right) & (decision.found["situation"] == Situation.UNLINKED).fill_null(value=False)
        for row in (again & right.is_not_null()).arg_true():
            text = msg(
                "Another record has the record '{key}' of {target} as its partner already; make the key or the match"
                " unique.",
                key=right[row],
                target=target,
            )
            draft.park(row, "match", text, key)


def without_deletes(actions: Mapping[str, str]) -> dict[str, str]:
    """Return actions of which none deletes."""
    return {name: Action.IGNORE.value if action == Action.DELETE else action for name, action in actions.items()}


def _held(outcomes: pl.DataFrame) -> pl.Series:
    """Return the keys of the target's records that outcomes have as partners."""
    return outcomes.filter(pl.col("outcome").is_in(_HOLDS))["right_key"]


def _own_keys(mapped: pl.DataFrame, key: str) -> pl.Series:
    """Return the keys that the rule itself gives to records of the target."""
    return key_text(mapped[key]) if key in mapped.columns else pl.Series([None] * mapped.height, dtype=pl.String)


def _why(situation: Situation, target: str) -> Message:
    if situation is Situation.DISPUTED:
        return msg("More than one record of {target} fits; make the match unique.", target=target)
    if situation is Situation.DELETED_RIGHT:
        return msg("Its record in {target} is gone; decide whether to create it again.", target=target)
    return msg("The rule wants a person to decide about this record ({situation}).", situation=situation.value)


@dataclass
class _Assembly:
    """Puts a chunk together from what was decided."""

    planner: Planner
    draft: Draft
    keys: pl.Series
    known: pl.Series
    batch: Batch
    decision: Decision

    def chunk(self, no: int, page: Page) -> Chunk:
        outcomes = self._outcomes()
        writes = (*self._creates(outcomes), *self._updates(outcomes), *self._deletes(outcomes))
        outcomes = pl.concat([self._with_texts(outcomes, writes), self._rejected(page)])
        links = self._links(outcomes)
        outcomes = outcomes.with_columns(pl.col("situation").replace(self.planner.sides.mirrored))
        place = dict(page.position)
        draft = self.draft
        chunk = Chunk(no, outcomes, writes, links, place, checked=draft.checked, left_out=page.left_out)
        return replace(chunk, records=draft.records.with_row_index(ROW))

    def _outcomes(self) -> pl.DataFrame:
        found, draft = self.decision.found, self.draft
        right = key_text(self.decision.partners[self.planner.sides.target_key])
        own = self.planner.sides.target_key
        mapped = self.batch.mapped
        given = _own_keys(mapped, own)
        outcome = found["action"].replace_strict({a: o.value for a, o in _OUTCOME_OF.items()}, default=None)
        frame = found.with_columns(
            record_no=pl.int_range(draft.first, draft.first + found.height, dtype=pl.Int64, eager=True),
            left_key=self.keys,
            right_key=pl.when(outcome == Outcome.CREATED).then(given).otherwise(pl.coalesce(right, self.known, given)),
            outcome=outcome,
            usable=draft.usable,
            same=found["changed"].list.len() == 0,
        )
        unchanged = (pl.col("outcome") == Outcome.UPDATED) & pl.col("same") | (
            pl.col("situation") == Situation.LINKED_UNCHANGED
        )
        return frame.with_columns(
            situation=pl.when(draft.rejected).then(pl.lit(REJECTED)).otherwise("situation"),
            outcome=pl.when(draft.rejected)
            .then(pl.lit(Outcome.SKIPPED.value))
            .when(~pl.col("usable"))
            .then(pl.lit(Outcome.QUARANTINED.value))
            .when(unchanged)
            .then(pl.lit(Outcome.UNCHANGED.value))
            .otherwise("outcome"),
        )

    def _creates(self, outcomes: pl.DataFrame) -> Iterator[Write]:
        mask = outcomes["outcome"] == Outcome.CREATED
        names = [f.name for f in self.planner.fields if f.on_create]
        left_alone = [n for n in names if n in self.batch.applies]
        rows = mask.arg_true()
        signature = (
            pl.DataFrame({n: self.batch.applies[n] for n in left_alone}).with_row_index("row") if left_alone else None
        )
        for applies, part in groups(rows, signature):
            kept = [n for n in names if applies.get(n, True)]
            records = self.batch.mapped.select(kept)[part]
            yield Write(Change(Op.CREATE, self.planner.sides.target_key, records), part)

    def _updates(self, outcomes: pl.DataFrame) -> Iterator[Write]:
        key = self.planner.sides.target_key
        rows = (outcomes["outcome"] == Outcome.UPDATED).arg_true()
        if rows.is_empty():
            return
        sets = outcomes.select(fields=pl.col("changed").list.join("\x1f"))[rows].with_columns(row=rows)
        for (fields,), part in sets.group_by("fields", maintain_order=True):
            names = str(fields).split("\x1f")
            values = self.batch.mapped.select(names)[part["row"]]
            values.insert_column(0, self.decision.partners[key][part["row"]])
            yield Write(Change(Op.UPDATE, key, values), part["row"])

    def _deletes(self, outcomes: pl.DataFrame) -> Iterator[Write]:
        key = self.planner.sides.target_key
        mask = (outcomes["action"] == Action.DELETE) & outcomes["usable"] & self.known.is_not_null()
        rows = mask.fill_null(value=False).arg_true()
        if not rows.is_empty():
            values = key_values(self.known[rows], self.planner.target_schema[key].dtype).alias(key)
            yield Write(Change(Op.DELETE, key, values.to_frame()), rows)

    def _with_texts(self, outcomes: pl.DataFrame, writes: tuple[Write, ...]) -> pl.DataFrame:
        """Add before and after of what is updated; of created records they are made when somebody wants to read."""
        texts: dict[str, list[str | None]] = {"before": [None] * outcomes.height, "after": [None] * outcomes.height}
        for write in writes:
            if write.change.op is Op.UPDATE:
                names = [n for n in write.change.records.columns if n != write.change.key]
                _put(texts["after"], write.rows, to_texts(write.change.records.select(names)))
                _put(texts["before"], write.rows, to_texts(self.decision.partners.select(names)[write.rows]))
        added = [pl.Series(name, values, dtype=pl.String) for name, values in texts.items()]
        added += reasons(self.draft.parked, outcomes["record_no"]).values()
        nothing = {name: pl.lit(None, dtype=pl.String) for name in ("record", "raw", "own_before", "own_after")}
        side = pl.lit("right" if self.planner.sides.reverse else "left")
        return outcomes.with_columns(*added, **nothing, side=side).select(*OUTCOMES)

    def _rejected(self, page: Page) -> pl.DataFrame:
        side = "right" if self.planner.sides.reverse else "left"
        return rejected(page, side, self.draft.first + self.draft.records.height)

    def _links(self, outcomes: pl.DataFrame) -> pl.DataFrame:
        """Return the links that are new or gone; those of created records get their right key when it is written."""
        head = outcomes.head(self.draft.records.height).with_columns(
            known=self.known, action=self.decision.found["action"]
        )
        met = head.filter(
            pl.col("outcome").is_in([Outcome.UPDATED, Outcome.UNCHANGED, Outcome.CREATED])
            | (pl.col("action") == Action.LINK),
            pl.col("known").ne_missing(pl.col("right_key")),
        )
        gone = head.filter(
            pl.col("situation") == Situation.OUT_OF_SCOPE,
            pl.col("action").is_in([Action.UNLINK, Action.DELETE]),
            pl.col("known").is_not_null(),
        ).with_columns(right_key=pl.lit(None, dtype=pl.String))
        return pl.concat([met.select(*LINK_SCHEMA), gone.select(*LINK_SCHEMA)])


def _put(target: list[str | None], rows: pl.Series, values: list[str]) -> None:
    for row, value in zip(rows.to_list(), values, strict=True):
        target[row] = value


def groups(rows: pl.Series, signature: pl.DataFrame | None) -> Iterator[tuple[dict[str, bool], pl.Series]]:
    """Yield rows that set the same fields together, with which of the conditional fields they set."""
    if rows.is_empty():
        return
    if signature is None:
        yield {}, rows
        return
    names = [n for n in signature.columns if n != "row"]
    for values, part in signature[rows].group_by(names, maintain_order=True):
        yield dict(zip(names, values, strict=True)), part["row"]
