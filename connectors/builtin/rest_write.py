"""Writing records to a web service, one call a record."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import polars as pl

from connectors.builtin.rest_calls import Calls, Request, json_of, refused, said_by
from connectors.builtin.rest_objects import Call, RestObject
from connectors.casting import cast
from connectors.errors import Misconfigured
from connectors.json_records import encode, json_values, member, text_of
from connectors.spi import Failure, Fence
from connectors.value_text import PLAIN
from rules.schema import Change, Op, Schema
from rules.text import Message, msg

Record = Mapping[str, Any]


class Refused(Exception):
    """The service refuses one record."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class Writing:
    """The writes of one call of `write`."""

    def __init__(self, calls: Calls, described: RestObject, schema: Schema, fence: Fence | None) -> None:
        self.calls = calls
        self.described = described
        self.schema = schema
        self.fence = fence
        self._sent: Counter[str] = Counter()

    def change(self, number: int, change: Change) -> tuple[list[Failure], pl.Series | None]:
        """Write the records of a change; return the refused ones, and for creations the keys."""
        call = {Op.CREATE: self.described.create, Op.UPDATE: self.described.update, Op.DELETE: self.described.delete}[
            change.op
        ]
        if call is None:
            raise Misconfigured(
                msg("The object '{name}' has no description of how to {deed} records.",
                    name=self.described.name, deed=change.op.value),
                msg("Add it in the connection's settings."),
                object_name=self.described.name,
            )  # fmt: skip
        failures: list[Failure] = []
        keys: list[Any] = []
        for row, record in enumerate(change.records.iter_rows(named=True)):
            key = None
            try:
                key = self._one(change, call, record)
            except Refused as error:
                failures.append(Failure(number, row, error.message))
            keys.append(key)
        if change.op is not Op.CREATE or change.key not in self.schema:
            return failures, None
        return failures, pl.Series(change.key, keys, self.schema[change.key].dtype)

    def _one(self, change: Change, call: Call, record: Record) -> Any:
        path = self._path(call.path, change.key, record)
        if change.op is Op.DELETE:
            self._sent_ok(Request(path, call.method, object_name=self.described.name), change.op)
            return None
        values = {name: value for name, value in record.items() if change.op is Op.CREATE or name != change.key}
        body = json_values(values, self.schema)
        if change.op is Op.UPDATE and call.method == "PUT":
            body = {**self._current(path, call), **body}
        request = Request(path, call.method, body=encode(_wrapped(body, call)), object_name=self.described.name)
        response = self._sent_ok(self._recognisable(request), change.op)
        return self._key(response, request, change, record, call) if change.op is Op.CREATE else None

    def _path(self, template: str, key: str, record: Record) -> str:
        def fill(found: re.Match[str]) -> str:
            name = key if found[1] == "key" else found[1]
            value = PLAIN.text(record.get(name))
            if value in (None, "", ".", ".."):
                raise Refused(msg("Field '{field}' is empty, so the address of the record is not known.", field=name))
            return quote(str(value), safe="")

        return re.sub(r"\{([^{}]+)\}", fill, template)

    def _current(self, path: str, call: Call) -> dict[str, Any]:
        """Return a record as it is: a PUT replaces it as a whole, and the other fields must stay as they are."""
        request = Request(path, object_name=self.described.name)
        found = json_of(self._sent_ok(request, Op.UPDATE), request)
        try:
            found = member(found, self.described.item_record or call.wrap)
        except KeyError:
            found = None
        if not isinstance(found, dict):
            raise Refused(msg("The record cannot be read before it is replaced, so its other fields are not known."))
        return found

    def _recognisable(self, request: Request) -> Request:
        """Return the request with the header by which the service recognises a repetition, if it knows one."""
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
        return replace(request, headers={name: value}, repeatable=True)

    def _sent_ok(self, request: Request, op: Op) -> httpx.Response:
        """Return the response of a call that succeeded; raises `Refused` if the service refuses this record."""
        response = self.calls.response(request)
        status = response.status_code
        if response.is_success:
            return response
        if status in (404, 410) and op is not Op.CREATE:
            raise Refused(msg("The service has no such record any more ({status}): {said}",
                              status=status, said=said_by(response)))  # fmt: skip
        if status == 401 or not 400 <= status < 500 or (status in (404, 405) and op is Op.CREATE):
            raise refused(response, request)
        raise Refused(msg("The service refuses the record ({status}): {said}", status=status, said=said_by(response)))

    def _key(self, response: httpx.Response, request: Request, change: Change, record: Record, call: Call) -> Any:
        """Return the key of a created record: the one in the answer, else the one we sent."""
        path = call.key or ".".join(filter(None, (call.wrap, change.key)))
        try:
            found = member(json_of(response, request), path)
        except (KeyError, Misconfigured):
            found = None
        if found is None:
            found = _from_location(response) if record.get(change.key) is None else None
        if found is None:
            return record.get(change.key)
        return cast(pl.Series(change.key, [text_of(found)], pl.String), self.schema[change.key])[0]


def _wrapped(body: dict[str, Any], call: Call) -> dict[str, Any]:
    for part in reversed([part for part in call.wrap.split(".") if part]):
        body = {part: body}
    return body


def _from_location(response: httpx.Response) -> str | None:
    """Return the last part of the Location header, which is where many services put the key."""
    location = response.headers.get("Location", "")
    return httpx.URL(location).path.rstrip("/").rpartition("/")[2] or None if location else None
