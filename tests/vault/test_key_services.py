"""Keys that others hold: RSA pairs in a file, and key services."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests import key_servers
from tests.key_servers import KeyServer
from webapp.extensions import SYSTEM, House
from webapp.vault import key_service, places, rsa_keys, sealing
from webapp.vault import services as vault
from webapp.vault.errors import KeyUnavailable, SecretDamaged
from webapp.vault.key_service import Place
from webapp.vault.key_services import AzureKeyVault
from webapp.vault.providers import KeyProvider
from webapp.vault.rsa_keys import RsaKeys

OWNER, DATA = b"connection/erp/password", bytes(range(32))
SERVICES = {
    "vault": key_servers.hashicorp,
    "google": key_servers.google,
    "azure": key_servers.azure,
    "aws": key_servers.amazon,
}
NETWORKS = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, KeyServer]]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        running = {name: stack.enter_context(start()) for name, start in SERVICES.items()}
        patch.setattr(AzureKeyVault, "authority", running["azure"].url)
        yield running


@pytest.fixture
def place(servers: dict[str, KeyServer], tmp_path: Path) -> Callable[[str], KeyProvider]:
    """Return what opens the keys of a kind, as a process that has just started."""

    def opened(name: str) -> KeyProvider:
        if name == "rsa":
            return RsaKeys(tmp_path / "keys" / "master.pem")
        server = servers[name]
        server.open = True
        return places.SERVICES[name](Place(server.url, server.key, server.login, NETWORKS))

    return opened


@pytest.mark.parametrize("name", ["rsa", *SERVICES])
def test_what_is_wrapped_comes_back_for_its_owner_alone(place: Callable[[str], KeyProvider], name: str) -> None:
    """Another process unwraps what one has wrapped; not for another owner, and not what was altered."""
    keys = place(name)
    key_id, wrapped = keys.wrap(DATA, OWNER)
    assert (key_id, keys.exists()) == (keys.current, True)
    assert DATA not in wrapped
    assert keys.wrap(DATA, OWNER)[1] != wrapped
    assert keys.unwrap(key_id, wrapped, OWNER) == place(name).unwrap(key_id, wrapped, OWNER) == DATA
    altered = wrapped[:-2] + bytes([wrapped[-2] ^ 4, wrapped[-1]])
    assert keys.unwrap(key_id, wrapped, b"connection/crm/password") is None
    assert name == "vault" or keys.unwrap(key_id, altered, OWNER) is None
    assert len(key_id) <= 200


@pytest.mark.parametrize("name", ["rsa", "vault", "google", "azure"])
def test_a_new_key_wraps_and_the_old_one_still_unwraps(place: Callable[[str], KeyProvider], name: str) -> None:
    """After a renewal both are there; the old one goes when nothing needs it."""
    keys = place(name)
    before, wrapped = keys.wrap(DATA, OWNER)
    after = keys.renew()
    assert after == keys.current == keys.wrap(DATA, OWNER)[0] != before
    assert place(name).unwrap(before, wrapped, OWNER) == DATA
    keys.retire({before})
    assert place(name).unwrap(before, wrapped, OWNER) == DATA
    keys.retire(set())
    if name in ("rsa", "vault"):
        with pytest.raises(KeyUnavailable):
            place(name).unwrap(before, wrapped, OWNER)


def test_what_a_service_unwraps_is_remembered_for_a_while(
    place: Callable[[str], KeyProvider], servers: dict[str, KeyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call serves for a minute; then the service is asked again, and may refuse."""
    keys = place("vault")
    key_id, wrapped = keys.wrap(DATA, OWNER)
    assert keys.unwrap(key_id, wrapped, OWNER) == DATA
    other = place("vault")
    servers["vault"].open = False
    assert keys.unwrap(key_id, wrapped, OWNER) == DATA
    with pytest.raises(KeyUnavailable, match="HashiCorp Vault refuses the key 'transit/syncline' with status 403"):
        other.unwrap(key_id, wrapped, OWNER)
    servers["vault"].open = True
    monkeypatch.setattr(key_service, "_KEPT", -1.0)
    assert other.unwrap(key_id, wrapped, OWNER) == DATA
    servers["vault"].open = False
    with pytest.raises(KeyUnavailable):
        other.unwrap(key_id, wrapped, OWNER)
    servers["vault"].open = True


@pytest.mark.parametrize(
    ("name", "login", "words"),
    [
        ("vault", "", "SYNCLINE_KEY_LOGIN is not set"),
        ("vault", "the-role:other", "status 400"),
        ("vault", "other-token", "status 403"),
        ("aws", "AKIA", "secret access key"),
        ("azure", "tenant:the-app", "client secret"),
        ("azure", "tenant:the-app:no", "status 401"),
        ("google", "{}", "service account"),
    ],
)
def test_a_wrong_login_is_told(servers: dict[str, KeyServer], name: str, login: str, words: str) -> None:
    """Each says what is missing or refused, and never what was entered."""
    server = servers[name]
    keys = places.SERVICES[name](Place(server.url, server.key, login, NETWORKS))
    with pytest.raises(KeyUnavailable, match=words) as refused:
        _ = keys.current
    entered = login.split(":", 1)[-1]
    assert len(entered) < 5 or entered not in f"{refused.value} {keys!r}"


def test_a_service_that_is_away_or_forbidden_is_told(servers: dict[str, KeyServer]) -> None:
    """Nobody listening, and a network that may not be reached."""
    for address, networks in (("http://127.0.0.1:9", NETWORKS), (servers["vault"].url, ())):
        keys = places.SERVICES["vault"](Place(address, "transit/x", "token", networks))
        with pytest.raises(KeyUnavailable, match="does not answer as it should"):
            _ = keys.current


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    "answer", [{}, {"data": None}, dict.fromkeys(("data", "plaintext", "Plaintext", "value", "key"), "AAAA")]
)
def test_an_answer_that_holds_something_else_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, answer: dict[str, object]
) -> None:
    """What a service answers beside its interface is neither taken for a key nor shown."""
    keys = places.SERVICES[name](Place("https://kms.example", "arn:aws:kms:eu-west-1:1:key/x", "a:b:c"))
    monkeypatch.setattr(keys, "ask", lambda *_args, **_more: answer)
    monkeypatch.setattr(keys, "signed_in", lambda: ("token", 1000.0))
    for call in (lambda: keys.current, lambda: keys.wrap(DATA, OWNER)):
        with pytest.raises(KeyUnavailable, match="does not answer as it should") as told:
            call()
        assert "AAAA" not in str(told.value)
    with suppress(KeyUnavailable):
        assert keys.unwrap("v1", b"vault:v1:x", OWNER) is None


def test_keys_of_other_places_do_not_keep_versions(
    place: Callable[[str], KeyProvider], servers: dict[str, KeyServer]
) -> None:
    """A secret that is still under a key of the place before does not stop the end of a rotation."""
    keys = place("vault")
    newest = keys.renew()
    assert newest not in keys.retire({"6f1d0c", newest})


def test_a_data_key_that_opens_nothing_is_not_wrapped(tmp_path: Path) -> None:
    """A rotation does not lock a secret up under a data key that a broken place of keys has made up."""

    class Wrong(RsaKeys):
        def unwrap(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:
            return bytes(32)

    keys = RsaKeys(tmp_path / "master.pem")
    sealed = sealing.seal(keys, "connection/erp/password", "secret")
    assert sealing.rewrap(keys, "connection/erp/password", sealed).ciphertext == sealed.ciphertext
    with pytest.raises(SecretDamaged):
        sealing.rewrap(Wrong(keys.path), "connection/erp/password", sealed)


def test_a_file_of_pairs_is_private_and_of_some_length(tmp_path: Path) -> None:
    """It is made readable by its owner only; short keys, other keys and rubbish are refused."""
    keys = RsaKeys(tmp_path / "master.pem")
    _ = keys.current
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    short = key_servers.rsa.generate_private_key(65537, 2048).private_bytes(
        rsa_keys.serialization.Encoding.PEM, rsa_keys.serialization.PrivateFormat.PKCS8,
        rsa_keys.serialization.NoEncryption(),
    )  # fmt: skip
    for text in (b"", b"rubbish", short, keys.path.read_bytes() + b"rubbish"):
        keys.path.write_bytes(text)
        with pytest.raises(KeyUnavailable, match="3072 bits"):
            _ = RsaKeys(keys.path).current


def test_an_installation_moves_to_a_key_service(
    house: House, servers: dict[str, KeyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both places set, secrets are read; a rotation brings them under the service; the file can go."""
    owner = vault.Owner("connection", "erp")
    with house.db.begin() as tx:
        vault.put(tx, vault.keyring(house), owner, "password", "Grüße 🔑", SYSTEM, house.clock())
    server = servers["google"]
    monkeypatch.setenv("SYNCLINE_KEY_LOGIN", server.login)
    both = replace(
        house.settings, key_provider=("google", "file"), key_service=server.url, key_name=server.key,
        egress_allow=NETWORKS,
    )  # fmt: skip
    moved = replace(house, settings=both)
    with house.db.read() as tx:
        assert vault.get(tx, vault.keyring(moved), owner, "password") == "Grüße 🔑"
    assert vault.rotate(moved, SYSTEM) == 1
    alone = replace(house, settings=replace(both, key_provider=("google",)))
    house.settings.key_file.unlink()
    with house.db.read() as tx:
        assert vault.get(tx, vault.keyring(alone), owner, "password") == "Grüße 🔑"
    with pytest.raises(KeyUnavailable, match="SYNCLINE_KEY_NAME is not set"):
        places.open_provider(replace(both, key_name=""))
