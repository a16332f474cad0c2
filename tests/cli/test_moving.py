"""`syncline init --from`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backups.furnished import furnished
from tests.installation import CommandLine
from webapp.supervisor.instance import only_instance


def test_an_installation_is_moved_by_one_command(
    tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what was moved, the seal holds, users stay; a second call refuses, and one beside a supervisor."""
    data = tmp_path / "data"
    with furnished(data) as world:
        world.house.db.engine.dispose()
    url = postgres_url.replace("+psycopg", "")
    syncline = CommandLine({"SYNCLINE_DATA": str(data), "SYNCLINE_DATABASE_URL": url}, capsys, monkeypatch)
    origin = f"sqlite:{data / 'syncline.db'}"
    with only_instance(data):
        assert "Syncline runs on this data folder" in syncline("init", "--from", origin).err
    told = syncline.ok("init", "--from", origin).out
    assert "all are as they were, by count and digest" in told
    assert "Sign in as" not in told
    assert syncline.ok("audit", "verify").out.startswith("Fits itself: ")
    again = syncline("init", "--from", origin)
    assert (again.code, "is not empty" in again.err) == (1, True)
    assert syncline.ok("init").out.startswith("The database is ready")
