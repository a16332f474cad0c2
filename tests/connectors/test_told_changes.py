"""What services tell of their changes, read in parts while they change: nothing is passed over."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from connectors.changes import Mark
from connectors.spi import Capture, Connector, Page, ReadRequest
from connectors.told_changes import Telling, Told
from rules.schema import Field, FieldType, Schema

SCHEMA = Schema((Field("id", FieldType.TEXT), Field("value", FieldType.INTEGER)))
Order = Literal["time", "key", "whole"]
Step = tuple[str, str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["page", "put", "put", "remove", "resume"]), st.sampled_from("abcde"),
              st.integers(1, 3)), max_size=12,
)  # fmt: skip


@dataclass
class Service:
    """Tells what is changed in parts, as they are when they are asked for: by time, by key, or all at once."""

    order: Order
    rows: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def do(self, kind: str, key: str) -> None:
        """Change a record."""
        self.log.append(key)
        if kind == "put":
            self.rows[key] = len(self.log)
        else:
            self.rows.pop(key, None)

    def tellings(self, since: Mark) -> Generator[Telling]:
        """Yield answers; a place among keys holds since when, and up to when all keys are told at its end."""
        last = False
        while not last:
            told = {key: number for number, key in enumerate(self.log) if number >= since["from"]}
            if self.order == "key":
                left = sorted(key for key in told if key > since.get("key", ""))
                until = since.get("until", len(self.log))
                last = len(left) <= 3
                behind = {"from": until} if last else {"from": since["from"], "until": until, "key": left[2]}
            else:
                left = sorted(told, key=lambda key: told[key])
                last = self.order == "whole" or len(left) <= 3
                behind = {"from": len(self.log) if last else told[left[2]] + 1}
            keys = {key: key not in self.rows for key in (left if last else left[:3])}
            yield Telling(keys, since, behind, last)
            since = behind

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return records as they are now."""
        found = [(k, self.rows[k]) for k in values.to_list() if k in self.rows]
        return pl.DataFrame(found, schema=schema.dtypes(), orient="row")


@dataclass
class Reader:
    """Keeps a copy, page by page, and resumes as the engine does: from a position that was written down."""

    service: Service
    size: int = 2
    copy: dict[str, int] = field(default_factory=dict)
    mark: Mark = field(default_factory=lambda: {"from": 0})

    def begin(self, after: Any = None) -> None:
        """Begin to read, or to read on."""
        told = Told(cast(Connector, self.service), self.service.tellings)
        request = ReadRequest("x", SCHEMA, page_size=self.size, after=json.loads(json.dumps(after)))
        self.pages = told.pages(request, Capture("me", "id"), self.mark)
        self.page: Page | None = None

    def take(self) -> bool:
        """Read the next page, if there is one."""
        page = next(self.pages, None)
        if page is None:
            return False
        self.page = page
        self.copy.update(dict(page.records.rows()))
        for key in [] if page.deleted is None else page.deleted["id"]:
            self.copy.pop(key, None)
        return True

    def resume(self, size: int) -> None:
        """Go on from the last page with another size of pages."""
        self.size = size
        self.begin(self.page and self.page.position)

    def rest(self) -> None:
        """Read to the end, which is where the next read begins."""
        while self.take():
            pass
        if self.page is not None:
            self.mark = dict(self.page.captured or {})
            self.begin()


@given(before=st.permutations("abcde"), between=STEPS, order=st.sampled_from(["time", "key", "whole"]))
def test_what_changes_while_it_is_read_is_read(before: list[str], between: list[Step], order: Order) -> None:
    """However a service cuts its answers and changes between them, a read that was resumed ends with its records."""
    service = Service(order)
    for key in before:
        service.do("put", key)
    reader = Reader(service)
    reader.begin()
    reader.take()
    kept: Any = None
    for kind, key, size in between:
        if kind == "page":
            reader.take()
        elif kind == "resume":
            kept = reader.page.position if reader.page else kept
            reader.size = size
            reader.begin(kept)
        else:
            service.do(kind, key)
    reader.rest()
    reader.begin()
    reader.rest()
    assert reader.copy == service.rows


def test_an_answer_that_has_shifted_is_read_from_its_beginning() -> None:
    """A key that another one has pushed out of a part is read with the next part."""
    service = Service("key")
    for key in "bcdef":
        service.do("put", key)
    reader = Reader(service)
    reader.begin()
    reader.take()
    service.do("put", "a")
    service.do("put", "c")
    reader.resume(2)
    reader.rest()
    assert reader.copy == service.rows


def test_an_answer_that_is_the_same_is_read_on() -> None:
    """Only what is left of it is read, and what has changed since is told by the next one."""
    service = Service("whole")
    for key in "abcde":
        service.do("put", key)
    reader = Reader(service)
    reader.begin()
    reader.take()
    service.do("put", "a")
    reader.resume(5)
    reader.take()
    assert reader.page is not None
    assert reader.page.records["id"].to_list() == list("cde")
    assert reader.page.captured == {"from": 5}
