"""A connector to begin with: a system that knows the first numbers and their squares.

A real connector replaces `_record` by calls of its system. Everything else stays much the same: a `spec` for the form
and the catalogue, a connection test, objects, their fields, and reading page by page with a position to go on from.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from connectors.errors import ConnectorError, Misconfigured, ObjectMissing
from connectors.spi import (
    Capabilities,
    Connector,
    ConnectorSpec,
    ObjectInfo,
    Page,
    ReadRequest,
    Setting,
    SettingKind,
    Step,
)
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg

FIELDS = Schema(
    (
        Field("number", FieldType.INTEGER, nullable=False),
        Field("square", FieldType.INTEGER),
        Field("even", FieldType.BOOLEAN),
    ),
    ("number",),
)


class Numbers(Connector):
    """The first numbers."""

    spec = ConnectorSpec(
        name="numbers",
        label=N_("Numbers"),
        category=N_("Samples"),
        summary=N_("The first numbers with their squares: a sample for those who write a connector."),
        settings=(
            Setting(
                "count", N_("How many"), SettingKind.INTEGER, help=N_("The numbers from 1 to this one."), default=10
            ),
        ),
        capabilities=Capabilities(),
    )

    def check(self) -> Iterator[Step]:
        """Yield the one step of the connection test."""
        try:
            detail = msg("There are {count} numbers.", count=self._count())
        except ConnectorError as error:
            yield Step(N_("Count"), ok=False, detail=error.advice)
            return
        yield Step(N_("Count"), ok=True, detail=detail)

    def objects(self) -> list[ObjectInfo]:
        """Return the one object."""
        return [ObjectInfo("numbers", "list", records=self._count(), writable=False)]

    def schema(self, name: str) -> Schema:
        """Return the fields of a number."""
        if name != "numbers":
            raise ObjectMissing(_unknown(name), object_name=name)
        return FIELDS

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the numbers behind the position, page by page."""
        self.schema(request.object)
        last = int((request.after or {}).get("number", 0))
        while True:
            numbers = range(last + 1, min(last + request.page_size, self._count()) + 1)
            rows = [_record(number) for number in numbers]
            records = pl.DataFrame(rows, schema=FIELDS.dtypes(), orient="row").select(request.schema.names)
            first, last = last + 1, last + len(rows)
            yield Page(records, {"number": last}, first=first)
            if last >= self._count():
                return

    def _count(self) -> int:
        count = int(self.settings["count"])
        if count < 0:
            raise Misconfigured(msg("There cannot be {count} numbers.", count=count), msg("Enter 0 or more."))
        return count


def _record(number: int) -> tuple[int, int, bool]:
    return number, number * number, number % 2 == 0


def _unknown(name: str) -> Message:
    return msg("There is no object '{name}', only 'numbers'.", name=name)
