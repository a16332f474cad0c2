"""Writing records to a web service: those of one key one after the other, all others side by side."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import polars as pl

from connectors.builtin.rest_answers import Told, value_of
from connectors.builtin.rest_batch import Batches
from connectors.builtin.rest_bodies import Bodies, Refused
from connectors.builtin.rest_calls import ATTEMPTS, Calls, Request, backoff
from connectors.builtin.rest_guarded import Guarded, gone
from connectors.builtin.rest_lost import Memory, found_by
from connectors.builtin.rest_objects import Call, RestObject
from connectors.casting import cast
from connectors.errors import ConnectorError, Misconfigured, Unavailable
from connectors.http_crew import Job, Pause
from connectors.http_reply import Reply
from connectors.json_records import member, text_of
from connectors.spi import Failure, Fence, WriteResult
from connectors.value_text import PLAIN
from rules.schema import Change, Op, Schema
from rules.text import Message, msg

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Unit:
    """One record to be written: which row of which change."""

    number: int
    row: int
    change: Change
    call: Call
    record: Record
    safe: bool = False
    """It may be sent twice: it only repeats what was sent before."""


@dataclass(frozen=True)
class Done:
    """What became of a record: its key if the service made one, or why it is refused."""

    unit: Unit
    key: Any = None
    refused: Message | None = None


class Writing:
    """The writes of one call of `write`."""

    def __init__(
        self, calls: Calls, described: RestObject, schema: Schema, memory: Memory, fence: Fence | None
    ) -> None:
        self.calls = calls
        self.described = described
        self.schema = schema
        self.bodies = Bodies(described, schema)
        self.memory = memory
        self.fence = fence
        self.repeated = memory.begin(fence)
        self._sent: Counter[str] = Counter()

    def write(self, changes: Sequence[Change]) -> WriteResult:
        """Write all changes; the records that the service refuses are returned."""
        calls = [self._call(change.op) for change in changes]
        keys = [[None] * change.records.height for change in changes]
        failures: list[Failure] = []
        for done in self._done(changes, calls):
            if done.refused is not None:
                failures.append(Failure(done.unit.number, done.unit.row, done.refused))
            keys[done.unit.number][done.unit.row] = done.key
        failures.sort(key=lambda failure: (failure.change, failure.row))
        made = [self._keys(change, found) for change, found in zip(changes, keys, strict=True)]
        return WriteResult(tuple(failures), tuple(made))

    def _done(self, changes: Sequence[Change], calls: Sequence[Call]) -> Iterator[Done]:
        """Yield what became of the records; a batch begins when all before it is written."""
        single: list[Unit] = []
        for number, (change, call) in enumerate(zip(changes, calls, strict=True)):
            units = [Unit(number, r, change, call, v) for r, v in enumerate(change.records.iter_rows(named=True))]
            if call.batch is None:
                single += units
                continue
            yield from self._side_by_side(single)
            single = []
            yield from self._in_batches(units)
        yield from self._side_by_side(single)

    def _side_by_side(self, units: Sequence[Unit]) -> Iterator[Done]:
        chains: dict[Any, list[Unit]] = {}
        for number, unit in enumerate(units):
            key = unit.record.get(unit.change.key)
            chains.setdefault(("new", number) if key is None else key, []).append(unit)
        for results in self.calls.together(map(self._chain, chains.values())):
            yield from results

    def _chain(self, units: Sequence[Unit]) -> Job[list[Done]]:
        """Write the records of one key in their order."""
        results = []
        for unit in units:
            try:
                results.append(Done(unit, (yield from self._one(unit))))
            except Refused as error:
                results.append(Done(unit, refused=error.message))
        return results

    def _in_batches(self, units: Sequence[Unit]) -> Iterator[Done]:
        if units:
            batches = Batches(self.calls, self.described, self.bodies, units[0].change, units[0].call)
            jobs = (batches.write(part, self.single) for part in batches.parts([unit.record for unit in units]))
            place = 0
            for results in self.calls.together(jobs):
                for result in results:
                    unit = units[place]
                    key = self._typed_key(unit, result.key) if result.key is not None else None
                    yield Done(unit, key, result.refused)
                    place += 1

    def single(self, request: Request) -> Request:
        """Return the request with the header by which the service recognises a repetition, if it knows one."""
        return self._recognisable(request)

    def _call(self, op: Op) -> Call:
        described = self.described
        own = {Op.CREATE: described.create, Op.UPDATE: described.update, Op.DELETE: described.delete}[op]
        call = own if own is not None or op is Op.DELETE else described.upsert
        if call is None:
            raise Misconfigured(
                msg("The object '{name}' has no description of how to {deed} records.",
                    name=described.name, deed=op.value),
                msg("Add it in the connection's settings."),
                object_name=described.name,
            )  # fmt: skip
        return call

    def _keys(self, change: Change, found: list[Any]) -> pl.Series | None:
        if change.op is not Op.CREATE or change.key not in self.schema:
            return None
        return pl.Series(change.key, found, self.schema[change.key].dtype)

    def _one(self, unit: Unit) -> Job[Any]:
        if unit.change.op is Op.CREATE:
            return (yield from self._create(unit))
        yield from self._change(unit)
        return None

    def _create(self, unit: Unit) -> Job[Any]:
        values = self._values(unit)
        request = self._request(unit, values)
        known = self.repeated.known(request.body or b"")
        if known:
            return known[0]
        if self.repeated.possible and (there := (yield from self._there(unit, values))):
            key = there[0]
        else:
            key = yield from self._sent_once(unit, values, self._recognisable(request))
        self.repeated.note(request.body or b"", key)
        return key

    def _sent_once(self, unit: Unit, values: Mapping[str, Any], request: Request) -> Job[Any]:
        """Create a record; where the answer gets lost, look for it by its external key before it is sent again."""
        for attempt in range(ATTEMPTS):
            try:
                response = yield from self.calls.responding(request)
            except Unavailable:
                if self.described.find is None or request.safe:
                    raise
                there = yield from self._there(unit, values)
                if there:
                    return there[0]
                if attempt == ATTEMPTS - 1:
                    raise
                yield Pause(backoff(attempt))
                continue
            told = self.calls.told(response, request)
            if told.then == "already_there":
                there = yield from self._there(unit, values)
                if there:
                    return there[0]
            self._check(told, unit.change.op)
            return self._key(response, request, unit)
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _there(self, unit: Unit, values: Mapping[str, Any]) -> Job[list[Any]]:
        """Return the key of a record that is there already, after it was brought to our values; else nothing."""
        found = yield from found_by(self.calls, self.described, {**values, **unit.record})
        if found is None:
            return []
        path = self.described.paths.get(unit.change.key, unit.change.key)
        try:
            key = self._typed_key(unit, member(found, path))
        except KeyError:
            return []
        update = self.described.update
        if update is not None and update.batch is None:
            record = {**unit.record, unit.change.key: key}
            change = Change(Op.UPDATE, unit.change.key, unit.change.records)
            yield from self._change(Unit(unit.number, unit.row, change, update, record, safe=True))
        return [key]

    def _change(self, unit: Unit) -> Job[None]:
        """Update or delete a record."""
        described, key = self.described, unit.change.key
        values = None if unit.change.op is Op.DELETE else self._values(unit)
        item = described.item or unit.call.path
        whole = unit.call.method == "PUT" and values is not None and not unit.call.partial
        guarded = Guarded(
            self.calls, described, self.bodies.path(item, key, unit.record), unit.call.wrap,
            lambda record: self._recognisable(self._request(unit, values, record if whole else None)),
            None if values is None else [described.written.get(name, name) for name in values],
        )  # fmt: skip
        seen = self.memory.last_seen(described.name, PLAIN.text(unit.record.get(key)) or "")
        response = yield from guarded.write(seen if described.etag else None, guard=bool(described.etag), whole=whole)
        told = self.calls.told(response, Request(unit.call.path, unit.call.method, object_name=described.name))
        if told.then == "missing" and unit.change.op is Op.DELETE:
            return
        self._check(told, unit.change.op)

    def _values(self, unit: Unit) -> dict[str, Any]:
        """Return the fields that are sent: of an update all but the key, of an upsert none that stands in the path."""
        left_out = set() if unit.change.op is Op.CREATE or unit.call.keyed else {unit.change.key}
        if unit.call is self.described.upsert:
            left_out |= {name for name in unit.record if f"{{{name}}}" in unit.call.path}
        return {name: value for name, value in unit.record.items() if name not in left_out}

    def _request(self, unit: Unit, values: Mapping[str, Any] | None, onto: Mapping[str, Any] | None = None) -> Request:
        call, key, record = unit.call, unit.change.key, unit.record
        body, kind = None, ""
        if values is not None or call.body is not None:
            members = self.bodies.values(values or {}, onto)
            body, kind = self.bodies.body(call, members, record.get(key))
        headers = self.bodies.texts(call.headers, key, record)
        return Request(
            self.bodies.path(call.path, key, record), call.method, self.bodies.texts(call.query, key, record), body,
            {"Content-Type": kind, **headers} if body is not None else headers, self.described.name,
            repeatable=unit.safe or call is self.described.upsert, xml=self.described.format == "xml",
        )  # fmt: skip

    def _recognisable(self, request: Request) -> Request:
        name = self.calls.options.idempotency_header
        if not name:
            return request
        parts = [request.method, request.url, hashlib.sha256(request.body or b"").hexdigest()]
        if self.fence is None:
            parts.append(uuid.uuid4().hex)
        else:
            parts += [self.fence.scope, str(self.fence.run), str(self.fence.chunk)]
        text = "\n".join(parts)
        self._sent[text] += 1
        value = hashlib.sha256(f"{text}\n{self._sent[text]}".encode()).hexdigest()[:32]
        return replace(request, headers={**request.headers, name: value}, repeatable=True)

    def _check(self, told: Told, op: Op) -> None:
        """Raise what the answer means, if it is no success: `Refused` if only this record is refused."""
        if told.good:
            return
        status = told.response.status_code
        if told.missing and op is not Op.CREATE:
            raise Refused(gone(told))
        if not told.refuses_record or (not told.meaning and status in (404, 405) and op is Op.CREATE):
            raise told.error()
        raise Refused(msg("The service refuses the record ({status}): {said}", status=status, said=told.said))

    def _key(self, response: Reply, request: Request, unit: Unit) -> Any:
        """Return the key of a created record: the one in the answer, else the one we sent."""
        call, key, record = unit.call, unit.change.key, unit.record
        path = call.key or ".".join(filter(None, (call.wrap, self.described.paths.get(key, key))))
        try:
            found = member(value_of(response, request), path)
        except (KeyError, ConnectorError):
            found = None
        if found is None:
            found = _from_location(response) if record.get(key) is None else None
        return record.get(key) if found is None else self._typed_key(unit, found)

    def _typed_key(self, unit: Unit, found: Any) -> Any:
        key = unit.change.key
        if key not in self.schema:
            return None
        return cast(pl.Series(key, [text_of(found)], pl.String), self.schema[key])[0]


def _from_location(response: Reply) -> str | None:
    """Return the last part of the Location header, which is where many services put the key."""
    location = response.headers.get("Location", "")
    return httpx.URL(location).path.rstrip("/").rpartition("/")[2] or None if location else None
