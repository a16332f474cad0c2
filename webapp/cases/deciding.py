"""Deciding about records that wait: one, or many at once; a run over just these records carries it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from rules.documents.sync import Direction
from rules.reconcile.agreement import executed_way
from rules.text import Message, msg
from webapp.cases import history, services
from webapp.cases.history import Deed
from webapp.cases.models import case_item
from webapp.cases.pairs import KIND
from webapp.cases.services import CaseRefused, Wanted
from webapp.extensions import Actor, House
from webapp.policies.errors import NotPermitted
from webapp.rulebook import reading as rulebook
from webapp.runs import pair_cases, requests, sight_pairs
from webapp.runs.pair_cases import AnswerRefused, PairCase
from webapp.runs.pair_choices import FIELDS, LEFT, OPTIONS, RECORD, RIGHT, ChoiceRefused, numbered
from webapp.runs.requests import RunRefused
from webapp.runs.sight import Sights

AT_ONCE = 200
"""So many cases are decided in one transaction, so that runs need not wait long for theirs."""
MOST = 5_000
"""So many cases are decided at one go."""
_READ = {Direction.LEFT_TO_RIGHT: "left", Direction.RIGHT_TO_LEFT: "right"}
"""The side that a rule which flows one way reads; it is asked for records by their keys there."""


@dataclass(frozen=True)
class Waiting:
    """A case whose record waits."""

    case: int
    pair: PairCase
    seen: PairCase
    """The pair as who asks may see it."""

    @property
    def group(self) -> tuple[str, str]:
        """Return what cases have to share for one choice to mean the same for all: the rule and the situation."""
        return self.pair.rule_name, self.pair.situation

    @property
    def mark(self) -> str:
        """Return what changes with the values of the records, and with what is decided about them."""
        return sha256(f"{self.pair.seen}\n{self.pair.answered}".encode()).hexdigest()[:12]


@dataclass
class Decided:
    """What became of a selection: how many are decided, which are not and why, and the runs that carry it out."""

    cases: list[int] = field(default_factory=list)
    left_out: list[tuple[int, Message]] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)


def decide(house: House, case_id: int, choice: Mapping[str, Any], actor: Actor) -> int | None:
    """Keep a decision and request the run that carries it out; returns its number.

    None where the rule cannot run now: its next run carries the decision out. Raises `CaseRefused`, `AnswerRefused` or
    `ChoiceRefused`.
    """
    with house.db.begin() as tx:
        case = services.get(tx, case_id)
        if case.pair_id is None:
            raise CaseRefused(
                msg("Case {id} is not about a record of a rule. Close it with what was decided.", id=case_id)
            )
        sight_pairs.require_choice(tx, pair_cases.get(tx, case.pair_id), choice)
        pair_cases.answer(tx, case.pair_id, choice, actor, house.clock())
        pair = pair_cases.get(tx, case.pair_id)
        return _request(house, tx, [Waiting(case_id, pair, pair)], actor)


def select(tx: sa.Connection, wanted: Wanted, limit: int = MOST) -> list[Waiting]:
    """Return the cases of a selection whose records wait and may be seen, the oldest first."""
    conditions = (*services.conditions(wanted), case_item.c.kind == KIND, case_item.c.state == "open")
    query = sa.select(case_item.c.id, case_item.c.pair_id).where(*conditions).order_by(case_item.c.id).limit(limit)
    rows = tx.execute(query).all()
    pairs = pair_cases.find(tx, [row.pair_id for row in rows])
    sights = Sights(tx)
    seen = {number: sight_pairs.shown_pair(sights, pair) for number, pair in pairs.items()}
    found = ((row.id, pairs.get(row.pair_id), seen.get(row.pair_id)) for row in rows)
    return [Waiting(case, pair, shown) for case, pair, shown in found if pair is not None and shown is not None]


def whole_choice(pair: PairCase, document: Mapping[str, Any], simple: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a choice for many means for one pair; raises `ChoiceRefused` where it means nothing.

    Args:
        pair: that waits.
        document: the rule.
        simple: `{"take": "left" | "right"}` for all fields, or `{"record": ...}`; "link" takes the best partner.
    """
    if "take" in simple:
        if OPTIONS.get(pair.situation):
            raise ChoiceRefused(msg("This record needs another choice."))
        if simple["take"] not in (LEFT, RIGHT):
            raise ChoiceRefused(msg("Choose left or right."))
        return {FIELDS: {number: {"take": simple["take"]} for number in numbered(pair.details, document)}}
    if simple.get(RECORD) != "link" or "key" in simple:
        return dict(simple)
    candidates = pair.details.get("candidates") or []
    if not candidates:
        raise ChoiceRefused(msg("There is no possible partner to link it to."))
    best = max(candidates, key=lambda one: float(one.get("confidence") or 0))
    return {RECORD: "link", "key": best["key"]}


def choices_for_many(situation: str) -> list[dict[str, str]]:
    """Return what may be chosen for many cases of a situation."""
    options = OPTIONS.get(situation, ())
    return [{RECORD: deed} for deed in options] if options else [{"take": LEFT}, {"take": RIGHT}]


def decide_many(
    house: House, waiting: Sequence[Waiting], chosen: Mapping[tuple[str, str], Mapping[str, Any]], actor: Actor
) -> Decided:
    """Decide about cases as was chosen for their group; those that cannot be decided so are left as they are."""
    done = Decided()
    by_rule: dict[str, list[Waiting]] = {}
    mine = [one for one in waiting if one.group in chosen]
    documents: dict[int, dict[str, Any]] = {}
    for start in range(0, len(mine), AT_ONCE):
        with house.db.begin() as tx:
            for one in mine[start : start + AT_ONCE]:
                if _answered(house, tx, one, chosen[one.group], actor, (documents, done)):
                    by_rule.setdefault(one.pair.rule_name, []).append(one)
            if start + AT_ONCE >= len(mine):
                requested = (_request(house, tx, cases, actor) for cases in by_rule.values())
                done.runs += [run_id for run_id in requested if run_id is not None]
    return done


def would_decide(tx: sa.Connection, waiting: Sequence[Waiting], simple: Mapping[str, Any]) -> Decided:
    """Return what would become of a selection, without deciding anything."""
    found = Decided()
    for one in waiting:
        try:
            choice = whole_choice(one.pair, pair_cases.document_of(tx, one.pair), simple)
            pair_cases.checked_choice(tx, one.pair, choice)
            sight_pairs.require_choice(tx, one.pair, choice)
        except (AnswerRefused, ChoiceRefused, NotPermitted) as refusal:
            found.left_out.append((one.case, refusal.message))
        else:
            found.cases.append(one.case)
    return found


def _answered(
    house: House,
    tx: sa.Connection,
    one: Waiting,
    simple: Mapping[str, Any],
    actor: Actor,
    kept: tuple[dict[int, dict[str, Any]], Decided],
) -> bool:
    documents, done = kept
    pair = one.pair
    if pair.run_id not in documents:
        documents[pair.run_id] = pair_cases.document_of(tx, pair)
    try:
        choice = whole_choice(pair, documents[pair.run_id], simple)
        sight_pairs.require_choice(tx, pair, choice)
        pair_cases.answer(tx, pair.id, {**choice, "seen": pair.seen, "answered": pair.answered}, actor, house.clock())
    except (AnswerRefused, ChoiceRefused, NotPermitted) as refusal:
        done.left_out.append((one.case, refusal.message))
        return False
    done.cases.append(one.case)
    return True


def _request(house: House, tx: sa.Connection, cases: Sequence[Waiting], actor: Actor) -> int | None:
    """Request the run over the records of cases of one rule; None where the rule cannot run now."""
    name = cases[0].pair.rule_name
    rule = rulebook.find(tx, name)
    read = _READ.get(executed_way(rule.published)) if rule is not None and rule.published else None
    records = [one for one in _records([one.pair for one in cases]) if read in (None, one["side"])]
    try:
        run_id = requests.records(house, name, records, actor, tx)
    except RunRefused:
        return None
    history.note(tx, [one.case for one in cases], Deed("sent", house.clock(), actor.name, run_id))
    return run_id


def _records(pairs: Sequence[PairCase]) -> Iterator[dict[str, str]]:
    """Yield the records of pairs, on each side where one is known."""
    seen: set[tuple[str, str]] = set()
    for pair in pairs:
        for side, key in pair.keys.items():
            if (side, key) not in seen:
                seen.add((side, key))
                yield {"side": side, "key": key}
