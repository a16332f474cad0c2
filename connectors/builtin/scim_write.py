"""Writing resources of a SCIM server: parts or the whole, members one by one, each alone or many in a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
import polars as pl

from connectors.builtin.rest_answers import value_of
from connectors.builtin.rest_calls import Request
from connectors.builtin.rest_words import said_of
from connectors.builtin.scim_model import Attribute, Kind
from connectors.builtin.scim_read import Rows
from connectors.builtin.scim_service import HEADERS, Service
from connectors.casting import cast
from connectors.errors import ConnectorError, Misconfigured, RecordRejected
from connectors.json_records import decode, encode
from connectors.spi import Failure
from connectors.value_text import PLAIN
from rules.schema import Change, FieldType, Op, Schema
from rules.text import msg

_MESSAGES = "urn:ietf:params:scim:api:messages:2.0"
_BODY = {**HEADERS, "Content-Type": "application/scim+json"}
_MOST = 100
_AS_JSON = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.BOOLEAN})


@dataclass(frozen=True)
class Job:
    """One record to be written: where it stands in the call, and the operation."""

    change: int
    row: int
    op: Op
    record: Mapping[str, Any]
    method: str
    path: str
    body: Any = None
    version: str = ""


class Writing:
    """The writes of one call."""

    def __init__(self, service: Service, name: str, schema: Schema) -> None:
        self.service, self.schema = service, schema
        self.kind: Kind = service.kind(name)
        self.failures: list[Failure] = []
        self._patches = service.options.updating == "patch" or (
            service.options.updating == "auto" and service.supports("patch")
        )
        self._versions = service.options.etag and service.supports("etag")

    def write(self, changes: Sequence[Change]) -> tuple[tuple[Failure, ...], tuple[pl.Series | None, ...]]:
        """Write the records of the changes; return the refused ones, and the keys of created ones."""
        keys: list[list[Any]] = [[None] * change.records.height for change in changes]
        for number, change in enumerate(changes):
            Rows(self.kind, self.schema.select(tuple(n for n in change.records.columns if n in self.schema)))
            self._change(number, change, keys)
        made = tuple(
            pl.Series(c.key, found, self.schema[c.key].dtype) if c.op is Op.CREATE and c.key in self.schema else None
            for c, found in zip(changes, keys, strict=True)
        )
        return tuple(sorted(self.failures, key=lambda f: (f.change, f.row))), made

    def _change(self, number: int, change: Change, keys: list[list[Any]]) -> None:
        together = self.service.options.bulk and self.service.supports("bulk")
        waiting: list[Job] = []
        for row, record in enumerate(change.records.iter_rows(named=True)):
            try:
                job = self._job(number, row, change, record)
                if job is None:
                    continue
                if not together:
                    keys[number][row] = self._alone(job, change.key)
                    continue
                waiting.append(job)
            except RecordRejected as error:
                self.failures.append(Failure(number, row, error.message, error.field))
            if len(waiting) == self._limit():
                self._together(waiting, change.key, keys)
                waiting = []
        if waiting:
            self._together(waiting, change.key, keys)

    def _limit(self) -> int:
        most = self.service.offers.get("bulk", {}).get("maxOperations")
        return min(_MOST, most) if isinstance(most, int) and most > 0 else _MOST

    def _job(self, number: int, row: int, change: Change, record: Mapping[str, Any]) -> Job | None:
        """Return what has to be done for a record, None for nothing."""
        if change.op is Op.CREATE:
            body: dict[str, Any] = {}
            for name, value in record.items():
                self._put(body, name, value)
            body["schemas"] = [s for s in self.kind.schemas if s in body or s == self.kind.schemas[0]]
            return Job(number, row, change.op, record, "POST", self.kind.endpoint, body)
        before, path, version = self._present(change.key, record)
        if change.op is Op.DELETE:
            return Job(number, row, change.op, record, "DELETE", path, None, version)
        wanted = {n: v for n, v in record.items() if n != change.key and not self.kind.attributes[n].field.generated}
        if self._patches:
            operations = [o for n, v in wanted.items() for o in self._operations(self.kind.attributes[n], before, v)]
            body = {"schemas": [f"{_MESSAGES}:PatchOp"], "Operations": operations}
            return Job(number, row, change.op, record, "PATCH", path, body, version) if operations else None
        for name, value in wanted.items():
            self._put(before, name, value)
        before["schemas"] = list(
            dict.fromkeys([*before.get("schemas", ()), *(s for s in self.kind.schemas if s in before)])
        )
        return Job(number, row, change.op, record, "PUT", path, before, version)

    def _present(self, key: str, record: Mapping[str, Any]) -> tuple[dict[str, Any], str, str]:
        """Return the resource that a record means as it is now, its path and its version; raises `RecordRejected`."""
        value = record[key]
        if value is None:
            raise RecordRejected(
                msg("Field '{field}' is empty, so it is not known which record is meant.", field=key), field=key
            )
        attribute = self.kind.attributes[key]
        found = self.service.meeting(self.kind, attribute, value)
        if len(found) != 1:
            raise RecordRejected(
                msg("The service has several records with this key.") if found
                else msg("The service has no such record any more."), field=key,
            )  # fmt: skip
        number = str(found[0].get("id"))
        meta = found[0].get("meta")
        version = str(meta.get("version") or "") if isinstance(meta, dict) and self._versions else ""
        return found[0], f"{self.kind.endpoint}/{quote(number, safe='')}", version

    def _put(self, resource: dict[str, Any], name: str, value: Any) -> None:
        attribute = self.kind.attributes[name]
        if not attribute.field.generated:
            attribute.put(resource, self._plain(attribute, value))

    def _plain(self, attribute: Attribute, value: Any) -> Any:
        """Return a value as it stands in a resource."""
        if value is None:
            return None
        if attribute.own is FieldType.JSON:
            return decode(value)
        text = PLAIN.text(value) or ""
        return msgspec.Raw(text.encode()) if attribute.own in _AS_JSON else text

    def _operations(self, attribute: Attribute, before: Mapping[str, Any], value: Any) -> list[dict[str, Any]]:
        """Return what makes an attribute's value the one wanted; members are added and taken away one by one."""
        new, old = self._plain(attribute, value), attribute.value(before)
        if new is None or (attribute.many and not new):
            return [{"op": "remove", "path": attribute.path}] if old not in (None, []) else []
        if not (attribute.many and attribute.parts == ("members",) and isinstance(new, list)):
            return [{"op": "replace", "path": attribute.path, "value": new}]
        held, wanted = ({str(m.get("value")): m for m in each or ()} for each in (old, new))
        gone = [{"op": "remove", "path": f"members[value eq {encode(m).decode()}]"} for m in held if m not in wanted]
        added = [{"value": m} for m in wanted if m not in held]
        return [*gone, *([{"op": "add", "path": "members", "value": added}] if added else [])]

    def _alone(self, job: Job, key: str) -> Any:
        """Write one record; return the key of a created one."""
        headers = {**_BODY, **({"If-Match": job.version} if job.version else {})}
        body = None if job.body is None else encode(job.body)
        request = Request(job.path, job.method, body=body, headers=headers, object_name=self.kind.name)
        reply = self.service.calls.response(request)
        if reply.status_code == 401 or (reply.status_code in (404, 405) and job.op is Op.CREATE):
            raise self.service.calls.told(reply, request).error()
        try:
            value = value_of(reply, request)
        except ConnectorError:
            value = None
        return self._settled(job, reply.status_code, value, key)

    def _together(self, jobs: Sequence[Job], key: str, keys: list[list[Any]]) -> None:
        """Write several records in one call."""
        operations = [_bulk(number, job) for number, job in enumerate(jobs)]
        body = {"schemas": [f"{_MESSAGES}:BulkRequest"], "Operations": operations}
        request = Request("Bulk", "POST", body=encode(body), headers=_BODY, object_name=self.kind.name)
        reply = self.service.calls.response(request)
        if not reply.is_success:
            raise self.service.calls.told(reply, request).error()
        value = value_of(reply, request)
        found = value.get("Operations") if isinstance(value, dict) else None
        if not isinstance(found, list) or len(found) != len(jobs):
            raise Misconfigured(
                msg("The answer to several writes at once does not tell what became of each record."),
                msg("Let each record be written alone."),
                object_name=self.kind.name,
            )
        for job, told in zip(jobs, found, strict=True):
            status = int(str(told.get("status") or 0))
            inside = told.get("response") or {"id": str(told.get("location") or "").rstrip("/").rpartition("/")[2]}
            keys[job.change][job.row] = self._settled(job, status, inside, key)

    def _settled(self, job: Job, status: int, value: Any, key: str) -> Any:
        """Note what became of a record; return the key of a created one."""
        if 200 <= status < 300:
            return self._key(job, value, key) if job.op is Op.CREATE else None
        if status in (404, 410) and job.op is not Op.CREATE:
            text = msg("The service has no such record any more.")
        elif status == 412:
            text = msg(
                "The record was changed by somebody else while it was written. It is tried again with the next run."
            )
        else:
            told = self.service.calls.credentials.hide(said_of(value) or "-")
            text = msg("The service refuses the record ({status}): {said}", status=status, said=told)
        self.failures.append(Failure(job.change, job.row, text))
        return None

    def _key(self, job: Job, value: Any, key: str) -> Any:
        attribute = self.kind.attributes[key]
        found = attribute.text(value) if isinstance(value, dict) else None
        if found is None:
            return job.record.get(key)
        return cast(pl.Series(key, [found], pl.String), self.schema[key])[0]


def _bulk(number: int, job: Job) -> dict[str, Any]:
    made: dict[str, Any] = {"method": job.method, "path": f"/{job.path}"}
    if job.method == "POST":
        made["bulkId"] = f"b{number}"
    if job.body is not None:
        made["data"] = job.body
    return {**made, **({"version": job.version} if job.version else {})}
