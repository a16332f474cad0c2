"""Connections are created, changed, deleted and documented; secrets go to the vault and stay there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors import registry
from connectors.errors import ConnectorError, Forbidden, Misconfigured
from webapp.audit.models import audit_event
from webapp.connections import services
from webapp.connections.destinations import elsewhere
from webapp.connections.models import connection
from webapp.connections.services import (
    ConnectionBuiltIn,
    ConnectionChanged,
    ConnectionInUse,
    ConnectionInvalid,
    ConnectionMissing,
    ConnectionRow,
)
from webapp.extensions import Actor, House, to_json
from webapp.vault import services as vault
from webapp.vault.models import vault_secret
from webapp.vault.services import Owner

ANN = Actor("user", "ann")
CANARY = "canary-51c0de"
ERP = Owner("connection", "erp")


def document(name: str = "erp", **settings: Any) -> dict[str, Any]:
    return {
        "kind": "connection",
        "name": name,
        "connector": "notebook",
        "label": "The ERP",
        "settings": {"host": "h", **settings},
    }


def row(house: House, name: str = "erp") -> ConnectionRow:
    with house.db.read() as tx:
        return services.get_connection(tx, name)


def secrets(house: House) -> list[str]:
    with house.db.read() as tx:
        return [f"{r.owner_name}/{r.name}" for r in tx.execute(sa.select(vault_secret).order_by(vault_secret.c.name))]


def events(house: House) -> list[Any]:
    with house.db.read() as tx:
        return list(tx.execute(sa.select(audit_event).order_by(audit_event.c.id)))


def stored(house: House, name: str = "erp") -> dict[str, Any]:
    with house.db.read() as tx:
        return services.to_document(tx, services.get_connection(tx, name))


def test_create_and_open(house: House) -> None:
    """A created connection opens with defaults filled in and its secret in clear; the row holds a reference."""
    made = services.create(house, document(password=CANARY, port="9"), ANN)
    assert (made.version, made.created_by, made.state, made.title) == (1, "ann", "untested", "The ERP")
    assert made.settings == {"host": "h", "port": 9, "password": "vault:connection/erp/password"}
    with services.open_connector(house, "erp") as connector:
        assert connector.settings["password"] == CANARY
        assert connector.settings["mood"] == "good"
        assert connector.context.file_roots == house.settings.file_roots
    assert [e.tag for e in events(house)] == ["vault:secret:set", "connections:connection:created"]


def test_references_are_kept_as_references(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference is stored as such and followed when the connection is opened; a dead one is told with its remedy."""
    services.create(house, document(password="env:ERP_PASSWORD"), ANN)
    assert secrets(house) == []
    with pytest.raises(Misconfigured, match=r"ERP_PASSWORD is not set\. Set it"), services.open_connector(house, "erp"):
        pass
    monkeypatch.setenv("ERP_PASSWORD", CANARY)
    with services.open_connector(house, "erp") as connector:
        assert connector.settings["password"] == CANARY


def test_secrets_are_replaced_kept_and_deleted(house: House) -> None:
    """A new value replaces, the own reference keeps, leaving it out deletes, an outer reference deletes."""
    services.create(house, document(password="one", token="t"), ANN)
    kept = "vault:connection/erp/password"
    services.update(house, document(password=kept, token="t2"), ANN)
    with services.open_connector(house, "erp") as connector:
        assert (connector.settings["password"], connector.settings["token"]) == ("one", "t2")
    services.update(house, document(password=kept), ANN)
    assert secrets(house) == ["erp/password"]
    services.update(house, document(password="env:X"), ANN)
    assert secrets(house) == []


def test_a_kept_secret_does_not_move(house: House) -> None:
    """Who makes a connection lead elsewhere gives its secret anew, to save and to test; what a file names may move."""
    services.create(house, document(password=CANARY), ANN)
    kept = "vault:connection/erp/password"
    with pytest.raises(ConnectionInvalid, match="another place"):
        services.update(house, document(host="elsewhere", password=kept), ANN)
    (step,) = services.check_draft(house, "notebook", {"host": "elsewhere", "mood": "talks"}, keep_secrets_of="erp")
    assert not step.ok
    assert "another place" in str(step.detail)
    assert CANARY not in str(step.detail)
    services.update(house, document(host="elsewhere", password="new"), ANN)
    services.update(house, document(host="elsewhere", password=kept, port=5), ANN)
    services.update(house, document(host="h", password="env:X"), ANN)
    services.update(house, document(host="elsewhere", password="env:X"), ANN)


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ("https://a.example/v1", "https://a.example/v2?x=1", False),
        ("https://a.example/v1", "https://ann@a.example/v1", False),
        ("https://a.example/v1", "http://a.example/v1", True),
        ("https://a.example/v1", "https://a.example.evil/v1", True),
        ("https://a.example", "https://a.example:444", True),
        ("https://[", "https://[x", True),
        ("https://a.example", None, True),
    ],
)
def test_the_server_of_an_address_counts(before: str, after: str | None, moved: bool) -> None:
    """Another path of a server is the same place; another server, port or way of speaking is not."""
    spec = registry.get("rest").spec
    assert elsewhere(spec, {"base_url": before}, {"base_url": after}) is moved


def test_another_connections_secret_cannot_be_used(house: House) -> None:
    """A connection cannot refer to the secret of another one."""
    services.create(house, document(password=CANARY), ANN)
    with pytest.raises(ConnectionInvalid, match="must not be used here"):
        services.create(house, document("thief", password="vault:connection/erp/password"), ANN)


def test_update_is_audited_by_what_changed(house: House) -> None:
    """The event of an update holds only what changed; an update that changes nothing leaves no trace."""
    services.create(house, document(port=3), ANN)
    services.update(house, {**document(port=4), "note": "moved"}, ANN)
    event = events(house)[-1]
    assert (event.tag, event.before, event.after) == (
        "connections:connection:updated",
        {"note": "", "settings.port": 3},
        {"note": "moved", "settings.port": 4},
    )
    count = len(events(house))
    assert services.update(house, {**document(port=4), "note": "moved"}, ANN).version == 2
    assert len(events(house)) == count


def test_optimistic_locking(house: House) -> None:
    """Who saves or deletes what somebody else has changed meanwhile is told so, and nothing is overwritten."""
    first = services.create(house, document(port=1), ANN)
    services.update(house, document(port=2), Actor("user", "bob"), version=first.version)
    with pytest.raises(ConnectionChanged, match="bob changed the connection 'erp'"):
        services.update(house, document(port=3), ANN, version=first.version)
    with pytest.raises(ConnectionChanged):
        services.delete(house, "erp", ANN, version=first.version)
    assert row(house).settings["port"] == 2


def test_names(house: House) -> None:
    """A name is unique, well formed, and not one of Syncline's own."""
    services.create(house, document(), ANN)
    with pytest.raises(ConnectionInvalid, match="of this name already"):
        services.create(house, document(), ANN)
    for name in ("", "Erp", "9x", "a b", "a/b", "x" * 64, "hub", "new", "ä"):
        with pytest.raises(ConnectionInvalid) as wrong:
            services.create(house, document(name), ANN)
        assert wrong.value.problems[0].path == ("name",)


def test_problems_have_places(house: House) -> None:
    """Each problem of a document is told with its place; a file's plain secret is one of them."""
    wrong = {
        "kind": "rule",
        "name": "X",
        "connector": "notebook",
        "settings": {"port": 0, "password": CANARY},
        "extra": 1,
    }
    found = {problem.path: str(problem.message) for problem in services.problems(wrong)}
    assert set(found) == {
        ("kind",),
        ("name",),
        ("extra",),
        ("settings", "port"),
        ("settings", "host"),
        ("settings", "password"),
    }
    assert CANARY not in str(found)
    assert "Known connectors" in str(
        services.problems({"kind": "connection", "name": "x", "connector": "abacus"})[0].message
    )
    assert services.problems({"name": "x"})[0].path == ("connector",)
    assert services.problems({**document(), "settings": []})[0].path == ("settings",)
    assert services.problems(document(password="env:P")) == []


def test_save_is_idempotent(house: House) -> None:
    """Bringing a document to the stated state a second time changes nothing; what is exported can be saved again."""
    wanted = document(password="env:P", port=7)
    with house.db.begin() as tx:
        assert services.save(tx, house, wanted, ANN) == "created"
        assert services.save(tx, house, wanted, ANN) == "unchanged"
    exported = stored(house)
    assert exported == wanted == services.canonical(wanted)
    with house.db.begin() as tx:
        assert services.save(tx, house, exported, ANN) == "unchanged"
        assert services.save(tx, house, {**exported, "label": "Other"}, ANN) == "updated"


def test_an_exported_vault_secret_can_be_applied_elsewhere(house: House) -> None:
    """The export of a stored secret is its reference; where the secret is missing, a test says what to do."""
    services.create(house, document(password=CANARY), ANN)
    exported = stored(house)
    services.delete(house, "erp", ANN)
    assert secrets(house) == []
    with house.db.begin() as tx:
        assert services.save(tx, house, exported, ANN) == "created"
    assert stored(house) == exported
    (step,) = services.check(house, "erp", ANN)
    assert str(step.detail) == "The secret connection/erp/password is not in the vault. Enter it again."


def test_granted_roots(house: House, tmp_path: Path) -> None:
    """Folders granted by a configuration file are added to the permitted ones of that connection only, and kept."""
    with house.db.begin() as tx:
        services.save(tx, house, document(), ANN, granted_roots=(tmp_path / "etc",))
        assert services.save(tx, house, document(), ANN, granted_roots=(tmp_path / "etc",)) == "unchanged"
        assert services.save(tx, house, document(), ANN, granted_roots=(tmp_path / "more",)) == "updated"
    services.update(house, document(port=3), ANN)
    with services.open_connector(house, "erp") as connector:
        assert connector.context.file_roots == (tmp_path / "etc", tmp_path / "more", *house.settings.file_roots)


def test_usage_refuses_deletion(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that rules need cannot be deleted; once they are gone, it goes with its secrets and objects."""
    services.create(house, document(password=CANARY), ANN)
    services.objects(house, "erp")
    used = [services.User("orders", "/rules/orders/")]
    monkeypatch.setattr(services, "usage_checks", [lambda _tx: [("erp", user) for user in used]])
    with pytest.raises(ConnectionInUse, match="used by orders"):
        services.delete(house, "erp", ANN)
    used.clear()
    services.delete(house, "erp", ANN)
    assert secrets(house) == []
    with pytest.raises(ConnectionMissing):
        row(house)
    assert events(house)[-1].before["settings"]["password"] == "vault:connection/erp/password"


def test_the_hub_is_always_there(house: House) -> None:
    """The hub is listed first, has no row, and can be neither changed, created nor deleted."""
    services.create(house, document("aaa"), ANN)
    with house.db.read() as tx:
        assert [r.name for r in services.list_connections(tx)] == ["hub", "aaa"]
        assert services.get_connection(tx, "hub").builtin
    with pytest.raises(ConnectionBuiltIn):
        services.delete(house, "hub", ANN)
    with pytest.raises(ConnectionBuiltIn):
        services.update(house, {**document("hub"), "connector": "hub"}, ANN)


def test_syncline_own_files_are_refused(house: House, tmp_path: Path) -> None:
    """A path into the keys, the secrets or the database is refused however it is written."""
    data = house.settings.data
    (tmp_path / "data" / "innocent").symlink_to(data / "keys")
    for path in (
        "keys",
        "keys/master.key",
        str(data / "keys"),
        "files/../keys",
        "secrets/x",
        "syncline.db",
        "innocent",
    ):
        with house.db.begin() as tx:
            services.save(tx, house, document(path=path), ANN)
        with pytest.raises(Forbidden, match="Syncline's own files"), services.open_connector(house, "erp"):
            pass
    with house.db.begin() as tx:
        services.save(tx, house, document(path="files/in"), ANN)
    with services.open_connector(house, "erp") as connector:
        assert connector.settings["path"] == "files/in"


def test_prepare_makes_the_folders(house: House) -> None:
    """The folders for files and secrets are made, the latter for its owner only."""
    services.prepare(house)
    services.prepare(house)
    assert (house.settings.data / "files").is_dir()
    assert (house.settings.data / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_missing_connection_or_connector_is_a_connector_error(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens a connection has one kind of error to handle."""
    with pytest.raises(ConnectorError, match="no connection 'nope'"), services.open_connector(house, "nope"):
        pass
    services.create(house, document(), ANN)
    monkeypatch.delitem(registry._registered, "notebook")
    with pytest.raises(Misconfigured, match="no connector 'notebook'"), services.open_connector(house, "erp"):
        pass


def test_errors_are_cleaned_of_secrets(house: House) -> None:
    """A system that repeats the password in its error does not get it into ours."""
    services.create(house, document(password=CANARY, mood="talks"), ANN)
    with pytest.raises(ConnectorError) as refused, services.open_connector(house, "erp") as connector:
        connector.objects()
    assert "user:•••@host" in str(refused.value)
    assert CANARY not in str(refused.value) + repr(refused.value) + str(refused.value.args)


def test_canary_is_nowhere(house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """After all that can be done with a secret, it is in no table, audit event, log line, document or step."""
    services.create(house, document(password=CANARY, mood="talks"), ANN)
    seen = [str(services.check(house, "erp", ANN))]
    services.update(house, document(password="vault:connection/erp/password", mood="broken"), ANN)
    seen += [
        str(services.check(house, "erp", ANN)),
        str(services.check_draft(house, "notebook", {"host": "h", "mood": "talks", "password": CANARY})),
    ]
    vault.rotate(house, ANN)
    seen += [caplog.text, repr(row(house)), str(stored(house)), repr(vault.keyring(house))]
    with house.db.read() as tx:
        for table in (connection, audit_event, vault_secret):
            seen += [to_json(dict(r._mapping)) for r in tx.execute(sa.select(table))]
    assert not any(CANARY in text for text in seen)


def test_rows_are_immutable(house: House) -> None:
    """What other rooms get cannot be changed by them."""
    frozen = services.create(house, document(), ANN)
    with pytest.raises(AttributeError):
        frozen.name = "x"  # type: ignore[misc]
    assert replace(frozen, label="").title == "erp"
