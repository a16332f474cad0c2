"""Signing in by SCRAM: the standard's own example, and servers that do not keep to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.builtin import ldap_wire as wire
from connectors.builtin.ldap_ber import children, octets
from connectors.builtin.scram import BrokenScramError, Scram
from connectors.errors import AuthFailed, Misconfigured
from tests.connectors.scripted_directory import Asked, ScriptedDirectory, entry, result
from tests.connectors.test_ldap import opened

# RFC 7677, section 3
_NONCE = "rOprNGfwEbeRWgbNEkqO"
_CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
_PROOF = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
_LAST = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def talk() -> Scram:
    return Scram("SCRAM-SHA-256", "user", "pencil", _NONCE)


def test_the_example_of_the_standard() -> None:
    """Each word is the one of RFC 7677."""
    ours = talk()
    assert ours.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert ours.proof(_CHALLENGE) == _PROOF
    assert not ours.proven
    assert ours.verified(_LAST) == b""
    assert ours.proven
    assert Scram("SCRAM-SHA-1", "a=b,c", "x", "n").first() == b"n,,n=a=3Db=2Cc,r=n"


@pytest.mark.parametrize(
    "challenge",
    [
        b"", b"\xff", b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        f"r={_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode(), _CHALLENGE.replace(b"4096", b"1"),
        _CHALLENGE.replace(b"4096", b"99999999999"), _CHALLENGE.replace(b"4096", b"x"),
        _CHALLENGE.replace(b"W22Z", b"****"),
    ],
)  # fmt: skip
def test_first_words_that_do_not_fit(challenge: bytes) -> None:
    """Another nonce, none of the server's own, too few or too many rounds, no text: no proof is given."""
    with pytest.raises(BrokenScramError):
        talk().proof(challenge)


def test_a_server_that_does_not_know_the_password() -> None:
    """Its last word has to be made of the password; before the proof, nothing is."""
    ours = talk()
    with pytest.raises(BrokenScramError):
        ours.verified(_LAST)
    ours.proof(_CHALLENGE)
    with pytest.raises(BrokenScramError):
        ours.verified(_LAST.replace(b"6rri", b"7rri"))


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A directory that signs in as the standard's example does, and what it says last."""
    known: Any = Scram.__init__
    monkeypatch.setattr(Scram, "__init__", lambda self, *given: known(self, *given[:3], _NONCE))
    said: dict[str, Any] = {"last": _LAST, "apart": False, "offered": ["PLAIN", "SCRAM-SHA-256"]}

    def answer(asked: Asked) -> list[bytes]:
        if asked.tag == wire.SEARCH:
            return [entry("", {"supportedSASLMechanisms": said["offered"]}), result(wire.DONE)]
        if asked.tag == wire.UNBIND:
            return []
        _, word = children(children(asked.content)[2][1])
        if word[1].startswith(b"n,,"):
            return [_said(14, _CHALLENGE)]
        return [_said(0, b"")] if not word[1] else [_said(14 if said["apart"] else 0, said["last"])]

    server = ScriptedDirectory(answer)
    settings = {"host": "127.0.0.1", "port": server.port, "encryption": "none", "base": "dc=e", "sign_in": "scram"}
    yield said, {**settings, "user": "user", "password": "pencil"}
    server.close()


def _said(code: int, word: bytes) -> bytes:
    plain = result(wire.BIND + 1, code)
    content = plain[2:] + octets(word, 0x87)
    return bytes((plain[0], len(content))) + content


@pytest.mark.parametrize("apart", [True, False])
def test_a_directory_says_its_last_word(example: Any, apart: bool) -> None:
    """With the end or before it; a false one, or none at all, ends the sign-in."""
    said, settings = example
    said["apart"] = apart
    with opened(settings) as ldap:
        assert ldap.directory.session.alive
    for last in (b"v=AAAA", b""):
        said["last"] = last
        with opened(settings) as ldap, pytest.raises(AuthFailed, match="does not prove"):
            ldap.objects()
    said["offered"] = ["PLAIN"]
    with opened(settings) as ldap, pytest.raises(Misconfigured, match="SCRAM"):
        ldap.objects()
