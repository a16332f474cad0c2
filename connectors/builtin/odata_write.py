"""Writing entities: each alone, many in a call, or all of them or none; with the versions that a service wants."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import polars as pl

from connectors.builtin.odata_batch import Operation, body_of, replies_of
from connectors.builtin.odata_model import ENTITY_KEY
from connectors.builtin.odata_read import Rows
from connectors.builtin.odata_service import BODY_NEW, Service, Subject
from connectors.builtin.odata_types import UnfitError, written
from connectors.builtin.odata_words import field_of, said
from connectors.builtin.rest_answers import value_of
from connectors.builtin.rest_calls import Request
from connectors.casting import cast
from connectors.errors import ConnectorError, RecordRejected, Unavailable
from connectors.http_reply import Reply
from connectors.json_records import encode
from connectors.spi import Failure
from rules.schema import Change, Op, Schema
from rules.text import msg

Record = Mapping[str, Any]
_BATCH = 100
_ANY = "*"
_KEY_AT_END = re.compile(r"\(([^()]*)\)$")


@dataclass(frozen=True)
class Job:
    """One record to be written: where it stands in the call, and the operation."""

    change: int
    row: int
    op: Op
    record: Record
    operation: Operation


class Writing:
    """The writes of one call."""

    def __init__(self, service: Service, name: str, schema: Schema) -> None:
        self.service, self.schema = service, schema
        self.subject: Subject = service.subject(name)
        self.old = service.model.old
        self.failures: list[Failure] = []
        self._versions = service.options.etag == "always" or (
            service.options.etag == "auto" and self.subject.set.guarded
        )

    def write(self, changes: Sequence[Change]) -> tuple[tuple[Failure, ...], tuple[pl.Series | None, ...]]:
        """Write the records of the changes; return the refused ones, and the keys of created ones."""
        keys: list[list[Any]] = [[None] * change.records.height for change in changes]
        for change in changes:
            Rows(self.subject, self.schema.select(tuple(n for n in change.records.columns if n in self.schema)))
        if self.service.options.writing == "single":
            for job in self._jobs(changes):
                keys[job.change][job.row] = self._alone(job, changes[job.change].key)
        else:
            self._batched(changes, keys)
        made = tuple(
            pl.Series(c.key, found, self.schema[c.key].dtype) if c.op is Op.CREATE and c.key in self.schema else None
            for c, found in zip(changes, keys, strict=True)
        )
        return tuple(sorted(self.failures, key=lambda f: (f.change, f.row))), made

    def _batched(self, changes: Sequence[Change], keys: list[list[Any]]) -> None:
        atomic = self.service.options.writing == "atomic"
        jobs: list[Job] = []
        for job in self._jobs(changes):
            jobs.append(job)
            if len(jobs) == _BATCH and not atomic:
                self._together(jobs, changes, keys)
                jobs = []
        if jobs and not (atomic and self.failures):
            self._together(jobs, changes, keys)
        elif jobs:  # one record cannot even be sent, so none is
            self._refuse_others(jobs)

    def _jobs(self, changes: Sequence[Change]) -> Iterator[Job]:
        for number, change in enumerate(changes):
            for row, record in enumerate(change.records.iter_rows(named=True)):
                try:
                    yield Job(number, row, change.op, record, self._operation(change, record))
                except RecordRejected as error:
                    self.failures.append(Failure(number, row, error.message, error.field))

    def _operation(self, change: Change, record: Record) -> Operation:
        body = {"Content-Type": "application/json" if self.old else BODY_NEW}
        if change.op is Op.CREATE:
            prefer = {} if self.old else {"Prefer": "return=representation"}
            return Operation("POST", self.subject.set.name, encode(self._body(record)), {**body, **prefer})
        if record[change.key] is None:
            raise RecordRejected(
                msg("Field '{field}' is empty, so the address of the record is not known.", field=change.key),
                field=change.key,
            )
        path = self.subject.path(change.key, record[change.key])
        match = {"If-Match": self._version(path)} if self._versions else {} if self.old else {"If-Match": _ANY}
        if change.op is Op.DELETE:
            return Operation("DELETE", path, None, match)
        own = {n: v for n, v in record.items() if n != change.key and n not in self.subject.set.key}
        return Operation("MERGE" if self.old else "PATCH", path, encode(self._body(own)), {**body, **match})

    def _body(self, record: Record) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in record.items():
            known = self.subject.set.properties.get(name)
            if known is None or known.field.generated or (value is None and name in self.subject.set.key):
                continue
            if known.bound is not None:
                navigation, target = known.bound
                found[f"{navigation}@odata.bind"] = value and f"/{target}({value})"
                continue
            try:
                found[name] = written(value, known.kind)
            except UnfitError:
                raise RecordRejected(
                    msg("Field '{field}' holds '{value}', which is finer than the service can hold.",
                        field=name, value=str(value)),
                    field=name,
                ) from None  # fmt: skip
        return found

    def _version(self, path: str) -> str:
        """Return the version of an entity as it is now."""
        found = self.service.found(self.service.request(path, {}, self.subject.name))
        if found is None:
            raise _gone()
        value, reply = found
        inside = value.get("__metadata")
        told = value.get("@odata.etag") or (inside.get("etag") if isinstance(inside, dict) else None)
        return str(told or reply.headers.get("etag", _ANY))

    def _alone(self, job: Job, key: str) -> Any:
        """Write one record; return the key of a created one."""
        try:
            reply = self._sent(job.operation)
            if reply.status_code == 428:  # it wants a version, although it did not say so
                self._versions = True
                match = {"If-Match": self._version(job.operation.path)}
                operation = replace(job.operation, headers={**job.operation.headers, **match})
                job = replace(job, operation=operation)
                reply = self._sent(operation)
        except RecordRejected as error:
            self.failures.append(Failure(job.change, job.row, error.message, error.field))
            return None
        except Unavailable:
            if not self._arrived(job, key):
                raise
            return job.record[key]
        return self._settled(job, reply, key)

    def _sent(self, operation: Operation) -> Reply:
        request = Request(operation.path, operation.method, body=operation.body, headers=operation.headers)
        reply = self.service.send(replace(request, object_name=self.subject.name))
        if reply.status_code in (404, 405) and operation.method == "POST":
            raise self.service.calls.told(reply, request).error()
        return reply

    def _arrived(self, job: Job, key: str) -> bool:
        """Tell whether a creation whose answer was lost has been done: its own key is there now."""
        if job.op is not Op.CREATE or job.record.get(key) is None:
            return False
        path = self.subject.path(key, job.record[key])
        return self.service.found(self.service.request(path, {}, self.subject.name)) is not None

    def _together(self, jobs: Sequence[Job], changes: Sequence[Change], keys: list[list[Any]]) -> None:
        """Write several records in one call."""
        atomic = self.service.options.writing == "atomic"
        body, kind = body_of([job.operation for job in jobs], together=atomic)
        request = Request(
            "$batch", "POST", body=body, headers={"Content-Type": kind, "Accept": "multipart/mixed"},
            object_name=self.subject.name,
        )  # fmt: skip
        reply = self.service.send(request)
        if not reply.is_success:
            raise self.service.calls.told(reply, request).error()
        try:
            groups = replies_of(reply)
        except (ValueError, IndexError) as error:
            raise self._broken() from error
        if atomic and len(groups) == 1 == len(groups[0]) and not groups[0][0].is_success:
            self._refuse_all(jobs, groups[0][0])
            return
        found = [each for group in groups for each in group]
        if len(found) != len(jobs):
            raise self._broken()
        for job, each in zip(jobs, found, strict=True):
            keys[job.change][job.row] = self._settled(job, each, changes[job.change].key)

    def _settled(self, job: Job, reply: Reply, key: str) -> Any:
        """Note what became of a record; return the key of a created one."""
        if reply.is_success:
            return self._key(job, reply, key) if job.op is Op.CREATE else None
        match = job.operation.headers.get("If-Match")
        gone = reply.status_code in (404, 410) or (reply.status_code == 412 and match == _ANY)
        if gone and job.op is not Op.CREATE:
            error = _gone()
        elif reply.status_code == 412:
            error = RecordRejected(
                msg(
                    "The record was changed by somebody else while it was written. It is tried again with the next run."
                )
            )
        else:
            told = self.service.calls.credentials.hide(said(reply))
            error = RecordRejected(
                msg("The service refuses the record ({status}): {said}", status=reply.status_code, said=told),
                field=field_of(reply) if field_of(reply) in self.schema else None,
            )
        self.failures.append(Failure(job.change, job.row, error.message, error.field))
        return None

    def _refuse_all(self, jobs: Sequence[Job], reply: Reply) -> None:
        """Note that no record of a change set was written, because one of them was refused."""
        told = self.service.calls.credentials.hide(said(reply))
        for job in jobs:
            text = msg("None of the {count} records of the call is written, because the service refuses one of them"
                       " ({status}): {said}", count=len(jobs), status=reply.status_code, said=told)  # fmt: skip
            self.failures.append(Failure(job.change, job.row, text))

    def _refuse_others(self, jobs: Sequence[Job]) -> None:
        reason = self.failures[0].message
        for job in jobs:
            text = msg("It is not written, because another record of the call cannot be: {reason}", reason=reason)
            self.failures.append(Failure(job.change, job.row, text))

    def _key(self, job: Job, reply: Reply, key: str) -> Any:
        """Return the key of a created record: the one in the answer, else the one in its address, else the one sent."""
        try:
            value = value_of(reply, Request(""))
        except ConnectorError:
            value = None
        value = value.get("d", value) if isinstance(value, dict) else None
        if isinstance(value, dict) and all(value.get(name) is not None for name in self.subject.set.key):
            page = Rows(self.subject, self.schema.select((key,))).page([value])
            if page.records.height:
                return page.records[key][0]
        found = _KEY_AT_END.search(reply.headers.get("odata-entityid") or reply.headers.get("location") or "")
        if job.record.get(key) is not None or found is None:
            return job.record.get(key)
        text = unquote(found[1])
        if key == ENTITY_KEY:
            return text
        bare = re.sub(r"^\w*'(.*)'$", r"\1", text.partition("=")[2] or text)
        return cast(pl.Series(key, [bare], pl.String), self.schema[key])[0]

    def _broken(self) -> Unavailable:
        return Unavailable(
            msg("The answer to several writes at once ($batch) cannot be read, so it is not known what was written."),
            msg("Let each record be written alone (setting 'Writing')."),
            object_name=self.subject.name,
        )


def _gone() -> RecordRejected:
    return RecordRejected(msg("The service has no such record any more."))
