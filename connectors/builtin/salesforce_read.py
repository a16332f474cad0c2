"""Reading objects of Salesforce: by REST, or by a query job of the Bulk API where there are many records."""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl

from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_paging import Asked
from connectors.builtin.rest_read import Reading
from connectors.builtin.salesforce_jobs import Jobs
from connectors.builtin.salesforce_settings import Question, SalesforceOptions, question_of
from connectors.casting import Places, short, typed
from connectors.http_reply import TooLarge
from connectors.spi import Page, Position, ReadRequest
from rules.schema import FieldType, Schema

PART = 10_000
"""Records that are fetched of a result at a time, at most."""
_UNFIT = frozenset({FieldType.JSON, FieldType.BINARY})


class SalesforceReading(Reading):
    """One scan of an object."""

    def __init__(self, calls: Calls, described: RestObject, request: ReadRequest, options: SalesforceOptions) -> None:
        super().__init__(calls, described, request)
        self.options = options
        self._size = PART
        self.jobs = Jobs(calls, described.name, "query", options.bulk_minutes)

    def _all(self, asked: Asked, behind: Position | None) -> Iterator[Page]:
        if behind is None:
            question = question_of({**self.described.query, **asked.query}.get("q", ""))
            if question is None or not self._large(question):
                return super()._all(asked, None)
            fields = [self.described.paths.get(name, name) for name in self.request.schema.names]
            job = self.jobs.make(operation="query", query=question.of(",".join(fields)))
            behind = {"job": job, "locator": "", "skip": 0, "first": 1, "done": False}
        return self._results(dict(behind)) if "job" in behind else super()._all(asked, behind)

    def _large(self, question: Question) -> bool:
        """Tell whether there are so many records that a job is worth its time, and all fields fit into it."""
        least = self.options.bulk_from
        if not least or any(f.type in _UNFIT for f in self.request.schema.fields):
            return False
        asked = Request("/query", query={"q": question.of("COUNT()")}, object_name=self.described.name)
        return int(self.calls.answer(asked).value["totalSize"]) >= least

    def _results(self, after: dict[str, Any]) -> Iterator[Page]:
        """Yield the result of a job from a place on; a part that was given in part is fetched again."""
        told = self.jobs.ended(after["job"]) if not after["done"] else {"state": "JobComplete"}
        if told["state"] != "JobComplete":
            raise self.jobs.failed(after["job"], told)
        given = False
        while not after["done"]:
            content, following = self._part(after["job"], after["locator"])
            raw = texts_of(content, self.described, self.request.schema)
            skip, height = after["skip"], raw.height
            for start in range(skip, height, self.request.page_size):
                part, ended = raw.slice(start, self.request.page_size), start + self.request.page_size >= height
                page = self._typed(part, after["first"])
                place = {"locator": following, "skip": 0} if ended else {"skip": start + self.request.page_size}
                after |= {**place, "first": after["first"] + part.height, "done": ended and not following}
                given = True
                yield Page(page.records, dict(after), page.rejects, page.first)
            if skip >= height:
                after |= {"locator": following, "skip": skip - height, "done": not following}
        if not given:
            yield Page(self.request.schema.empty(), after)

    def _part(self, job: str, locator: str) -> tuple[bytes, str]:
        """Return a part of a result; one of large records is asked for in smaller parts, and so are those behind it."""
        while True:
            try:
                return self.jobs.part(job, locator, self._size)
            except TooLarge:
                if self._size == 1:
                    raise
                self._size //= 2

    def _typed(self, raw: pl.DataFrame, first: int) -> Page:
        places = Places(lambda row: f"record {first + row}", lambda row: short(str(raw.row(row, named=True)), 300))
        frame, rejects, _ = typed(raw, self.request.schema, places)
        return Page(frame, {}, tuple(rejects), first)


def texts_of(content: bytes, described: RestObject, schema: Schema) -> pl.DataFrame:
    """Return a part of a result as texts by field; an empty one stands for no value, as Salesforce knows no other."""
    if not content.strip():
        return pl.DataFrame(schema=dict.fromkeys(schema.names, pl.String))
    raw = pl.read_csv(io.BytesIO(content), infer_schema=False, null_values=[""], eol_char="\n")
    raw = raw.rename({name: name.strip() for name in raw.columns})
    found = {field.name: raw[described.paths.get(field.name, field.name)] for field in schema.fields}
    return pl.DataFrame([
        (plain(found[f.name]) if f.type in (FieldType.DECIMAL, FieldType.INTEGER) else found[f.name]).alias(f.name)
        for f in schema.fields
    ])  # fmt: skip


def plain(column: pl.Series) -> pl.Series:
    """Return numbers without powers of ten (`1.0E7`), and whole ones without decimals that say nothing (`7.0`)."""
    odd = column.str.contains(r"[eE.]").fill_null(value=False)
    if not odd.any():
        return column
    return pl.Series(column.name, [_plain(text) if text is not None else None for text in column], pl.String)


def _plain(text: str) -> str:
    try:
        number = Decimal(text)
        whole = number.to_integral_value()
        return format(whole if whole == number else number, "f")
    except InvalidOperation:
        return text
