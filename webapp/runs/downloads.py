"""Downloads of a run: every record's outcome as CSV, the failed ones as JSON lines; each download is audited."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections.permitted import as_asked
from webapp.extensions import Actor, House
from webapp.runs import reading
from webapp.runs.sight import sight_of_run
from webapp.web.spreadsheet import safe_cell

_COLUMNS = ("record_no", "left_key", "right_key", "outcome", "situation", "field", "place", "before", "after")
Translate = Callable[[Any], str]


def outcome_lines(house: House, run: reading.RunRow, actor: Actor, translate: Translate) -> Iterator[str]:
    """Return CSV text with a line for every record of a run that who asks may see.

    Texts that a spreadsheet would execute are defused. Raises `NotPermitted` where they may not export such records.
    """
    _note(house, run, actor, "outcomes")

    def lines() -> Iterator[str]:
        yield _line((*_COLUMNS, "reason"))
        with house.db.read() as tx:
            for row in reading.shown_outcomes(tx, run.id):
                reason = translate(json.loads(row["reason"])) if row["reason"] else ""
                yield _line([*(row[name] for name in _COLUMNS), reason])

    return as_asked(lines())


def failed_lines(house: House, run: reading.RunRow, actor: Actor, translate: Translate) -> Iterator[str]:
    """Return a JSON line for every record that a run parked and who asks may see; raises `NotPermitted`."""
    _note(house, run, actor, "failed")

    def lines() -> Iterator[str]:
        with house.db.read() as tx:
            for row in reading.shown_outcomes(tx, run.id, "quarantined"):
                yield json.dumps(_failure(row, translate), ensure_ascii=False) + "\n"

    return as_asked(lines())


def _failure(row: dict[str, Any], translate: Translate) -> dict[str, Any]:
    names = ("record_no", "place", "left_key", "stage", "field", "raw")
    reason = translate(json.loads(row["reason"])) if row["reason"] else None
    return {
        **{n: row[n] for n in names},
        "reason": reason,
        "record": json.loads(row["record"]) if row["record"] else None,
    }


def _line(values: Any) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([safe_cell(value) for value in values])
    return out.getvalue()


def _note(house: House, run: reading.RunRow, actor: Actor, what: str) -> None:
    with house.db.begin() as tx:
        sight_of_run(tx, run.id, doing=True).require("export")
        event = Event(Tag.RUN_DOWNLOADED, Subject("rule", run.rule_name), None, {"file": what}, run_id=run.id)
        record(tx, actor, house.clock(), event)
