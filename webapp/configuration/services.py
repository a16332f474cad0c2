"""Applying configuration files and writing them: what `syncline apply` and `syncline export` do.

A plan is made by doing the work and rolling it back, so it cannot differ from what is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from rules.documents import ABSENT, Difference, differences
from rules.documents.policies import Execute
from rules.documents.relations import before
from rules.text import Message, msg
from webapp.approvals import proposals
from webapp.approvals.errors import SecondPersonNeeded
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.configuration import places
from webapp.configuration.errors import ConfigurationRefused, Mistake
from webapp.configuration.files import Stated
from webapp.configuration.kind import Writing
from webapp.configuration.kinds import KINDS, RULES, in_order
from webapp.configuration.rules import BESIDE
from webapp.entities import indexes
from webapp.extensions import Actor, House
from webapp.rulebook import services as rulebook
from webapp.rulebook.checking import unpushable
from webapp.rulebook.fitting import stopped
from webapp.rulebook.library import Pins, library, pins

ACTIONS = ("created", "updated", "deleted", "proposed")


@dataclass(frozen=True)
class Options:
    """How files are applied: `dry_run` only plans, `prune` deletes what they do not state, `lossy` may lose values."""

    dry_run: bool = False
    prune: bool = False
    lossy: bool = False


@dataclass(frozen=True)
class Step:
    """What becomes of one document: created, updated, unchanged, deleted or proposed, and what differs.

    Proposed is what a second person has to approve first; `proposal` is its number.
    """

    kind: str
    name: str
    action: str
    differences: tuple[Difference, ...] = ()
    proposal: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a plain form; a value that is not there is left out."""
        changed = [
            {"at": d.path, **{k: v for k, v in (("before", d.before), ("after", d.after)) if v is not ABSENT}}
            for d in self.differences
        ]
        found = {"kind": self.kind, "name": self.name, "action": self.action, "differences": changed}
        return found if self.proposal is None else {**found, "proposal": self.proposal}


@dataclass(frozen=True)
class Applied:
    """What was done, or with a dry run would be; `warnings` are what to look at."""

    steps: tuple[Step, ...]
    dry_run: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> int:
        """Return how many documents changed."""
        return sum(step.action != "unchanged" for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return a plain form."""
        steps = [step.to_json() for step in self.steps]
        return {"dry_run": self.dry_run, "changes": self.changes, "steps": steps, "warnings": list(self.warnings)}


class _Undo(Exception):
    """Rolls a dry run back."""


def apply(house: House, stated: Sequence[Stated], actor: Actor, options: Options = Options()) -> Applied:
    """Bring the installation to what the documents state, all or nothing.

    Raises:
        ConfigurationRefused: with every mistake found and its place; nothing was changed.
    """
    _check(stated)
    _ask(house, stated, actor, options)
    return _applied(house, stated, actor, options)


def _applied(house: House, stated: Sequence[Stated], actor: Actor, options: Options) -> Applied:
    steps: list[Step] = []
    try:
        with house.db.begin() as tx:
            writing, asked = Writing(house, tx, actor, options.lossy), pins(tx)
            steps += _write_all(writing, stated)
            if options.prune:
                steps += _prune(writing, stated)
            _check_askers(writing, stated, asked)
            _note(house, tx, actor, steps)
            if options.dry_run:
                raise _Undo  # noqa: TRY301 - a rollback is what it is for
    except _Undo:
        return Applied(tuple(steps), dry_run=True)
    for step in steps:
        if step.kind == "entity" and step.action in {"created", "updated"}:
            indexes.build(house, step.name)
    return Applied(tuple(steps), warnings=tuple(_warnings(house, steps)))


def _check(stated: Sequence[Stated]) -> None:
    mistakes = [one.mistake(path, message) for one in stated for path, message in _problems(one)]
    seen: dict[tuple[str, str], Stated] = {}
    for one in stated:
        first = seen.setdefault((one.kind, one.name), one)
        if first is not one:
            text = msg("'{name}' is stated twice, first in {file}.", name=one.name, file=first.file)
            mistakes.append(one.mistake("name", text))
    if mistakes:
        raise ConfigurationRefused(mistakes)


def _ask(house: House, stated: Sequence[Stated], actor: Actor, options: Options) -> None:
    """Refuse rules that the database of both sides says it cannot carry out; asked before anybody has to wait for us.

    A connection that the same files make or change cannot be asked before: then a warning tells of it.
    """
    pushed = [one for one in stated if one.document.get("execute") == Execute.PUSHDOWN]
    if not pushed:
        return
    planned = _applied(house, stated, actor, replace(options, dry_run=True))
    changed = {(step.kind, step.name) for step in planned.steps if step.action != "unchanged"}
    mistakes = [
        one.mistake(problem.path, problem.message)
        for one in pushed
        if ("sync", one.name) in changed
        and one.document.get("publish", True)
        and not any(("connection", one.document[side]["connection"]) in changed for side in ("left", "right"))
        for problem in unpushable(house, {k: v for k, v in one.document.items() if k not in BESIDE})
    ]
    if mistakes:
        raise ConfigurationRefused(mistakes)


def _check_askers(writing: Writing, stated: Sequence[Stated], before: Pins) -> None:
    """Refuse tables with which rules that are published at the end would not work any more."""
    house, tx, after = writing.house, writing.tx, pins(writing.tx)
    old, new = library(house, before, tx), library(house, after, tx)
    changed = [one for one in stated if before.get(one.kind, {}).get(one.name) != after.get(one.kind, {}).get(one.name)]
    mistakes = [one.mistake("", why) for one in changed for why in stopped(house, tx, one.name, old, new)]
    if mistakes:
        raise ConfigurationRefused(mistakes)


def _problems(one: Stated) -> Iterator[tuple[str, Message]]:
    if one.kind not in KINDS:
        known = ", ".join(KINDS)
        yield "kind", msg("'{kind}' is not a kind. Known kinds: {known}.", kind=one.kind, known=known)
        return
    for problem in KINDS[one.kind].problems(one.document):
        yield problem.path, places.with_column(problem)


def _write_all(writing: Writing, stated: Sequence[Stated]) -> list[Step]:
    steps = []
    for kind in KINDS:
        mine = {one.name: one for one in stated if one.kind == kind}
        before = {name: KINDS[kind].read(writing.tx, name) for name in mine}
        ordered = in_order({name: _needs(one) for name, one in mine.items()})
        waiting: dict[str, int] = {}
        again = [name for name in ordered if not _write(writing, mine[name], waiting)]
        for name in again:
            _write(writing, mine[name], waiting)
        steps += [
            _proposed(mine[name], old, waiting[name]) if name in waiting else _step(writing, kind, name, old)
            for name, old in before.items()
        ]
    return steps


def _proposed(one: Stated, before: Mapping[str, Any] | None, number: int) -> Step:
    """Return the step of a document that waits for a second person, with what it would change."""
    return Step(one.kind, one.name, "proposed", tuple(differences(before or {}, one.document)), number)


def _needs(one: Stated) -> list[str]:
    """Return the names of the documents of the same kind that this one refers to."""
    if one.kind == "sync":
        return list(before(one.document))
    fields = one.document.get("fields") if one.kind == "entity" else None
    return [str(f["entity"]) for f in fields or () if isinstance(f, Mapping) and f.get("entity")]


def _write(writing: Writing, one: Stated, waiting: dict[str, int]) -> bool:
    """Store a document; False when it has to be written once more. Where a second person is needed, propose it."""
    kind = KINDS[one.kind]
    with places.refusals(one.mistake):
        try:
            return kind.write(writing, kind.placed(one.document, one.folder), one.folder)
        except SecondPersonNeeded as needed:
            waiting[one.name] = _propose(writing, needed)
    return True


def _propose(writing: Writing, needed: SecondPersonNeeded) -> int:
    return proposals.propose_in(writing.tx, writing.house, needed.deed, writing.actor).id


def _step(writing: Writing, kind: str, name: str, before: Mapping[str, Any] | None) -> Step:
    after = KINDS[kind].read(writing.tx, name) or {}
    if before is None:
        return Step(kind, name, "created")
    found = tuple(differences(before, after))
    return Step(kind, name, "updated" if found else "unchanged", found)


def _prune(writing: Writing, stated: Sequence[Stated]) -> Iterator[Step]:
    kept = {(one.kind, one.name) for one in stated}
    for kind in reversed(list(KINDS)):
        for name in _last_first(writing, kind):
            if (kind, name) not in kept:
                yield _delete(writing, kind, name)


def _delete(writing: Writing, kind: str, name: str) -> Step:
    with places.refusals(partial(_nowhere, f"{kind} {name}")):
        try:
            KINDS[kind].delete(writing, name)
        except SecondPersonNeeded as needed:
            return Step(kind, name, "proposed", (), _propose(writing, needed))
    return Step(kind, name, "deleted")


def _last_first(writing: Writing, kind: str) -> list[str]:
    """Return the names of what is stored of a kind, those that need others before these."""
    names = KINDS[kind].names(writing.tx)
    if kind != "sync":
        return names[::-1]
    return in_order({name: list(before(KINDS[kind].read(writing.tx, name) or {})) for name in names})[::-1]


def _nowhere(what: str, _path: str, message: Message) -> Mistake:
    return Mistake(what, 0, 0, message)


def _note(house: House, tx: sa.Connection, actor: Actor, steps: Sequence[Step]) -> None:
    changed = [step for step in steps if step.action != "unchanged"]
    if changed:
        after = {action: [f"{s.kind} {s.name}" for s in changed if s.action == action] for action in ACTIONS}
        subject = Subject("configuration", "files")
        told = {action: names for action, names in after.items() if names}
        record(tx, actor, house.clock(), Event(Tag.CONFIGURATION_APPLIED, subject, after=told))


def _warnings(house: House, steps: Sequence[Step]) -> Iterator[str]:
    """Check the rules that were changed against their systems, which is not done while everybody waits for us."""
    for step in steps:
        if step.kind in RULES and step.action in {"created", "updated"}:
            with house.db.read() as tx:
                row = rulebook.get(tx, step.name)
            if row.published is not None:
                for problem in rulebook.check(house, row.published):
                    yield f"{step.kind} {step.name}, {problem.path or 'document'}: {problem.message}"


def export(house: House, actor: Actor, kinds: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the documents of what is stored, in an order in which they can be applied; audited."""
    with house.db.begin() as tx:
        documents = [
            document
            for kind in (KINDS if not kinds else [k for k in KINDS if k in kinds])
            for name in KINDS[kind].names(tx)
            if (document := KINDS[kind].read(tx, name)) is not None
        ]
        counts = {kind: number for kind in KINDS if (number := sum(d["kind"] == kind for d in documents))}
        subject = Subject("configuration", "files")
        record(tx, actor, house.clock(), Event(Tag.CONFIGURATION_EXPORTED, subject, after=counts))
    return documents


def own_secrets(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the references to secrets that stay behind in this installation's vault."""
    values = [value for d in documents if d["kind"] == "connection" for value in d.get("settings", {}).values()]
    return [value for value in values if isinstance(value, str) and value.startswith("vault:")]
