"""The steps of a connection test, one behind the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from connectors.errors import ConnectorError
from connectors.spi import Step
from rules.text import Message


def stepwise(steps: Iterable[tuple[str, Callable[[], Message]]]) -> Iterator[Step]:
    """Yield the steps of a connection test, each with what it found, and stop behind the first that fails."""
    for name, do in steps:
        try:
            detail = do()
        except ConnectorError as error:
            yield Step(name, ok=False, detail=error.advice)
            return
        yield Step(name, ok=True, detail=detail)
