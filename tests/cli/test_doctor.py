"""`syncline doctor` at the command line."""

from __future__ import annotations

from pathlib import Path

from tests.installation import CommandLine


def test_the_exit_code_tells_whether_something_is_bad(syncline: CommandLine, tmp_path: Path) -> None:
    """Without Redis it is 1; each thing that is not well comes with what to do, as text and as JSON."""
    told = syncline("doctor", "--bundle", tmp_path / "b.zip")
    assert told.code == 1
    assert "BAD      redis: " in told.out
    assert "         -> Start it" in told.out
    assert (tmp_path / "b.zip").is_file()
    found = syncline("doctor", "--json").json
    assert {"check", "state", "said", "todo"} == set(found[0])
    assert next(one for one in found if one["check"] == "database")["state"] == "ok"
    assert syncline("doctor", "--bundle", tmp_path / "b.zip").code == 1
