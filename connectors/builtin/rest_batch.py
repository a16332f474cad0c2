"""Writing several records in one call, with an answer for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.builtin.rest_answers import value_of
from connectors.builtin.rest_bodies import Bodies, Refused
from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.rest_lost import found_by
from connectors.builtin.rest_objects import Batch, Call, RestObject
from connectors.builtin.rest_words import said_of
from connectors.builtin.rest_xml import xml_list
from connectors.casting import short
from connectors.errors import Unavailable
from connectors.http_crew import Job
from connectors.json_records import encode, member, text_of
from connectors.value_text import PLAIN
from rules.schema import Change, Op
from rules.text import Message, msg

Record = Mapping[str, Any]
Recognisable = Callable[[Request], Request]


@dataclass(frozen=True)
class Result:
    """What became of one record of a batch."""

    key: Any = None
    refused: Message | None = None


@dataclass(frozen=True)
class Batches:
    """The batches of one change."""

    calls: Calls
    described: RestObject
    bodies: Bodies
    change: Change
    call: Call

    @property
    def batch(self) -> Batch:
        """Return how a batch is described."""
        return self.call.batch or Batch()

    def parts(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Yield the records of each batch."""
        for start in range(0, len(records), self.batch.size):
            yield records[start : start + self.batch.size]

    def write(self, records: Sequence[Record], recognisable: Recognisable) -> Job[list[Result]]:
        """Write records and return what became of each. A batch that is refused as a whole is sent by halves."""
        try:
            request = recognisable(self.request(records))
            response = yield from self.calls.responding(request)
        except Unavailable as error:
            return (yield from self._after_loss(records, recognisable, error))
        except Refused as error:
            return [Result(refused=error.message)] * len(records)
        told = self.calls.told(response, request)
        if told.good:
            return self._results(records, self._answers(value_of(response, request)))
        if not told.refuses_record or response.status_code in (404, 405):
            raise told.error()
        if len(records) == 1:
            status = response.status_code
            return [
                Result(refused=msg("The service refuses the record ({status}): {said}", status=status, said=told.said))
            ]
        half = len(records) // 2
        first = yield from self.write(records[:half], recognisable)
        return first + (yield from self.write(records[half:], recognisable))

    def _after_loss(
        self, records: Sequence[Record], recognisable: Recognisable, error: Unavailable
    ) -> Job[list[Result]]:
        """Find out what arrived of a batch whose answer got lost, and send the rest once more."""
        if self.change.op is not Op.CREATE or self.described.find is None:
            raise error
        results: list[Result | None] = []
        for record in records:
            found = yield from found_by(self.calls, self.described, record)
            results.append(None if found is None else Result(found.get(self.change.key)))
        left = [record for record, result in zip(records, results, strict=True) if result is None]
        if len(left) == len(records):
            raise error
        rest = iter((yield from self.write(left, recognisable)) if left else [])
        return [result or next(rest) for result in results]

    def request(self, records: Sequence[Record]) -> Request:
        """Return the call that writes records."""
        key, call = self.change.key, self.call
        values = [self.bodies.values(record) for record in records]
        body, kind = self.bodies.body_of_many(call, values, [record.get(key) for record in records])
        return Request(
            call.path, call.method, call.query, body, {"Content-Type": kind, **call.headers}, self.described.name,
            repeatable=call is self.described.upsert, xml=self.described.format == "xml",
        )  # fmt: skip

    def _answers(self, value: Any) -> list[Any] | None:
        """Return the answers of the records, None if the service gives none."""
        if not self.batch.results and not isinstance(value, list):
            return None
        try:
            found = xml_list(member(value, self.batch.results))
        except KeyError:
            return []
        return found if isinstance(found, list) else []

    def _results(self, records: Sequence[Record], answers: list[Any] | None) -> list[Result]:
        if answers is None:
            return [Result(record.get(self.change.key)) for record in records]
        if not self.batch.match:
            told = dict(enumerate(answers))
            return [self._result(record, told.get(number)) for number, record in enumerate(records)]
        name = self.batch.match_field or self.batch.match.rpartition(".")[2]
        by_name = {text_of(_at(answer, self.batch.match)): answer for answer in answers}
        return [self._result(record, by_name.get(PLAIN.text(record.get(name)))) for record in records]

    def _result(self, record: Record, answer: Any) -> Result:
        if answer is None:
            return Result(refused=msg("The service does not say what became of this record."))
        if self._failed(answer):
            said = said_of(_at(answer, self.batch.message)) if self.batch.message else said_of(answer)
            said = self.calls.credentials.hide(said) or short(encode(answer).decode(), 200)
            return Result(refused=msg("The service refuses the record: {said}", said=said))
        key = _at(answer, self.batch.key or self.change.key)
        return Result(record.get(self.change.key) if key is None else key)

    def _failed(self, answer: Any) -> bool:
        batch = self.batch
        if batch.error and _at(answer, batch.error) not in (None, "", False, [], {}):
            return True
        if batch.ok and _at(answer, batch.ok) not in (True, "true", 1, "ok", "OK", "success"):
            return True
        try:
            return bool(batch.status) and int(_at(answer, batch.status)) >= 400
        except (TypeError, ValueError):
            return True


def _at(value: Any, path: str) -> Any:
    try:
        return member(value, path) if path else value
    except KeyError:
        return None
