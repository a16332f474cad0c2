"""An installation that was initialised, without processes, and the command line on it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import config
from tests.houses import settings_in
from webapp import cli
from webapp.extensions import House, open_house
from webapp.installation import initialise


@dataclass
class Answer:
    """What a call of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class CommandLine:
    """Calls `syncline` in this process, as if it were started with the installation's environment."""

    environ: dict[str, str]
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch
    house: House = field(init=False)

    def __call__(self, *arguments: str | Path, stdin: str = "") -> Answer:
        with self.patch.context() as patch:
            for name in [v.name for v in config.SETTINGS]:
                patch.delenv(name, raising=False)
            for name, value in self.environ.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.StringIO(stdin))
            self.capture.readouterr()
            with pytest.raises(SystemExit) as ended:
                cli.main([str(a) for a in arguments])
            found = self.capture.readouterr()
        return Answer(int(ended.value.code or 0), found.out, found.err)

    def ok(self, *arguments: str | Path, stdin: str = "") -> Answer:
        answer = self(*arguments, stdin=stdin)
        assert answer.code == 0, answer.err + answer.out
        return answer


@contextmanager
def installed(folder: Path, url: str = "", **environ: str) -> Iterator[House]:
    """Open the house of an initialised installation."""
    house = open_house(settings_in(folder, url, **environ))
    try:
        initialise(house)
        yield house
    finally:
        house.db.engine.dispose()
