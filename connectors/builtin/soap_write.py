"""Writing records to a SOAP service, one or several in a call, with what the service says of each of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from connectors.builtin.soap_answer import Answer, Records, nodes_at
from connectors.builtin.soap_calls import Call, Calls, told_at
from connectors.builtin.soap_faults import Faulted
from connectors.builtin.soap_lookup import Lookup
from connectors.builtin.soap_message import EMPTY, Unfit, put_at
from connectors.builtin.soap_objects import Write
from connectors.builtin.soap_shape import Shape
from connectors.casting import SHOWN, cast, short
from connectors.errors import Misconfigured
from connectors.json_records import decoded_or_error
from connectors.spi import Failure
from rules.schema import Change, FieldType, Op, Schema
from rules.text import Message, msg

Record = dict[str, Any]
_REFUSED = frozenset({"quarantine", "missing", "sender", "server"})
_SAID = 300


class Refused(Exception):
    """The service refuses one record, or it cannot be sent."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass
class Written:
    """What became of the records of a change."""

    number: int
    failures: list[Failure] = field(default_factory=list)
    keys: dict[int, Any] = field(default_factory=dict)

    def failed(self, row: int, message: Message) -> None:
        """Note a record that was not written."""
        self.failures.append(Failure(self.number, row, message))


class Writing:
    """The writes of one call of `write`."""

    def __init__(self, calls: Calls, shape: Shape, schema: Schema) -> None:
        self.calls = calls
        self.shape = shape
        self.described = shape.described
        self.schema = schema

    def change(self, number: int, change: Change) -> tuple[list[Failure], pl.Series | None]:
        """Write the records of a change; return the refused ones, and for creations the keys."""
        write = self.described.writes.get(change.op.value)
        if write is None:
            raise Misconfigured(
                msg("The object '{name}' has no description of how to {deed} records.",
                    name=self.described.name, deed=change.op.value),
                msg("Add it in the connection's settings."),
                object_name=self.described.name,
            )  # fmt: skip
        done = Written(number)
        ready = self._ready(change, write, done)
        for batch in _parts(ready, max(write.batch, 1)):
            self._send(batch, change, write, done)
        if change.op is not Op.CREATE or change.key not in self.schema:
            return done.failures, None
        keys = [done.keys.get(row) for row in range(change.records.height)]
        return done.failures, pl.Series(change.key, keys, self.schema[change.key].dtype)

    def _ready(self, change: Change, write: Write, done: Written) -> Iterator[tuple[int, Record, Record]]:
        """Yield the row, the record and its parameters of what can be sent."""
        for row, record in enumerate(change.records.iter_rows(named=True)):
            try:
                yield row, record, self._parameters(change, write, record)
            except Refused as error:
                done.failed(row, error.message)

    def _parameters(self, change: Change, write: Write, record: Record) -> Record:
        values: Record = copy.deepcopy(write.parameters)
        current = self._current(record[change.key]) if write.whole or write.version else None
        if write.key_parameter:
            put_at(values, write.key_parameter, record[change.key])
        if write.version and current is not None:
            put_at(values, write.version_parameter, current.get(write.version))
        if change.op is Op.DELETE:
            if write.record:
                put_at(values, f"{write.record}/{self.shape.path(change.key)}", record[change.key])
            return values
        sent = {**current, **record} if write.whole and current is not None else record
        for name, value in sent.items():
            if name == change.key and (value is None or (write.key_parameter and not self.shape.written(write, name))):
                continue
            self._put(values, write, name, value, emptied=change.op is Op.UPDATE and not write.whole)
        return values

    def _put(self, values: Record, write: Write, name: str, value: Any, *, emptied: bool) -> None:
        """Put a field into the parameters; no value is left out, or said to be empty where it may have been full."""
        member = self.shape.written(write, name)
        if value is None:
            if not emptied:
                return
            if member is None or not member.nillable:
                raise Refused(msg("The service has no way to empty the field '{field}'.", field=name))
            value = EMPTY
        elif (self.schema[name] if name in self.schema else self.shape.fields[name]).type is FieldType.JSON:
            value = _decoded(value, name) if member is None or self.shape.kind(member) is None else value
        put_at(values, "/".join(filter(None, (write.record, self.shape.path(name)))), value)

    def _current(self, key: Any) -> Record:
        """Return a record as it is."""
        get = self.described.get
        if get is None:  # pragma: no cover - asked for when the description is read
            return {}
        page = Lookup(self.calls, self.shape, self.shape.schema()).page(get, [key])
        if page.rejects:
            raise Refused(page.rejects[0].message)
        if page.records.is_empty():
            raise Refused(msg("The service has no such record any more."))
        found = page.records.row(0, named=True)
        return {name: value for name, value in found.items() if not self.shape.fields[name].generated}  # fmt: skip

    def _send(self, batch: Sequence[tuple[int, Record, Record]], change: Change, write: Write, done: Written) -> None:
        """Send one call; a batch that is refused as a whole is sent record by record."""
        try:
            values = _joined([values for _, _, values in batch], write.record or write.key_parameter)
            call = Call(write.operation, values, self.described.name, repeatable=write.repeatable)
            answer = self.calls.answer(call, Records("", None))
        except (Faulted, Unfit) as error:
            if isinstance(error, Faulted) and error.meaning not in _REFUSED:
                raise error.error(self.described.name) from error
            if len(batch) > 1:
                for one in batch:
                    self._send([one], change, write, done)
            else:
                done.failed(batch[0][0], _refusal(error))
            return
        for (row, record, _), result in zip(batch, self._results(answer, write, len(batch)), strict=True):
            self._judge(row, record, result, change, write, done)

    def _results(self, answer: Answer, write: Write, count: int) -> list[Any]:
        """Return the element of the answer for each record sent."""
        top = answer.first()
        if not write.results:
            return [top] * count
        found = nodes_at(top, [part for part in write.results.split("/") if part]) if top is not None else []
        if len(found) != count:
            raise Misconfigured(
                msg("The answer of the operation '{operation}' has {found} results at '{path}' for {count} records.",
                    operation=write.operation, found=len(found), path=write.results, count=count),
                msg("Correct the member 'results' of the object '{name}'.", name=self.described.name),
                object_name=self.described.name,
            )  # fmt: skip
        return found

    def _judge(self, row: int, record: Record, result: Any, change: Change, write: Write, done: Written) -> None:
        if write.ok and told_at(result, write.ok).lower() not in [value.lower() for value in write.ok_values]:
            said = short(" ".join(told_at(result, write.message).split()), _SAID) if write.message else ""
            done.failed(row, msg("The service refuses the record: {said}", said=said or "-"))
        elif change.op is Op.CREATE:
            told = told_at(result, write.key) if write.key else ""
            key = cast(pl.Series(change.key, [told], pl.String), self.schema[change.key])[0] if told else None
            done.keys[row] = record.get(change.key) if key is None else key


def _joined(all_values: Sequence[Record], place: str) -> Record:
    """Return the parameters of one call: the records of a batch as a list at their place."""
    if len(all_values) == 1:
        return all_values[0]
    joined = copy.deepcopy(all_values[0])
    put_at(joined, place, [_at(values, place) for values in all_values])
    return joined


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for part in [part for part in path.split("/") if part]:
        found = found[part]
    return found


def _parts(ready: Iterator[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for one in ready:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _refusal(error: Faulted | Unfit) -> Message:
    return error.refusal if isinstance(error, Faulted) else error.message


def _decoded(text: str, name: str) -> Any:
    value = decoded_or_error(text)
    if isinstance(value, Exception):
        raise Refused(msg("Field '{field}' holds '{value}', which is not JSON.", field=name, value=short(text, SHOWN)))
    return value
