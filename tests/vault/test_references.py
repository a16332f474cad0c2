"""References lead to secrets, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.houses import fresh_house
from webapp.extensions import SYSTEM, House
from webapp.vault import references
from webapp.vault import services as vault
from webapp.vault.errors import ReferenceRefused, SecretMissing, VaultError
from webapp.vault.services import Owner

ERP = Owner("connection", "erp")


def test_an_environment_variable(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """`env:` reads the variable at use; one that is not set, is ours, or has no proper name is refused."""
    monkeypatch.setenv("ERP_PASSWORD", "p w")
    assert references.resolve(house, "env:ERP_PASSWORD") == "p w"
    monkeypatch.delenv("ERP_PASSWORD")
    with pytest.raises(ReferenceRefused, match="ERP_PASSWORD is not set"):
        references.resolve(house, "env:ERP_PASSWORD")
    monkeypatch.setenv("SYNCLINE_MASTER_KEY", "canary")
    for name in ("SYNCLINE_MASTER_KEY", "syncline_data", "_HIDDEN", "1X", "ÄRGER"):
        with pytest.raises(ReferenceRefused) as refused:
            references.resolve(house, f"env:{name}")
        assert "canary" not in str(refused.value)


def test_a_file(house: House, tmp_path: Path) -> None:
    """`file:` reads below the data folder's secrets and the permitted folders, without the last line end."""
    folder = house.settings.data / "secrets"
    folder.mkdir()
    (folder / "erp").write_text("from-file\n")
    (house.settings.data / "inbox").mkdir()
    (house.settings.data / "inbox" / "pw").write_text("allowed")
    assert references.resolve(house, "file:erp") == "from-file"
    assert references.resolve(house, f"file:{folder / 'erp'}") == "from-file"
    assert references.resolve(house, "file:inbox/pw") == "allowed"


@pytest.mark.parametrize(
    "path",
    [
        "../keys/master.key",
        "keys/master.key",
        "syncline.db",
        "/etc/hostname",
        "../../outside",
        "link",
        "absent",
        "keys",
        "\0",
    ],
)
def test_a_file_elsewhere_is_refused(house: House, tmp_path: Path, path: str) -> None:
    """Keys, the database, other folders, links to them and absent files are all refused in the same words."""
    vault.prepare(house)
    (tmp_path / "outside").write_text("canary")
    (house.settings.data / "secrets").mkdir()
    (house.settings.data / "secrets" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(ReferenceRefused, match="not a file in a permitted folder") as refused:
        references.resolve(house, f"file:{path}")
    assert "canary" not in str(refused.value)


def test_production_permits_only_the_secrets_folder(tmp_path: Path) -> None:
    """Without file roots only the data folder's secrets can be referred to."""
    with fresh_house(tmp_path / "data", SYNCLINE_PROFILE="production") as house:
        (house.settings.data / "secrets").mkdir()
        (house.settings.data / "secrets" / "erp").write_text("x")
        (house.settings.data / "other").write_text("y")
        assert references.resolve(house, "file:erp") == "x"
        with pytest.raises(ReferenceRefused):
            references.resolve(house, "file:../other")


def test_an_empty_or_binary_file_is_refused(house: House) -> None:
    """A file that holds no text is no secret."""
    folder = house.settings.data / "secrets"
    folder.mkdir()
    (folder / "empty").write_text("\n")
    (folder / "binary").write_bytes(b"\xff\xfe")
    for name in ("empty", "binary"):
        with pytest.raises(ReferenceRefused, match="cannot be used"):
            references.resolve(house, f"file:{name}")


def test_our_own_vault(house: House) -> None:
    """`vault:NAME` is a shared secret; an owner's own secret is for that owner only."""
    with house.db.begin() as tx:
        keys, at = vault.keyring(house), house.clock()
        vault.put(tx, keys, Owner(references.SHARED, "erp"), references.VALUE, "shared", SYSTEM, at)
        vault.put(tx, keys, ERP, "password", "own", SYSTEM, at)
    assert references.resolve(house, "vault:erp") == "shared"
    assert references.own(ERP, "password") == "vault:connection/erp/password"
    assert references.resolve(house, "vault:connection/erp/password", ERP) == "own"
    for asker in (None, Owner("connection", "er"), Owner("connection", "crm"), Owner("user", "erp")):
        with pytest.raises(ReferenceRefused, match="must not be used here"):
            references.resolve(house, "vault:connection/erp/password", asker)
    with pytest.raises(SecretMissing, match="syncline secrets set missing"):
        references.resolve(house, "vault:missing")
    with pytest.raises(SecretMissing):
        references.resolve(house, "vault:connection/erp/token", ERP)


@pytest.mark.parametrize(
    "text", ["plain", "env:", "http:x", "", "VAULT:x", "vault:A B", "vault:a/b", "vault:connection/erp/a/b"]
)
def test_what_is_no_reference(house: House, text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(VaultError):
        references.resolve(house, text, ERP)
