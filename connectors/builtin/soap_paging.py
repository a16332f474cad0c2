"""Walking through the pages of a list, with guards against lists that never end or end too early."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from connectors.builtin.paging_ends import Circle, check_total, endless
from connectors.builtin.soap_answer import Answer, Columns, Records, Rows, Untyped
from connectors.builtin.soap_calls import Call, Calls
from connectors.builtin.soap_faults import Faulted
from connectors.builtin.soap_message import Unfit, put_at
from connectors.builtin.soap_objects import SoapObject
from connectors.errors import Misconfigured
from rules.text import msg

State = dict[str, Any]
_MOST_PAGES = 1_000_000
_YES = ("true", "1", "y", "yes")


@dataclass(frozen=True)
class Batch:
    """The records of one answer; `state` asks for it again, `next` for the one behind it, if there may be one."""

    rows: Rows
    state: State
    next: State | None


@dataclass
class Walk:
    """One walk through a list; `asked` are parameters beside those of the object, by their path."""

    calls: Calls
    described: SoapObject
    columns: Columns | Untyped
    asked: Mapping[str, Any]

    def batches(self, state: State | None = None) -> Iterator[Batch]:
        """Yield the answers from a state on, or from the beginning."""
        state = state or {"at": self._begin(), "read": 0, "carry": {}}
        circle = Circle(self.described.name)
        for _ in range(_MOST_PAGES):
            answer = self._call(state)
            circle.check(state["at"], _mark(answer.rows))
            following = self._following(state, answer)
            yield Batch(answer.rows, state, following)
            if following is None:
                return
            state = following
        raise endless(self.described.name)

    def _begin(self) -> int | None:
        paging = self.described.read.paging
        if paging.by not in ("page", "offset"):
            return None
        return paging.start if paging.start is not None else int(paging.by == "page")

    def _call(self, state: State) -> Answer:
        read, paging = self.described.read, self.described.read.paging
        later = state["read"] > 0 and bool(paging.operation)
        values = copy.deepcopy(paging.parameters if later else read.parameters)
        for path, value in {} if later else dict(self.asked).items():
            put_at(values, path, value)
        if paging.size_parameter and not later:
            put_at(values, paging.size_parameter, paging.size)
        if paging.by != "none" and state["at"] is not None and (later or not paging.operation):
            put_at(values, paging.parameter, state["at"])
        for path, value in state["carry"].items():
            put_at(values, path, value)
        operation = paging.operation if later else read.operation
        records = (paging.records if later else "") or read.records
        name = self.described.name
        try:
            answer = self.calls.answer(Call(operation, values, name), Records(records, self.columns))
        except Faulted as fault:
            if fault.meaning == "missing":
                return Answer([], [])
            raise fault.error(name) from fault
        except Unfit as error:
            raise Misconfigured(
                error.message, msg("Correct the parameters of the object '{name}'.", name=name), object_name=name
            ) from error
        return answer

    def _following(self, state: State, answer: Answer) -> State | None:
        """Return the state behind an answer, or None if the list ends there."""
        paging, read = self.described.read.paging, state["read"] + len(answer.rows)
        if paging.by == "none" or self._said_to_end(answer):
            return None
        total = self._total(answer)
        if total is not None and read >= total:
            return None
        if paging.by == "token":
            at: Any = (answer.text(paging.next) or "").strip() or None
            if at is None:
                check_total(self.described.name, read, total)
                return None
        elif not len(answer.rows):
            check_total(self.described.name, read, total)
            return None
        else:
            at = state["at"] + (1 if paging.by == "page" else len(answer.rows))
        return {"at": at, "read": read, "carry": state["carry"] or self._carried(answer)}

    def _carried(self, answer: Answer) -> dict[str, str]:
        found = {}
        for parameter, path in self.described.read.paging.carry.items():
            text = answer.text(path)
            if text is None:
                raise self._nothing_at(path)
            found[parameter] = text
        return found

    def _said_to_end(self, answer: Answer) -> bool:
        paging = self.described.read.paging
        for path, wanted in ((paging.more, False), (paging.done, True)):
            if path:
                text = answer.text(path)
                if text is None:
                    raise self._nothing_at(path)
                if (text.strip().lower() in _YES) is wanted:
                    return True
        return False

    def _total(self, answer: Answer) -> int | None:
        path = self.described.read.paging.total
        if not path:
            return None
        text = (answer.text(path) or "").strip()
        if not text.isdigit():
            raise self._nothing_at(path)
        return int(text)

    def _nothing_at(self, path: str) -> Misconfigured:
        name = self.described.name
        return Misconfigured(
            msg("There is nothing at '{path}' in the answer of the operation '{operation}', so it cannot be known how"
                " the list goes on.", path=path, operation=self.described.read.operation),
            msg("Correct the paging of the object '{name}'.", name=name),
            object_name=name,
        )  # fmt: skip


def _mark(rows: Rows) -> bytes:
    """Return what tells a page from others, nothing for an empty one."""
    if not len(rows):
        return b""
    return hashlib.sha256(repr((len(rows), _values(rows[:1]), _values(rows[-1:]))).encode()).digest()


def _values(rows: Rows) -> list[Any]:
    return rows.rows() if isinstance(rows, pl.DataFrame) else rows
