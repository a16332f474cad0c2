"""Jobs of the Bulk API 2.0: made, waited for, and read page by page."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from connectors.builtin.rest_calls import Calls, Request
from connectors.errors import ConnectorError, Fatal, Unavailable
from connectors.http_reply import Reply
from connectors.json_records import encode
from rules.text import msg

_JSON = {"Content-Type": "application/json"}
_CSV = {"Content-Type": "text/csv; charset=UTF-8"}
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 15.0
_ENDED = frozenset({"JobComplete", "Failed", "Aborted"})
_BUSY = frozenset({"UploadComplete", "InProgress"})
_NO_MORE = ("", "null")


@dataclass(frozen=True)
class Jobs:
    """The jobs of one object; `kind` is `query` or `ingest`."""

    calls: Calls
    name: str
    kind: str
    minutes: int

    def make(self, **asked: Any) -> str:
        """Make a job and return its id. One whose answer gets lost stays empty, which does no harm."""
        request = self._request("", "POST", encode(asked), _JSON, repeatable=True)
        return str(self.calls.answer(request).value["id"])

    def upload(self, job: str, content: bytes) -> None:
        """Give a job its records and let it begin; raises `Unavailable` where it is certain that it has not begun."""
        self.response(self._request(f"/{job}/batches", "PUT", content, _CSV))
        done = self._request(f"/{job}", "PATCH", encode({"state": "UploadComplete"}), _JSON)
        try:
            self.response(done)
        except Unavailable:
            if self.told(job)["state"] == "Open":
                self.response(done)

    def abort(self, job: str) -> None:
        """Give a job up that has not begun."""
        with suppress(ConnectorError):
            self.response(self._request(f"/{job}", "PATCH", encode({"state": "Aborted"}), _JSON))

    def told(self, job: str) -> Mapping[str, Any]:
        """Return what Salesforce says of a job."""
        return dict(self.calls.answer(self._request(f"/{job}")).value)

    def under_way(self, entity: str) -> list[str]:
        """Return the jobs of an object, whoever began them, that may still create records."""
        found, place = list[str](), ""
        while True:
            query = {"jobType": "V2Ingest", **({"queryLocator": place} if place else {})}
            told = self.calls.answer(self._request("", query=query)).value
            found += [
                str(job["id"]) for job in told.get("records") or ()
                if (job.get("object"), job.get("operation")) == (entity, "insert") and job.get("state") in _BUSY
            ]  # fmt: skip
            following = str(told.get("nextRecordsUrl") or "")
            if told.get("done", True) or "queryLocator=" not in following:
                return found
            place = unquote(following.partition("queryLocator=")[2].partition("&")[0])

    def ended(self, job: str, *, doubles: bool = False) -> Mapping[str, Any]:
        """Wait until a job has ended; return what Salesforce says of it.

        Args:
            job: Its id.
            doubles: Whether the same records would be there twice if they were given to another job.

        Raises:
            Fatal: It has not ended in time, and nobody may begin another one before it has.
            Unavailable: It has not ended in time.
        """
        wait, until = _FIRST_WAIT, self.minutes * 60.0
        while (told := self.told(job))["state"] not in _ENDED:
            if until <= 0:
                raise self._late(job, doubles=doubles)
            time.sleep(wait)
            until -= wait
            wait = min(wait * 2, _LONGEST_WAIT)
        return told

    def _late(self, job: str, *, doubles: bool) -> ConnectorError:
        said = msg("A job of the Bulk API has not ended after {minutes} minutes (job {job}).",
                   minutes=self.minutes, job=job)  # fmt: skip
        if not doubles:
            advice = msg("Look at Setup, Bulk Data Load Jobs. Allow more time in the connection's settings.")
            return Unavailable(said, advice, object_name=self.name)
        advice = msg(
            "It may still create records: let it end before the rule runs again, or they are there twice. Look at "
            "Setup, Bulk Data Load Jobs. Allow more time in the connection's settings, or give '{object}' an external "
            "id there.",
            object=self.name,
        )
        return Fatal(said, advice, object_name=self.name)

    def failed(self, job: str, told: Mapping[str, Any]) -> Fatal:
        """Return the error for a job that did not complete."""
        return Fatal(
            msg("A job of the Bulk API ended as {state} (job {job}): {said}", state=told["state"], job=job,
                said=self.calls.credentials.hide(str(told.get("errorMessage") or "-"))),
            msg("Look at Setup, Bulk Data Load Jobs, or do without the Bulk API (setting 'Bulk API from')."),
            object_name=self.name,
        )  # fmt: skip

    def part(self, job: str, locator: str, size: int) -> tuple[bytes, str]:
        """Return a part of a query's result as CSV, and the locator of the next one, empty behind the last."""
        query = {"maxRecords": str(size), **({"locator": locator} if locator else {})}
        reply = self.response(self._request(f"/{job}/results", query=query, headers={"Accept": "text/csv"}))
        following = reply.headers.get("sforce-locator", "")
        return reply.content, "" if following in _NO_MORE else following

    def rows(self, job: str, which: str) -> Iterator[dict[str, str]]:
        """Yield the records of a result (`successfulResults`, `failedResults`, `unprocessedrecords`) as texts."""
        reply = self.response(self._request(f"/{job}/{which}/", headers={"Accept": "text/csv"}))
        yield from csv.DictReader(io.StringIO(reply.content.decode("utf-8-sig"), newline=""))

    def response(self, request: Request) -> Reply:
        """Return the answer of a call; raises where it is no success."""
        reply = self.calls.response(request)
        told = self.calls.told(reply, request)
        if not told.good:
            raise told.error()
        return reply

    def _request(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Request:  # fmt: skip
        return Request(
            f"/jobs/{self.kind}{path}", method, body=body, headers=headers or {}, object_name=self.name, **more
        )
