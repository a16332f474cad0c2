"""`syncline backup` and `syncline restore`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.backups.furnished import furnished
from tests.installation import CommandLine


def test_an_installation_is_backed_up_and_put_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands say what was kept, what has to be kept elsewhere, and what to do after putting it back."""
    data, other, file = tmp_path / "data", tmp_path / "other", tmp_path / "b.tar"
    with furnished(data) as world:
        world.house.db.engine.dispose()
    roots = {"SYNCLINE_FILE_ROOTS": str(tmp_path)}
    old = CommandLine({"SYNCLINE_DATA": str(data), **roots}, capsys, monkeypatch)
    new = CommandLine({"SYNCLINE_DATA": str(other), **roots}, capsys, monkeypatch)
    told = old.ok("backup", file).out
    assert "master.key elsewhere" in told
    assert "not encrypted" in told
    assert old("backup", file).code == 1
    (tmp_path / "secret").write_text("correct horse battery\n")
    assert old("backup", tmp_path / "x", "--with-keys").code == 1
    assert old.ok("backup", tmp_path / "c.tar", "--passphrase-file", tmp_path / "secret", "--json").json["needs_keys"]
    assert "passphrase" in new("restore", tmp_path / "c.tar", "--check").err
    assert "Whole: " in new.ok("restore", file, "--check").out
    assert "master.key" in new("restore", file).err
    (other / "keys").mkdir(mode=0o700, exist_ok=True)
    shutil.copy2(data / "keys" / "master.key", other / "keys")
    told = new.ok("restore", file).out
    assert "customers is held; it finds what it has written by key" in told
    assert "RESTORED: A backup with" in new.ok("audit", "verify").out
    assert "not empty" in new("restore", file).err
    assert "backup was put back" in new("run", "customers").err
    assert old.ok("audit", "verify").out.startswith("Fits itself: ")
