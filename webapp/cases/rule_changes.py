"""From one record to all: a decision becomes a change in the draft of its rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.cases import history
from webapp.cases.history import Deed
from webapp.cases.services import CaseRefused
from webapp.cases.words import deed_label
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook
from webapp.rulebook.comparing import Comparison, compared
from webapp.rulebook.services import RuleRow
from webapp.rulebook.side_names import SideNames
from webapp.runs.pair_cases import PairCase
from webapp.runs.pair_choices import FIELDS, LEFT, RECORD, REVIEW, RIGHT, numbered

_ACTIONS: Mapping[str, Mapping[str, str]] = {
    "deleted_left": {"delete": "delete", "recreate": "recreate", "unlink": "unlink"},
    "deleted_right": {"delete": "delete", "recreate": "recreate", "unlink": "unlink"},
    "edit_vs_delete": {"delete": "delete", "recreate": "recreate", "unlink": "unlink"},
    "out_of_scope": {"delete": "delete", "unlink": "unlink"},
    "unmatched_left": {"create": "create", "keep": "ignore"},
    "unmatched_right": {"create": "create", "keep": "ignore"},
    "unlinked": {"link": "link_update"},
}
_STEP = 0.01


@dataclass(frozen=True)
class Proposal:
    """A change of a rule: the draft as it would be, the sentences that say what it means, and what differs."""

    rule: RuleRow
    document: dict[str, Any]
    sentences: tuple[Message, ...]
    changes: Comparison


def propose(tx: sa.Connection, pair: PairCase, asked_under: Mapping[str, Any], names: SideNames) -> Proposal | None:
    """Return what a decision would change in its rule, None where nothing can be said for all records."""
    rule = rulebook.find(tx, pair.rule_name)
    if rule is None or not pair.answer:
        return None
    document = deepcopy(rule.document)
    sentences = tuple(_changed(document, pair, asked_under, names))
    if not sentences or document == rule.document:
        return None
    return Proposal(rule, document, sentences, compared(rule.document, document))


def apply(house: House, case_id: int, proposal: Proposal, draft_version: int, actor: Actor) -> None:
    """Put a change into the rule's draft; raises `StaleDraft` where somebody has changed the draft meanwhile."""
    name, now = proposal.rule.name, house.clock()
    with house.db.begin() as tx:
        rulebook.save_draft(house, name, proposal.document, actor, draft_version, tx)
        told = {"rule": name, "means": [str(sentence) for sentence in proposal.sentences]}
        record(tx, actor, now, Event(Tag.CASE_GENERALISED, Subject("case", str(case_id)), None, told))
        history.note(tx, [case_id], Deed("generalised", now, actor.name, told={"rule": name}))


def refuse_nothing(proposal: Proposal | None) -> Proposal:
    """Return the proposal; raises `CaseRefused` where there is none."""
    if proposal is None:
        raise CaseRefused(msg("This decision cannot be turned into a rule: it holds for this record only."))
    return proposal


def _changed(
    document: dict[str, Any], pair: PairCase, asked_under: Mapping[str, Any], names: SideNames
) -> Iterator[Message]:
    """Change the document and yield what each change means."""
    answer = pair.answer or {}
    if FIELDS in answer:
        yield from _policies(document, pair, asked_under, names)
    elif pair.situation == REVIEW:
        yield from _thresholds(document, pair)
    elif action := _ACTIONS.get(pair.situation, {}).get(answer[RECORD]):
        document["situations"] = {**(document.get("situations") or {}), pair.situation: action}
        text = N_("Whenever this is found, without asking: {deed}.")
        yield msg(text, deed=deed_label(answer[RECORD], pair, names))


def _policies(
    document: dict[str, Any], pair: PairCase, asked_under: Mapping[str, Any], names: SideNames
) -> Iterator[Message]:
    asked = numbered(pair.details, asked_under)
    for number, choice in (pair.answer or {})[FIELDS].items():
        side = choice.get("take")
        entry = asked.get(number) or {}
        found = _field_map(document, entry)
        if side in (LEFT, RIGHT) and found is not None:
            found["conflict"] = side
            label = (entry.get(LEFT) or entry.get(RIGHT) or {}).get("name")
            yield msg("When both change {field}, {side} wins.", field=str(label), side=names.of(side))


def _field_map(document: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the pair of fields of the rule as it is now, which may have moved since the case was opened."""
    wanted = tuple((entry.get(side) or {}).get("name") for side in (LEFT, RIGHT))
    for one in document.get(FIELDS) or []:
        if (one.get(LEFT) or wanted[0], one.get(RIGHT) or wanted[1]) == wanted:
            found: dict[str, Any] = one
            return found
    return None


def _thresholds(document: dict[str, Any], pair: PairCase) -> Iterator[Message]:
    """Move the borders between linking, asking and creating past the confidence that was in doubt."""
    answer = pair.answer or {}
    sure = [float(one.get("confidence") or 0) for one in pair.details.get("candidates") or []]
    if answer[RECORD] == "link":
        chosen = [one for one in pair.details.get("candidates") or [] if one.get("key") == answer.get("key")]
        confidence = float(chosen[0].get("confidence") or 0) if chosen else 0.0
        if confidence > 0:
            document["auto_link"] = confidence
            yield msg("Matches as sure as this one ({share}) are linked without asking.", share=f"{confidence:.0%}")
    elif sure and max(sure) + _STEP <= float(document.get("auto_link", 0.95)):
        document["review"] = round(max(sure) + _STEP, 4)
        yield msg(
            "Matches no surer than this one ({share}) are not asked about; the record is new.", share=f"{max(sure):.0%}"
        )
