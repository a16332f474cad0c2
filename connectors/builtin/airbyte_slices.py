"""What a stream of a manifest is read for: partitions (values, parent records) and spans of time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.builtin import airbyte_components as parts
from connectors.builtin.airbyte_paths import found_at
from connectors.builtin.airbyte_requests import Draft
from connectors.builtin.airbyte_times import moment_of, written
from connectors.builtin.airbyte_words import duration_value, text_value, value_of
from connectors.errors import Misconfigured
from rules.text import msg

Records = Callable[[parts.DeclarativeStream], Iterator[Mapping[str, Any]]]
_MOST_SPANS = 100_000


@dataclass(frozen=True)
class Slice:
    """One part of a stream: values of the partition, the span of time, and where they go in a request."""

    partition: Mapping[str, Any] = field(default_factory=dict)
    interval: Mapping[str, str] = field(default_factory=dict)
    options: tuple[tuple[parts.RequestOption, Any], ...] = ()
    cursor_slice: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, Any]:
        """Return what expressions can name of it."""
        return {
            "stream_partition": self.partition,
            "stream_interval": self.interval,
            "stream_slice": {**self.partition, **self.cursor_slice},
        }

    def put(self, draft: Draft, known: Mapping[str, Any]) -> None:
        """Put its values into a request."""
        for option, value in self.options:
            draft.put(option, value, known)


class Slices:
    """The parts of one stream."""

    def __init__(self, stream: parts.DeclarativeStream, config: Mapping[str, Any], records: Records) -> None:
        """Take a stream, the configuration, and what reads the records of a parent stream."""
        self.stream = stream
        self.known = {"config": config, "parameters": stream.parameters}
        self._records = records

    def all(self, since: str | None) -> Iterator[Slice]:
        """Yield the parts, partition by partition, each with its spans of time."""
        routers = self.stream.retriever.partition_router
        spans = list(self._spans(since))
        for partition in self._product(routers if isinstance(routers, list) else [routers]):
            for span in spans:
                yield Slice(partition.partition, span.interval, (*partition.options, *span.options), span.cursor_slice)

    def start(self, since: str | None) -> dt.datetime | None:
        """Return from when on the stream is read, None where it has no such moment."""
        cursor = self.stream.incremental_sync
        if cursor is None:
            return None
        first = self._moment(cursor.start_datetime, cursor)
        if since is None or first is None:
            return first
        return max(first, moment_of(since, _forms(cursor)) - duration_value(cursor.lookback_window, self.known))

    def _product(self, routers: list[Any]) -> Iterator[Slice]:
        if not routers:
            yield Slice()
            return
        for one in self._routed(routers[0]):
            for other in self._product(routers[1:]):
                yield Slice({**one.partition, **other.partition}, {}, (*one.options, *other.options))

    def _routed(self, router: parts.Router) -> Iterator[Slice]:
        if isinstance(router, parts.ListPartitionRouter):
            name = text_value(router.cursor_field, {**self.known, "parameters": router.parameters})
            values = value_of(router.values, {**self.known, "parameters": router.parameters})
            for value in values if isinstance(values, list) else [values]:
                yield Slice({name: value}, {}, _options(router.request_option, value))
            return
        for config in router.parent_stream_configs:
            yield from self._children(config)

    def _children(self, config: parts.ParentStreamConfig) -> Iterator[Slice]:
        known = {**self.known, "parameters": config.parameters}
        path = text_value(config.parent_key, known).split(".")
        name = text_value(config.partition_field, known)
        seen: set[str] = set()
        for record in self._records(config.stream):
            value = found_at(record, path)
            if value is not None and str(value) not in seen:
                seen.add(str(value))
                yield Slice({name: value}, {}, _options(config.request_option, value))

    def _spans(self, since: str | None) -> Iterator[Slice]:
        cursor, start = self.stream.incremental_sync, self.start(since)
        if cursor is None or start is None:
            yield Slice()
            return
        end = self._moment(cursor.end_datetime, cursor) or dt.datetime.now(dt.UTC)
        step = duration_value(cursor.step, self.known) if cursor.step else None
        grain = duration_value(cursor.cursor_granularity, self.known)
        if step is not None and (step <= grain or (end - start) / step > _MOST_SPANS):
            raise Misconfigured(
                msg(
                    "The step {step} of '{name}' makes too many spans of time.", step=cursor.step, name=self.stream.name
                ),
                msg("Enter a longer step in the manifest, or a later start in the configuration."),
            )
        while start <= end:
            last = end if step is None else min(start + step - grain, end)
            yield self._span(cursor, start, last)
            if step is None:
                return
            start += step

    def _span(self, cursor: parts.DatetimeBasedCursor, start: dt.datetime, end: dt.datetime) -> Slice:
        first, last = written(start, cursor.datetime_format), written(end, cursor.datetime_format)
        options = (*_options(cursor.start_time_option, first), *_options(cursor.end_time_option, last))
        named = {cursor.partition_field_start: first, cursor.partition_field_end: last}
        return Slice({}, {"start_time": first, "end_time": last}, options, named)

    def _moment(self, given: str | parts.MinMaxDatetime, cursor: parts.DatetimeBasedCursor) -> dt.datetime | None:
        if isinstance(given, str):
            return self._read(given, _forms(cursor))
        forms = ((given.datetime_format,) if given.datetime_format else ()) + _forms(cursor)
        found = self._read(given.datetime, forms)
        low, high = self._read(given.min_datetime, forms), self._read(given.max_datetime, forms)
        if found is not None and low is not None:
            found = max(found, low)
        return min(found, high) if found is not None and high is not None else found

    def _read(self, template: str, forms: tuple[str, ...]) -> dt.datetime | None:
        value = value_of(template, self.known)
        if value in (None, ""):
            return None
        try:
            return moment_of(value, forms)
        except (ValueError, OverflowError):
            raise Misconfigured(
                msg("'{value}' is not a moment as the manifest writes it.", value=str(value)[:60]),
                msg("Write it as in {example}, or correct the format in the manifest.", example="2024-01-31T00:00:00Z"),
            ) from None


def _forms(cursor: parts.DatetimeBasedCursor) -> tuple[str, ...]:
    return (*cursor.cursor_datetime_formats, cursor.datetime_format)


def _options(option: parts.RequestOption | None, value: Any) -> tuple[tuple[parts.RequestOption, Any], ...]:
    return ((option, value),) if option is not None else ()
