"""Parked records as files: CSV for spreadsheets, JSON lines for programs; each download is audited."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rules.text import Message
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections.permitted import as_asked
from webapp.extensions import Actor, House
from webapp.runs import quarantine
from webapp.runs.quarantine import Entry
from webapp.runs.sight import Sights
from webapp.web.spreadsheet import safe_cell

_HEAD = ("id", "rule", "side", "key", "place", "stage", "field", "reason", "state", "attempts", "run")
_TAIL = ("first_at", "last_at", "resolved_by", "raw")
PAGE = 500
Translate = Callable[[Message], str]


def csv_lines(house: House, asked: Mapping[str, Any], actor: Actor, translate: Translate) -> Iterator[str]:
    """Return CSV text with a line for every parked record that `asked` finds; formulas of spreadsheets are defused."""
    _note(house, asked, actor)

    def lines() -> Iterator[str]:
        yield _line((*_HEAD, *_TAIL, "record"))
        for entry in _all(house, asked):
            plain = _plain(entry, translate)
            text = json.dumps(plain["record"], ensure_ascii=False) if plain["record"] else ""
            yield _line([*(plain[name] for name in (*_HEAD, *_TAIL)), text])

    return as_asked(lines())


def json_lines(house: House, asked: Mapping[str, Any], actor: Actor, translate: Translate) -> Iterator[str]:
    """Return a JSON line for every parked record that `asked` finds."""
    _note(house, asked, actor)
    return as_asked(json.dumps(_plain(entry, translate), ensure_ascii=False) + "\n" for entry in _all(house, asked))


def _all(house: House, asked: Mapping[str, Any]) -> Iterator[Entry]:
    """Yield the entries that who asks may see and export."""
    before = None
    while True:
        with house.db.read() as tx:
            found, sights = quarantine.listing(tx, **asked, before=before, limit=PAGE), Sights(tx, doing=True)
            mine = [one for one in found if sights.of_run(one.run_id, one.rule_name).permits("export")]
        yield from mine
        if len(found) < PAGE:
            return
        before = found[-1].id


def _plain(entry: Entry, translate: Translate) -> dict[str, Any]:
    names = {"id": "id", "rule": "rule_name", "side": "side", "key": "left_key", "run": "run_id"}
    same = ("place", "stage", "field", "state", "attempts", "resolved_by", "raw")
    values = {name: getattr(entry, names.get(name, name)) for name in (*names, *same)}
    times = {name: getattr(entry, name).isoformat() for name in ("first_at", "last_at")}
    return {**values, **times, "reason": translate(entry.reason), "record": entry.values or None}


def _line(values: Any) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([safe_cell(value) for value in values])
    return out.getvalue()


def _note(house: House, asked: Mapping[str, Any], actor: Actor) -> None:
    rule = asked.get("rule")
    subject = Subject("rule", rule) if rule else Subject("quarantine", "")
    with house.db.begin() as tx:
        kept = {name: value for name, value in asked.items() if value}
        record(tx, actor, house.clock(), Event(Tag.QUARANTINE_EXPORTED, subject, None, kept))
