"""What people call the keys of documents and the words that stand there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from webapp.rulebook import two_way_words, wording
from webapp.rulebook.editing import Flow, entries, part_of
from webapp.rulebook.kind import listed
from webapp.rulebook.situations import SHOWN
from webapp.rulebook.translation import translate as _
from webapp.web import validation_words
from webapp.web.storable import natural

Document = Mapping[str, Any]
_CELLS = {"when": "inputs", "then": "outputs"}
_NAMED = ("given", "expect", "inputs")
"""What is below them has names that people gave."""


def key_name(path: Sequence[str], document: Document) -> str:
    """Return what people call a key of the document: ("fields", "tel", "to_right") -> "Field tel › Expression"."""
    names, parts = _key_names(), [str(part) for part in path]
    members = _members()
    if len(parts) < 2 or parts[0] not in members:
        return " › ".join(names.get(part, part) for part in parts) or _("The whole rule")
    group, member, *rest = parts
    told = [members[group](_member(group, member, document))]
    if group == "entries" and rest:
        told += [_column([part_of(document, "key"), *listed(document, "columns")], rest.pop(0))]
    elif group == "rows" and rest and rest[0] in _CELLS:
        part = _CELLS[rest.pop(0)]
        told += [_column(listed(document, part), rest.pop(0)) if rest else names[part]]
    elif rest and rest[0] in _NAMED:
        told += [names[rest.pop(0)], *rest]
        rest = []
    return " › ".join([*told, *(names.get(part, part) for part in rest)])


def value_name(path: Sequence[str], value: Any) -> Any:
    """Return a value of a document in words where it is one of the words that documents are made of."""
    if not isinstance(value, str) or path[-2:-1] in (["given"], ["expect"]):
        return value
    words = _words().get(path[-1])
    return words.get(value, value) if words else value


def _members() -> dict[str, Callable[[str], str]]:
    """Return list of the document -> what one of its members is called."""
    return {
        "fields": lambda name: _("Field %(name)s", name=name),
        "validations": lambda name: _("Validation %(name)s", name=name),
        "decisions": lambda name: _("Decision table %(name)s", name=name),
        "tests": lambda name: _("Test %(name)s", name=name),
        "correlate": lambda name: _("Finding partners: way %(name)s", name=name),
        "guards": lambda name: _("Limit: %(name)s", name=dict(two_way_words.metrics()).get(name, name)),
        "rows": lambda name: _("Row %(name)s", name=name),
        "entries": lambda name: _("Entry %(name)s", name=name),
        "inputs": lambda name: _("Input %(name)s", name=name),
        "outputs": lambda name: _("Result %(name)s", name=name),
        "columns": lambda name: _("Column %(name)s", name=name),
    }


def _member(part: str, name: str, document: Document) -> str:
    if part == "fields" and natural(name) is not None:
        return _field_name(name, document)
    if part in ("inputs", "outputs", "columns"):
        return _column(listed(document, part), name)
    number = natural(name)
    return name if number is None else str(number + 1)


def _field_name(part: str, document: Document) -> str:
    known = entries(document)
    if int(part) < len(known):
        entry = known[int(part)]
        return str(entry.get(Flow.of(document).target) or entry.get(Flow.of(document).source) or part)
    return part


def _column(columns: Sequence[Document], name: str) -> str:
    """Return what the column with a name or a number is called."""
    for number, column in enumerate(columns):
        if name in (str(number), column.get("name")):
            return str(column.get("label") or column.get("name") or number + 1)
    place = natural(name)
    return name if place is None else str(place + 1)


def _words() -> dict[str, dict[str, str]]:
    """Return key -> value -> what it is called."""
    refused = {"quarantine": _("Park the record"), "suspend": _("Stop the run")}
    situations = (*SHOWN, "linked_conflict", "unlinked", "disputed", "deleted_left", "deleted_right", "edit_vs_delete")
    return {
        "severity": validation_words.short(),
        "strength": dict(wording.strength_choices()),
        "on_error": dict(wording.on_error_choices()),
        "data": refused,
        "by": {
            "full": _("Compare all records"),
            "cursor": _("Read only what is new"),
            "cdc": _("Follow the log of changes"),
        },
        "direction": {
            "left_to_right": _("From left to right"),
            "right_to_left": _("From right to left"),
            "two_way": _("Both ways"),
            "both": _("Both ways"),
        },
        "conflict": dict(two_way_words.policies()),
        "how": dict(two_way_words.hows()),
        "kind": dict(two_way_words.kinds()),
        "metric": dict(two_way_words.metrics()),
        "do": dict(two_way_words.guard_deeds()),
        "ending": dict(wording.endings()),
        "hit_policy": dict(wording.policies()),
        "aggregation": dict(wording.aggregations()),
        "type": wording.type_names(),
        **{situation: wording.action_names() for situation in situations},
    }


def _key_names() -> dict[str, str]:
    return {
        "name": _("Name"),
        "label": _("Title"),
        "left": _("Left"),
        "right": _("Right"),
        "connection": _("Connection"),
        "object": _("Object"),
        "where": _("Condition"),
        "direction": _("Direction"),
        "key": _("Key"),
        "detect": _("How changes are found"),
        "by": _("Method"),
        "field": _("Field"),
        "tie": _("Tie-breaker"),
        "overlap": _("Overlap"),
        "fields": _("Fields"),
        "to_right": _("Expression"),
        "to_left": _("Expression to the left"),
        "strength": _("Strength"),
        "on": _("Written when"),
        "when": _("Only if"),
        "when_left": _("Only if, to the left"),
        "conflict": _("Who wins"),
        "resolve": _("Value for both sides"),
        "skew": _("Equal times"),
        "correlate": _("Finding partners"),
        "match": _("Comparison"),
        "how": _("Compared how"),
        "kind": _("The values are"),
        "threshold": _("Alike by at least"),
        "weight": _("Weight"),
        "confidence": _("How sure"),
        "confidence_from": _("How sure if only just alike"),
        "margin": _("Better than the next one"),
        "auto_link": _("Link by itself from"),
        "review": _("Ask a person from"),
        "deletes": _("Deletions"),
        "when_right": _("Deleted on the right if"),
        "deactivate": _("What “deactivate” writes"),
        "value": _("Value"),
        "guards": _("Limits"),
        "metric": _("Counted"),
        "over": _("More than"),
        "min": _("And at least"),
        "do": _("Then"),
        "drift": _("Changed fields"),
        "new_field": _("New field"),
        "type_change": _("Changed type"),
        "removed": _("Field is gone"),
        "linked_changed": _("Changed on one side"),
        "linked_conflict": _("Changed on both sides"),
        "unlinked": _("Partner found"),
        "disputed": _("Several possible partners"),
        "unmatched_left": _("Left record without partner"),
        "unmatched_right": _("Right record without partner"),
        "deleted_left": _("Gone from the left side"),
        "deleted_right": _("Gone from the right side"),
        "edit_vs_delete": _("Changed here, gone there"),
        "out_of_scope": _("Condition not met any more"),
        "situations": _("What happens"),
        "errors": _("When something goes wrong"),
        "data": _("Refused record"),
        "stop_after": _("Stop after"),
        "expire": _("Discard parked records after"),
        "retry": _("Attempts"),
        "transient": _("No answer"),
        "schedule": _("Schedule"),
        "cron": _("Times"),
        "timezone": _("Time zone"),
        "misfire": _("Missed runs"),
        "priority": _("Priority"),
        "split": _("Work of many workers"),
        "every": _("Records in a slice"),
        "service": _("Service level"),
        "saga": _("Steps of the saga"),
        "steps": _("Steps"),
        "compensate": _("Taking back"),
        "created": _("If it was created"),
        "updated": _("If it was updated"),
        "fresh_within": _("Fresh within"),
        "done_within": _("A run takes at most"),
        "at_most_failed": _("Records in quarantine at most"),
        "at_most_waiting": _("Pairs that wait at most"),
        "decided_within": _("A pair waits for a person at most"),
        "explain": _("Keep the values that each run reads"),
        "check": _("Condition"),
        "unique": _("Unique values"),
        "reference": _("Reference"),
        "decisions": _("Decision tables"),
        "validations": _("Validations"),
        "tests": _("Tests"),
        "rows": _("Rows"),
        "inputs": _("Inputs"),
        "outputs": _("Results"),
        "entries": _("Entries"),
        "columns": _("Columns"),
        "table": _("Table"),
        "severity": _("If it is not met"),
        "message": _("Message"),
        "given": _("Given"),
        "expect": _("Expected"),
        "ending": _("What becomes of the record"),
        "error": _("Part of the reason"),
        "day": _("On the day"),
        "hit_policy": _("If several rows apply"),
        "aggregation": _("What becomes of the results"),
        "expression": _("Computed"),
        "allowed": _("Possible values"),
        "type": _("Type"),
        "default": _("Default"),
        "since": _("From"),
        "until": _("Until"),
        "note": _("Note"),
        "then": _("What is done then"),
        "events": _("Events"),
        "within": _("Within"),
        "states": _("States"),
        "transitions": _("Ways out"),
        "to": _("To"),
        "after": _("After"),
        "case": _("Open a case"),
        "create_record": _("Create a record"),
        "update_record": _("Update a record"),
        "call": _("Call a service"),
        "run": _("Start a run"),
        "web_hook": _("Send a web hook"),
        "email": _("Send an e-mail"),
        "title": _("Title"),
        "subject": _("Subject"),
        "text": _("Text"),
        "path": _("Path"),
        "body": _("Body"),
        "rule": _("Rule"),
        "mode": _("Mode"),
        "on_error": _("If it has no value"),
        "details": _("Details"),
        "assignee": _("Assignee"),
    }
