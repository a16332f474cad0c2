"""What became of a step that was sent, and whose answer nobody has seen: it is there, or it never arrived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from connectors.spi import Connector
from webapp.extensions import House
from webapp.runs.sagas import ledger
from webapp.runs.sagas.ledger import Done, Guard, Saga
from webapp.runs.sagas.looking import look
from webapp.runs.sagas.states import Op, StepState


def unsettled(sagas: Iterable[Saga], no: int) -> list[Saga]:
    """Return the sagas of which a step was sent, and nobody knows what became of it."""
    return [saga for saga in sagas if no in saga.steps and saga.steps[no].state is StepState.INTENT]


def settle(house: House, guard: Guard, connector: Connector, no: int, sagas: Sequence[Saga]) -> None:
    """Confirm what has arrived of a step behind the first, and forget what has not."""
    if not sagas:
        return
    found = dict(_arrived(connector, no, sagas))
    with house.db.begin() as tx:
        guard(tx)
        ledger.confirm(tx, no, found)
        ledger.drop(tx, no, [saga.id for saga in sagas if saga.id not in found])


def _arrived(connector: Connector, no: int, sagas: Sequence[Saga]) -> Iterator[tuple[int, str | None]]:
    first = sagas[0].steps[no]
    schema = connector.schema(first.object)
    known = {first.key_field, first.match_field, *first.after}
    fields = schema.select(tuple(name for name in schema.names if name in known))
    match = pl.Series([saga.steps[no].match for saga in sagas], dtype=pl.String)
    now = look(connector, (first.object, fields, first.key_field), str(first.match_field), match)
    held = now.texts([name for name in first.after if name in fields])
    for row, saga in enumerate(sagas):
        done = saga.steps[no]
        if now.count[row] > 1:  # which of them is ours, nobody knows: that stays as it was noted
            yield saga.id, done.key
        elif now.count[row] and (done.op is Op.CREATE or _changed(done, held[row])):
            yield saga.id, now.keys[row]


def _changed(done: Done, held: dict[str, object]) -> bool:
    """Tell whether a record holds anything that was written, and that it did not hold before."""
    return any(value == done.after[name] and value != done.undo.get(name) for name, value in held.items())
