"""How much memory a read takes: evidence for the quality scale."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import psutil

from connectors import registry
from connectors.spi import Connector, Context, ReadRequest

MOST = 20 * 1024 * 1024
"""Bytes that a read of 60 MB may grow by: a third of what is read."""


def made(name: str, settings: Mapping[str, Any], context: Context) -> Connector:
    cls = registry.get(name)
    return cls({**{s.name: s.default for s in cls.spec.settings}, **settings}, context)


def grown(source: Connector, name: str, fields: Sequence[str] = (), first: int = 5) -> tuple[int, int]:
    """Return how many records were read, and by how many bytes the process was larger than behind the first pages."""
    process = psutil.Process()
    base = most = count = 0
    with source:
        schema = source.schema(name)
        request = ReadRequest(name, schema.select(tuple(fields)) if fields else schema, page_size=1000)
        for number, page in enumerate(source.read(request)):
            count += page.records.height
            size = process.memory_info().rss
            if number < first:
                base = max(base, size)
            most = max(most, size)
    return count, most - base


def grown_alone(connector: str, settings: Mapping[str, Any], name: str, fields: Sequence[str]) -> tuple[int, int]:
    """Return the same of a process that does nothing else: the server at the other end may be in this one."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        return alone.submit(_grown, connector, dict(settings), name, tuple(fields)).result()


def _grown(connector: str, settings: Mapping[str, Any], name: str, fields: Sequence[str]) -> tuple[int, int]:
    return grown(made(connector, settings, Context()), name, fields)
