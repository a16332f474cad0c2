"""Lines of the logs tell which request or run they are of."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.cli.conftest import quiet_logs  # noqa: F401 - undoes what configuring logs does to this process
from tests.runs.conftest import open_world
from webapp import logs
from webapp.app import create_app
from webapp.runs import execution


def lines(data: Path) -> list[dict[str, object]]:
    """Return the lines of the log."""
    return [json.loads(line) for line in (data / "logs" / "test.log").read_text().splitlines()]


def test_lines_name_their_request_and_their_run(
    tmp_path: Path, metadata_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is logged in a request has its id, in a run its number, and behind it none."""
    with open_world(tmp_path / "data", metadata_url) as world:
        object.__setattr__(world.house.settings, "log_format", "json")
        logs.configure(world.house.settings, "test", terminal=False)
        app, log = create_app(world.house.settings), logging.getLogger("webapp.here")
        app.before_request(lambda: log.warning("in a request"))
        answer = app.test_client().get("/healthz", headers={"X-Request-ID": "req-12345678"})
        carry_out = execution._carry_out
        monkeypatch.setattr(execution, "_carry_out", lambda *a: log.warning("in a run") or carry_out(*a))
        world.rule()
        run_id = world.run().id
        log.warning("behind")
    found = {str(one["event"]): one for one in lines(world.folder)}
    assert answer.status_code == 200
    assert found["in a request"]["request"] == "req-12345678"
    assert found["in a run"]["run"] == run_id
    assert "run" not in found["behind"]
