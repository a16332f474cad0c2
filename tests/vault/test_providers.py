"""Keys come from where the operator put them, and a wrong place or key is told in one sentence."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import config
from webapp.vault.errors import KeyUnavailable
from webapp.vault.places import open_provider
from webapp.vault.providers import EnvironmentKeys, FileKeys

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()


def test_first_use_makes_a_private_file(tmp_path: Path) -> None:
    """The key file and its folder are made readable by their owner only, and the key stays the same."""
    path = tmp_path / "keys" / "master.key"
    keys = FileKeys(path)
    assert not keys.exists()
    first = keys.current
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert FileKeys(path).current == first
    assert [p.name for p in path.parent.iterdir()] == ["master.key"]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    """Eight processes that make the key at the same time end up with the same one."""
    code = (
        "import sys; from pathlib import Path; from webapp.vault.providers import FileKeys; "
        "print(FileKeys(Path(sys.argv[1])).current)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "master.key")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    answers = {process.communicate(timeout=120)[0] for process in started}
    assert len(answers) == 1
    assert answers != {""}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The error names the file, its mode and the command that repairs it."""
    path = tmp_path / "master.key"
    path.write_text(KEY)
    path.chmod(mode)
    with pytest.raises(KeyUnavailable, match=f"chmod 600 {path}"):
        _ = FileKeys(path).current


@pytest.mark.parametrize(
    "text", ["", "short", base64.b64encode(b"k" * 31).decode(), "K" * 44, f"{KEY}\nrubbish", "\xff"]
)
def test_a_file_without_a_proper_key_is_refused(tmp_path: Path, text: str) -> None:
    """A wrong size or form is refused without repeating what the file holds."""
    path = tmp_path / "master.key"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    with pytest.raises(KeyUnavailable, match="32 bytes in base64") as refused:
        _ = FileKeys(path).current
    assert "rubbish" not in str(refused.value)


def test_a_folder_or_an_unwritable_place_is_refused(tmp_path: Path) -> None:
    """A folder in place of the file, or a file in place of its folder, is told with the setting to change."""
    with pytest.raises(KeyUnavailable, match="SYNCLINE_KEY_FILE"):
        _ = FileKeys(tmp_path).current
    (tmp_path / "blocked").write_text("")
    with pytest.raises(KeyUnavailable):
        _ = FileKeys(tmp_path / "blocked" / "master.key").current
    with pytest.raises(KeyUnavailable, match="cannot be created"):
        _ = FileKeys(Path("/proc/no-such-folder/master.key")).current


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A file that we may not read is told as such."""
    path = tmp_path / "master.key"
    path.write_text(KEY)
    path.chmod(0o000)
    with pytest.raises(KeyUnavailable, match="cannot be read"):
        _ = FileKeys(path).current


def test_renewing_and_retiring(tmp_path: Path) -> None:
    """A renewed file unwraps what the old key wrapped; once retired, it does not."""
    keys = FileKeys(tmp_path / "master.key")
    key_id, wrapped = keys.wrap(b"d" * 32, b"owner")
    fresh = keys.renew()
    assert fresh == keys.current != key_id
    assert keys.unwrap(key_id, wrapped, b"owner") == b"d" * 32
    assert keys.unwrap(key_id, wrapped, b"another owner") is None
    assert keys.unwrap(fresh, wrapped, b"owner") is None
    assert keys.retire({key_id}) == ()
    assert keys.retire(set()) == (key_id,)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    with pytest.raises(KeyUnavailable, match=key_id):
        keys.unwrap(key_id, wrapped, b"owner")


def test_another_process_sees_a_renewed_key(tmp_path: Path) -> None:
    """A provider that was opened before a rotation reads the file again."""
    first, second = FileKeys(tmp_path / "master.key"), FileKeys(tmp_path / "master.key")
    assert first.current == second.current
    assert first.renew() == second.current


def test_keys_in_the_environment() -> None:
    """The first key wraps, the others unwrap, and a new one can only come from the operator."""
    old = EnvironmentKeys(lambda: KEY)
    key_id, wrapped = old.wrap(b"d" * 32, b"owner")
    both = EnvironmentKeys(lambda: f"{OTHER},{KEY}")
    assert both.current != key_id
    assert both.unwrap(key_id, wrapped, b"owner") == b"d" * 32
    assert both.retire(set()) == (key_id,)
    with pytest.raises(KeyUnavailable, match="before the old one"):
        both.renew()
    assert not EnvironmentKeys(lambda: "").exists()
    with pytest.raises(KeyUnavailable, match="SYNCLINE_MASTER_KEY is not set"):
        _ = EnvironmentKeys(lambda: "").current


def test_the_setting_chooses_the_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`SYNCLINE_KEY_PROVIDER` decides, and the master key is in no settings object."""
    monkeypatch.setenv("SYNCLINE_MASTER_KEY", KEY)
    environ = {"SYNCLINE_DATA": str(tmp_path), "SYNCLINE_KEY_PROVIDER": "environment", "SYNCLINE_MASTER_KEY": KEY}
    settings = config.from_environment(environ)
    provider = open_provider(settings)
    assert isinstance(provider, EnvironmentKeys)
    assert provider.current
    assert KEY not in repr(settings) + repr(provider)
    with pytest.raises(config.SettingError, match="SYNCLINE_KEY_PROVIDER"):
        config.from_environment({**environ, "SYNCLINE_KEY_PROVIDER": "paper"})
