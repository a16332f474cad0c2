"""Finding records of a SOAP service one by one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import polars as pl

from connectors.builtin.soap_answer import Records
from connectors.builtin.soap_calls import Call, Calls
from connectors.builtin.soap_faults import Faulted
from connectors.builtin.soap_message import Unfit, put_at
from connectors.builtin.soap_objects import Get
from connectors.builtin.soap_read import Reading
from connectors.builtin.soap_shape import Shape
from connectors.errors import Misconfigured
from connectors.spi import Page, ReadRequest
from rules.schema import Schema
from rules.text import msg


class Lookup:
    """Asks for single records by their key."""

    def __init__(self, calls: Calls, shape: Shape, schema: Schema) -> None:
        self.calls = calls
        self.shape = shape
        self.schema = schema
        self._columns = shape.columns(schema)

    def page(self, get: Get, keys: Sequence[Any]) -> Page:
        """Return the records with these keys as a page; those that the service does not have are missing."""
        rows = pl.concat([self._columns.gather([]), *(self._rows(get, key) for key in keys)])
        return Reading(self.calls, self.shape, ReadRequest(self.shape.described.name, self.schema)).typed(rows)

    def _rows(self, get: Get, key: Any) -> pl.DataFrame:
        name = self.shape.described.name
        values: dict[str, Any] = copy.deepcopy(get.parameters)
        put_at(values, get.key, key)
        try:
            answer = self.calls.answer(Call(get.operation, values, name), Records(get.record, self._columns))
        except Faulted as fault:
            if fault.meaning == "missing":
                return self._columns.gather([])
            raise fault.error(name) from fault
        except Unfit as error:
            raise Misconfigured(
                error.message, msg("Correct the member 'get' of the object '{name}'.", name=name), object_name=name
            ) from error
        rows = pl.DataFrame(answer.rows) if len(answer.rows) else self._columns.gather([])
        return rows.filter(~pl.all_horizontal(pl.all().is_null()))
