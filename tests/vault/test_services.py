"""Secrets are stored, found again, and protected against whoever can write to the database."""

from __future__ import annotations

import copy
import logging
import threading

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webapp.audit.models import audit_event
from webapp.extensions import SYSTEM, House, to_json
from webapp.vault import services as vault
from webapp.vault.errors import KeyUnavailable, SecretDamaged, SecretMissing, VaultError
from webapp.vault.models import vault_secret
from webapp.vault.providers import FileKeys
from webapp.vault.services import Owner

ERP = Owner("connection", "erp")
CRM = Owner("connection", "crm")
CANARY = "canary-7f3a9b"


def store(house: House, owner: Owner = ERP, name: str = "password", value: str = CANARY) -> None:
    with house.db.begin() as tx:
        vault.put(tx, vault.keyring(house), owner, name, value, SYSTEM, house.clock())


def read(house: House, owner: Owner = ERP, name: str = "password") -> str:
    with house.db.read() as tx:
        return vault.get(tx, vault.keyring(house), owner, name)


def spoil(house: House, **values: object) -> None:
    with house.db.begin() as tx:
        tx.execute(sa.update(vault_secret).values(**values))


def stored(house: House) -> sa.Row:
    with house.db.read() as tx:
        return tx.execute(sa.select(vault_secret)).one()


def test_round_trip(house: House) -> None:
    """What is put is got, a second put replaces, names lists, delete removes."""
    store(house)
    store(house, name="token", value="密码 🔑")
    store(house, value="second")
    assert read(house) == "second"
    assert read(house, name="token") == "密码 🔑"
    with house.db.begin() as tx:
        assert vault.names(tx, ERP) == ("password", "token")
        assert vault.names(tx, CRM) == ()
        assert vault.owners(tx, "connection") == ("erp",)
        assert vault.delete(tx, ERP, "token", SYSTEM, house.clock())
        assert not vault.delete(tx, ERP, "token", SYSTEM, house.clock())
        assert vault.forget(tx, ERP, SYSTEM, house.clock()) == 1
    with pytest.raises(SecretMissing, match="connection/erp/password"):
        read(house)


@given(value=st.text(min_size=1, max_size=200).filter(lambda t: not any(0xD800 <= ord(c) < 0xE000 for c in t)))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_survives(house: House, value: str) -> None:
    """Any text comes back unchanged, and its bytes are not in the table."""
    store(house, value=value)
    assert read(house) == value
    if len(value) > 3:
        assert value.encode() not in bytes(stored(house).ciphertext)


@pytest.mark.parametrize("value", ["", "x" * (vault.LARGEST + 1)])
def test_empty_and_huge_values_are_refused(house: House, value: str) -> None:
    """An empty and an overlong secret are refused without being repeated."""
    with pytest.raises(VaultError) as refused:
        store(house, value=value)
    assert "xxxx" not in str(refused.value)


@pytest.mark.parametrize("column", ["ciphertext", "nonce", "wrapped_key"])
def test_a_flipped_bit_is_detected(house: House, column: str) -> None:
    """One changed bit in any sealed column makes the secret unreadable."""
    store(house)
    value = bytearray(getattr(stored(house), column))
    value[-1] ^= 1
    spoil(house, **{column: bytes(value)})
    with pytest.raises(SecretDamaged, match="altered or moved"):
        read(house)


@pytest.mark.parametrize("column", ["ciphertext", "nonce", "wrapped_key"])
def test_a_cut_value_is_detected(house: House, column: str) -> None:
    """A shortened or emptied column is a damaged secret, not a crash."""
    store(house)
    for length in (0, 5):
        spoil(house, **{column: bytes(getattr(stored(house), column))[:length]})
        with pytest.raises(SecretDamaged):
            read(house)


def test_a_changed_algorithm_and_key_are_detected(house: House) -> None:
    """Another algorithm's or key's name does not lead to another reading."""
    store(house)
    spoil(house, key_id="0123456789abcdef")
    with pytest.raises(KeyUnavailable, match="0123456789abcdef"):
        read(house)
    spoil(house, algorithm="none")
    with pytest.raises(SecretDamaged):
        read(house)


@pytest.mark.parametrize("column", ["owner_kind", "owner_name", "name"])
def test_a_moved_secret_is_detected(house: House, column: str) -> None:
    """A row that is given to another owner or setting cannot be read there."""
    store(house)
    spoil(house, **{column: "other"})
    row = stored(house)
    with pytest.raises(SecretDamaged):
        read(house, Owner(row.owner_kind, row.owner_name), row.name)


def test_swapped_secrets_are_detected(house: House) -> None:
    """Two owners' sealed columns, exchanged in part or in whole, are both refused."""
    store(house, ERP, value="erp-secret")
    store(house, CRM, value="crm-secret")
    with house.db.read() as tx:
        erp = tx.execute(sa.select(vault_secret).where(vault_secret.c.owner_name == "erp")).one()
    for columns in (("ciphertext", "nonce"), ("ciphertext", "nonce", "wrapped_key"), ("wrapped_key",)):
        with house.db.begin() as tx:
            values = {name: getattr(erp, name) for name in columns}
            tx.execute(sa.update(vault_secret).where(vault_secret.c.owner_name == "crm").values(**values))
        with pytest.raises(SecretDamaged):
            read(house, CRM)


def test_same_value_never_looks_the_same(house: House) -> None:
    """Two secrets of the same value share no sealed bytes, and neither do two puts."""
    store(house)
    first = stored(house)
    store(house)
    second = stored(house)
    assert {bytes(first.ciphertext), bytes(first.nonce), bytes(first.wrapped_key)}.isdisjoint(
        {bytes(second.ciphertext), bytes(second.nonce), bytes(second.wrapped_key)}
    )


def test_an_owner_cannot_be_forged_with_a_slash() -> None:
    """A part with a slash, or none, cannot stand for another owner's path."""
    for owner, name in ((Owner("a/b", "c"), "d"), (Owner("a", ""), "b"), (Owner("a", "b"), "c/d")):
        with pytest.raises(ValueError, match="slash"):
            owner.path(name)


def test_a_secret_in_a_rolled_back_transaction_is_not_kept(house: House) -> None:
    """The secret stands or falls with the caller's transaction, and so does its audit event."""
    with house.db.begin() as tx:
        vault.put(tx, vault.keyring(house), ERP, "password", CANARY, SYSTEM, house.clock())
        tx.rollback()
    with pytest.raises(SecretMissing):
        read(house)
    with house.db.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(audit_event)).scalar() == 0


def test_rotation(house: House) -> None:
    """After a rotation all secrets are under a new key, readable, and the old key is gone."""
    for number in range(7):
        store(house, name=f"s{number}", value=f"value-{number}")
    keys = vault.keyring(house)
    old = keys.current
    assert vault.rotate(house, SYSTEM) == 7
    assert keys.current != old
    assert [read(house, name=f"s{n}") for n in range(7)] == [f"value-{n}" for n in range(7)]
    with house.db.read() as tx:
        assert set(tx.execute(sa.select(vault_secret.c.key_id)).scalars()) == {keys.current}
        event = tx.execute(sa.select(audit_event).where(audit_event.c.tag == "vault:keys:rotated")).one()
    assert event.after == {"key": keys.current, "secrets": 7, "retired": [old]}
    assert len(house.settings.key_file.read_text().split()) == 1


def test_rotation_goes_on_behind_the_last_secret(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is looked for behind the one before; what comes in before that place is found at the end."""
    monkeypatch.setattr(vault, "BATCH", 2)
    for number in range(5):
        store(house, name=f"s{number}")
    real, places = vault._rewrap_some, list[object]()

    def noted(*args: object) -> object:
        places.append(args[-1])
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(vault, "_rewrap_some", noted)
    assert vault.rotate(house, SYSTEM) == 5
    of_erp = [(ERP.kind, ERP.name, f"s{number}") for number in (1, 3, 4)]
    assert places == [vault._FIRST, *of_erp, vault._FIRST]


def test_what_is_deleted_is_overwritten(house: House) -> None:
    """SQLite overwrites a deleted secret, so that a signing key that was destroyed is gone from the file too."""
    store(house, name="s")
    with house.db.begin() as tx:
        assert vault.delete(tx, ERP, "s", SYSTEM, house.clock())
        if tx.dialect.name == "sqlite":
            assert tx.exec_driver_sql("PRAGMA secure_delete").scalar() == 1


@pytest.mark.parametrize("crash_at", [1, 2, 3])
def test_rotation_goes_on_after_a_crash(house: House, monkeypatch: pytest.MonkeyPatch, crash_at: int) -> None:
    """A rotation that dies between batches leaves all secrets readable; the next one finishes with the same new key."""
    monkeypatch.setattr(vault, "BATCH", 3)
    for number in range(7):
        store(house, name=f"s{number}", value=f"value-{number}")
    real, calls = vault._rewrap_some, iter(range(1, 100))

    def dies(*args: object) -> int:
        if next(calls) == crash_at:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(vault, "_rewrap_some", dies)
    with pytest.raises(KeyboardInterrupt):
        vault.rotate(house, SYSTEM)
    monkeypatch.setattr(vault, "_rewrap_some", real)
    keys = vault.keyring(house)
    target = keys.current
    assert [read(house, name=f"s{n}") for n in range(7)] == [f"value-{n}" for n in range(7)]
    assert len(house.settings.key_file.read_text().split()) == 2
    store(house, name="late", value="written in between")
    assert vault.rotate(house, SYSTEM) == 7 - 3 * (crash_at - 1)
    assert keys.current == target
    assert [read(house, name=f"s{n}") for n in range(7)] == [f"value-{n}" for n in range(7)]
    assert read(house, name="late") == "written in between"
    assert len(house.settings.key_file.read_text().split()) == 1


def test_secrets_written_while_rotating_stay_readable(house: House) -> None:
    """Writers that work during rotations, with key objects of their own as other processes have, lose nothing."""
    failures: list[BaseException] = []
    store(house, name="first")

    def write(number: int) -> None:
        keys = FileKeys(house.settings.key_file)
        try:
            for turn in range(8):
                with house.db.begin() as tx:
                    vault.put(tx, keys, ERP, f"w{number}-{turn}", f"{number}/{turn}", SYSTEM, house.clock())
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        vault.rotate(house, SYSTEM)
    for thread in threads:
        thread.join()
    assert not failures
    assert all(read(house, name=f"w{n}-{t}") == f"{n}/{t}" for n in range(3) for t in range(8))


def test_a_lost_key_is_not_replaced_silently(house: House) -> None:
    """With secrets stored, a missing key file is an error that names the key, and no new key is made."""
    store(house)
    house.settings.key_file.unlink()
    with pytest.raises(KeyUnavailable, match="is missing"):
        vault.prepare(house)
    with pytest.raises(KeyUnavailable, match="is missing"):
        store(house, name="other")
    assert not house.settings.key_file.exists()


def test_canary_never_leaves_the_vault(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The value is in no log line, no audit event, no representation, no error and not in the database's files."""
    caplog.set_level(logging.DEBUG)
    store(house)
    read(house)
    vault.rotate(house, SYSTEM)
    seen = [caplog.text, repr(vault.keyring(house)), repr(stored(house)), repr(house)]
    with house.db.read() as tx:
        seen += [to_json(dict(row._mapping)) for row in tx.execute(sa.select(audit_event))]
    spoil(house, ciphertext=b"damaged")
    with pytest.raises(SecretDamaged) as damaged:
        read(house)
    seen += [str(damaged.value), repr(damaged.value), repr(copy.copy(damaged.value.message))]
    key = house.settings.key_file.read_text().strip()
    assert not any(CANARY in text or key in text for text in seen)
    files = [path for path in house.settings.data.parent.rglob("*") if path.is_file()]
    assert not any(CANARY.encode() in path.read_bytes() for path in files)
