"""Cases as who asks may see them: one about a record whose values they may not see is not there for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from webapp.cases import words
from webapp.cases.history import Deed
from webapp.policies.masks import DOTS
from webapp.rulebook.side_names import side_names
from webapp.runs import pair_cases
from webapp.runs.pair_cases import PairCase
from webapp.runs.sight import Sights
from webapp.runs.sight_events import Hearing
from webapp.runs.sight_pairs import seen_answer, shown_pair

if TYPE_CHECKING:
    from webapp.cases.services import Case

MANUAL = "manual"
"""The kind of cases that people open."""


def shown(tx: sa.Connection, cases: Sequence[Case]) -> list[Case]:
    """Return those of some cases that may be seen; their subjects name what may be seen."""
    sights, hearing = Sights(tx), Hearing(tx)
    pairs = pair_cases.find(tx, [case.pair_id for case in cases if case.pair_id is not None])
    seen = (_shown(tx, sights, case, pairs) for case in cases)
    return [_heard(hearing, case) for case in seen if case is not None]


def _heard(hearing: Hearing, case: Case) -> Case:
    """Return a case; one that an event rule has opened has its words from what the rule has heard of."""
    if case.kind == MANUAL or case.pair_id is not None or hearing.plain(case.rule_name or ""):
        return case
    return replace(case, title=DOTS, subject=case.subject and DOTS, details=dict.fromkeys(case.details, DOTS))


def _shown(tx: sa.Connection, sights: Sights, case: Case, pairs: Mapping[int, PairCase]) -> Case | None:
    pair = pairs.get(case.pair_id or 0)
    if pair is None:
        return case
    seen = shown_pair(sights, pair)
    if seen is None or seen is pair:
        return None if seen is None else case
    names = side_names(tx, pair_cases.document_of(tx, pair))
    told = "; ".join(map(str, words.answer_told(seen.answer, seen, names)))
    resolution = case.resolution if not pair.answer or case.resolution in (None, told) else told or DOTS
    return replace(case, subject=words.subject(seen, names)[:500], resolution=resolution)


def deeds(tx: sa.Connection, case: Case, done: Iterable[Deed]) -> list[Deed]:
    """Return what was done about a case; what was chosen for its record as far as it may be seen."""
    if case.pair_id is None:
        return list(done)
    pair = pair_cases.get(tx, case.pair_id)
    sight = Sights(tx).of_run(pair.run_id, pair.rule_name)
    if sight.everything:
        return list(done)
    return [
        replace(one, told=seen_answer(sight, pair.details, one.told)) if one.deed == "answered" else one for one in done
    ]
