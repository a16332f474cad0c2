"""From a page of source records to a chunk: scope, map, match, decide. Nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import polars as pl

from connectors.errors import RecordRejected
from connectors.ranges import KeyRange
from connectors.spi import Connector, Page
from rules.decisions.asking import Asked
from rules.documents.defaults import actions
from rules.documents.sync import Action, DetectBy, SyncRule
from rules.mapping import Mapping as FieldMapping
from rules.reconcile.one_way import PARTNER, Batch, Decision, decide, key_text, key_values
from rules.reconcile.situations import Outcome, Situation
from rules.schema import Schema
from rules.text import Message, msg
from rules.trace import read_fields
from webapp import tracing
from webapp.runs.pipeline import sent
from webapp.runs.pipeline.checked import of_verdicts
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.correlating import Found
from webapp.runs.pipeline.digests import Compared, Digests, beside, split
from webapp.runs.pipeline.draft import Draft
from webapp.runs.pipeline.keyset import KeySet
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.one_way_chunk import OUTCOME_OF, Assembly, own_keys, passed
from webapp.runs.pipeline.retry import at_once
from webapp.runs.pipeline.sent import Sent
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.steady import Hashing, Steady, hashing, unchanged
from webapp.runs.pipeline.unreadable import Look, found_by_halves, park_unreadable
from webapp.runs.pipeline.validating import Validating

_WRITES = tuple(a for a, o in OUTCOME_OF.items() if o in (Outcome.CREATED, Outcome.UPDATED))
_HOLDS = (Outcome.CREATED.value, Outcome.UPDATED.value, Outcome.UNCHANGED.value)


@dataclass(frozen=True)
class _Looked:
    """Records of a page as they were looked at: in scope or not, with the outputs of decision tables, their links."""

    draft: Draft
    keys: pl.Series
    in_scope: pl.Series
    batch: pl.DataFrame
    found: pl.DataFrame

    def only(self, mask: pl.Series) -> _Looked:
        """Return some of the records."""
        if mask.all():
            return self
        rest = (part.filter(mask) for part in (self.keys, self.in_scope, self.batch, self.found))
        return _Looked(self.draft.only(mask), *rest)  # type: ignore[arg-type]


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
        self.steady: Steady | None = None
        """What is as the rule has left it needs no second look; None where all records are looked at."""
        self.digests: Digests | None = None
        """How both systems make digests of their records, where comparing these is enough."""
        self.found: Found | None = None
        """Partners that were found by comparing all with all; None where look-ups by value are enough."""
        self.retry: Callable[[Callable[[], pl.DataFrame]], pl.DataFrame] = at_once
        self.expected: int | None = None
        """How many records the source is expected to hold, as far as that is known."""
        self.within: KeyRange | None = None
        """The only keys, on either side, that the run works on."""
        self.replaying = False
        self.partial = False
        """The run does not meet the keys of all records: some cannot be read, or the source leaves them out."""
        self.asks_links = False
        self.validating: Validating | None = None
        self.at = datetime.fromtimestamp(0, UTC)

    @tracing.step("map", lambda _planner, page, no, *_: {"syncline.chunk": no, "syncline.records": page.records.height})
    def plan(self, page: Page, no: int, first: int, links: Links) -> Chunk:
        """Return the chunk of a page whose first record has the run-wide number `first`."""
        behind = first + page.records.height
        self.partial |= bool(page.rejects)
        records, now = self.noted(page.records)
        whole = Draft(records, pl.int_range(first, behind, dtype=pl.Int64, eager=True), behind=behind)
        keys = key_text(records[self.sides.source_key])
        self.check_keys(whole, keys)
        in_scope = self.scope(whole)
        asked = self.decide(whole, in_scope)
        self.validate(whole, asked.batch, in_scope, keys)
        looked = _Looked(whole, keys, in_scope, asked.batch, links.known(keys).with_columns(digest=now))
        still = self._still(looked, records)
        rest = pl.DataFrame({"left_key": keys, "right_key": looked.found["right_key"]}).filter(still)
        numbers = whole.numbers.filter(still)
        if isinstance(page, Compared):
            rest, numbers = rest.vstack(page.passed), numbers.append(_numbers(page, behind))
        left = looked.only(~still)
        decided = still.all() and not page.rejects
        chunk = passed(left.draft, no, page) if decided else self._decided(left, rest["right_key"], links, (no, page))
        learnt = pl.concat([chunk.links, self.steady.learnt(keys, looked.found, still)]) if self.steady else chunk.links
        outcomes = pl.concat([chunk.outcomes, unchanged(numbers, rest, self._side)])
        return replace(chunk, outcomes=outcomes, links=learnt, hits=asked.hits(in_scope))

    @property
    def written(self) -> Schema:
        """Return the fields of the target that are written: those that are mapped, and the mark of what is gone."""
        deactivate = self.rule.deletes.deactivate
        mark = deactivate.left if self.sides.reverse else deactivate.right
        names = {*self.target_schema.names, *(() if mark is None else (mark.field,))}
        return self.whole_target.select(tuple(n for n in self.whole_target.names if n in names))

    def noted(self, records: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return records without their digests, and these as they are kept beside the links."""
        plain, digests = split(records)
        return plain, digests if self.hashing is None else self.hashing.digest(digests, plain)

    def _still(self, looked: _Looked, records: pl.DataFrame) -> pl.Series:
        """Return a mask of the records that are as the rule has left them, and whose partner nobody else has taken."""
        steady = self.steady or self._as_sent
        if steady is None:
            return pl.repeat(value=False, n=records.height, dtype=pl.Boolean, eager=True)
        return steady.mask(records, looked.found) & looked.draft.usable & ~self.taken(looked.found["right_key"])

    def taken(self, partner: pl.Series) -> pl.Series:
        """Return a mask of the partners that the run has met."""
        return self._coming[1].has(partner) | self.met.has(partner)

    def _decided(self, looked: _Looked, steady: pl.Series, links: Links, place: tuple[int, Page]) -> Chunk:
        """Return the chunk of records of which something may have changed; `steady` are the partners of the others."""
        draft, keys, in_scope, known = looked.draft, looked.keys, looked.in_scope, looked.found["right_key"]
        mapped = self.mapping.apply(looked.batch)
        for error in mapped.errors:
            if in_scope[error.row]:
                draft.park(error.row, error.stage, error.message, error.field)
        named = self._named(draft, known, keys, in_scope)
        wanted = draft.usable & in_scope
        partner, partners = self.partners(draft, named, mapped.records, wanted)
        batch = Batch(draft.usable, in_scope, known.is_not_null(), partner, mapped.records, mapped.applies, partners)
        decision = decide(batch, self.fields, self.actions)
        if self._sends:
            decision = sent.whole(decision, batch, self.fields, self.sides.target_key, self.actions)
        self._park_cases(draft, decision)
        self._check_partners(draft, batch, decision, (links, steady))
        return Assembly(self, draft, keys, looked.found, batch, decision).chunk(*place)

    def expect(self, chunk: Chunk) -> None:
        """Take note of a chunk that is about to be written: what it is going to hold counts as met from now on."""
        if self.validating is not None:
            self.validating.remember(chunk.checked.marks)
        if self._notes:
            own, held = chunk.outcomes["left_key"], _held(chunk.outcomes)
            first = KeySet(own)
            self._coming = first, first if held.equals(own, null_equal=True) else KeySet(held)

    def confirm(self, outcomes: pl.DataFrame) -> None:
        """Take note of keys that the run has handled, so that a second one is noticed.

        The keys of a replay are not: links tell what its records would take from others.
        """
        if self._notes:
            self.seen.update(self._coming[0], outcomes["left_key"])
            self.met.update(self._coming[1], _held(outcomes))
            self._coming = KeySet(), KeySet()  # last, as another thread may be asking

    def remember(self, outcomes: pl.DataFrame, marks: pl.DataFrame) -> None:
        """Take note of a chunk that was done earlier."""
        if self.validating is not None:
            self.validating.remember(marks)
        self.partial |= bool((outcomes["stage"] == "read").any())
        self.confirm(outcomes)

    @cached_property
    def read(self) -> tuple[str, ...]:
        """Return the fields of the source that the rule looks at."""
        asked = (name for question in self.mapping.questions for name in question.fields)
        return tuple(read_fields(self.rule, self.source_schema, asked))

    @property
    def met_all(self) -> bool:
        """Tell whether the keys that a run has met at its end are all there are."""
        return self._notes and not self.partial

    @property
    def apart(self) -> bool:
        """Tell whether what a page comes to does not depend on whether the page before is written yet."""
        by_value = self.matches or self.rule.correlate
        return not by_value and self.target.spec.capabilities.concurrent

    @cached_property
    def hashing(self) -> Hashing | None:
        """Return how the records of both sides are hashed, None where that would not tell enough."""
        return hashing(self)

    @property
    def _sends(self) -> bool:
        """Tell whether the target takes messages, of which nothing can be asked later."""
        return self.target.spec.capabilities.messages

    @cached_property
    def _as_sent(self) -> Sent | None:
        """Return what tells that a record is as it was sent; None where that matters not, or cannot be told."""
        return None if not self._sends or self.asks_links or self.hashing is None else Sent(self.hashing)

    @property
    def comparing(self) -> Digests | None:
        """Return the digests that a run reads with the records, None where it is not one that compares."""
        return self.digests if self.steady is not None else None

    @property
    def digested(self) -> str:
        """Return the name of how digests are made, empty where there are none."""
        return self.digests.how if self.digests is not None else ""

    @property
    def _side(self) -> str:
        return "right" if self.sides.reverse else "left"

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
        draft.checked = of_verdicts(verdicts, self.validating.severities, draft.numbers, keys)
        for row, verdict in verdicts.blocking.items():
            draft.fail(row, verdict)

    def partners(
        self, draft: Draft, known: pl.Series, mapped: pl.DataFrame, wanted: pl.Series
    ) -> tuple[pl.Series, pl.DataFrame]:
        """Return the text under which each record's partner is sought, and the partners found in the target."""
        key = self.sides.target_key
        if self._sends:
            return sent.partners(known, wanted, self.target_schema, key)
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
        schema = beside(self.target_schema, self.comparing.target) if self.comparing else self.target_schema
        found = schema.empty()
        if not values.is_empty():
            thing = (self.sides.target.object, schema, name)
            look: Look = lambda part: self.retry(lambda: self.target.lookup(*thing, part))  # noqa: E731
            found = pl.concat([found, *found_by_halves(look, values, bad, mark)])
        return found.with_columns((mark + key_text(found[name])).alias(PARTNER))

    def _park_cases(self, draft: Draft, decision: Decision) -> None:
        cases = decision.found.with_row_index("row").filter(pl.col("action") == Action.CASE)
        for row, situation in cases.select("row", "situation").iter_rows():
            draft.park(row, "match", _why(Situation(situation), self.sides.target.object))

    def _check_partners(self, draft: Draft, batch: Batch, decision: Decision, others: tuple[Links, pl.Series]) -> None:
        """Park records that would change their partner's key, or write to the partner of another record.

        A run over some records does not meet the others of its rule and asks the links instead. A run over all does
        not: the record that a link names may be gone from the source.
        """
        key, target = self.sides.target_key, self.sides.target.object
        links, steady = others
        partner, own = key_text(decision.partners[key]), own_keys(batch.mapped, key)
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
        again |= right.is_in(steady.implode()).fill_null(value=False)
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


def _numbers(page: Compared, behind: int) -> pl.Series:
    """Return the numbers of what was passed over: behind the records, and those that could not be read."""
    first = behind + len(page.rejects)
    return pl.int_range(first, first + page.passed.height, dtype=pl.Int64, eager=True)


def _held(outcomes: pl.DataFrame) -> pl.Series:
    """Return the keys of the target's records that outcomes have as partners."""
    return outcomes.filter(pl.col("outcome").is_in(_HOLDS))["right_key"]


def _why(situation: Situation, target: str) -> Message:
    if situation is Situation.DISPUTED:
        return msg("More than one record of {target} fits; make the match unique.", target=target)
    if situation is Situation.DELETED_RIGHT:
        return msg("Its record in {target} is gone; decide whether to create it again.", target=target)
    return msg("The rule wants a person to decide about this record ({situation}).", situation=situation.value)
