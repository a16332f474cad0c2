"""The command line on an initialised installation."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.installation import CommandLine, installed


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Undo what a command does to the logs of its process."""
    hook = sys.excepthook
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.handlers, root.level = handlers, level
    sys.excepthook = hook
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.raiseExceptions = True


@pytest.fixture
def syncline(
    metadata_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """Return the command line of an installation on the database that `--database` asks for."""
    url, data = metadata_url.replace("+psycopg", ""), tmp_path / "data"
    line = CommandLine({"SYNCLINE_DATA": str(data), "SYNCLINE_DATABASE_URL": url}, capsys, monkeypatch)
    with installed(data, url) as house:
        line.house = house
        yield line
