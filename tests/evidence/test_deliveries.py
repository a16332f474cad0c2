"""Checkpoints leave the house: they arrive whole, again after a failure, and can be held against the log."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path

import pytest
import sqlalchemy as sa

import config
from tests.connectors.conftest import Answer, WebServer
from tests.events.test_actions import Mailbox
from tests.evidence.conftest import Clock, sealed
from webapp.audit.models import audit_checkpoint, audit_head, audit_leaf, audit_node
from webapp.audit.notes import Checkpoint, checkpoint, found_in
from webapp.audit.verification import verify
from webapp.evidence.deliveries import send_due, state
from webapp.evidence.signing import signer
from webapp.evidence.stored import StoredLog
from webapp.evidence.targets import known_as, shown
from webapp.extensions import House

SEAL = (audit_checkpoint, audit_head, audit_leaf, audit_node)


def sending(house: House, *targets: str, **settings: object) -> House:
    """Return the house with these targets, which may reach this machine."""
    wanted = {"checkpoints_to": targets, "egress_allow": ("127.0.0.0/8",), **settings}
    return replace(house, settings=replace(house.settings, **wanted))  # type: ignore[arg-type]


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    server.answer = lambda _: Answer(204)
    yield server
    server.close()


def proven(house: House, text: str) -> int:
    """Hold what arrived against the log; return of how many events it speaks."""
    (note,) = found_in(text)[-1:]
    with house.db.read() as tx:
        report = verify(StoredLog(tx), [signer(house).public], [note])
    assert (report.intact, report.elsewhere) == (True, 1)
    return checkpoint(note, [signer(house).public]).size


def _over_udp(take: Callable[[str], House]) -> tuple[House, str]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        house = take(f"syslog://127.0.0.1:{listener.getsockname()[1]}")
        text = listener.recv(65536).decode()
    assert re.match(r"<109>1 \S+Z \S+ syncline \d+ checkpoint - \{", text)
    return house, text


def _over_tcp(take: Callable[[str], House]) -> tuple[House, str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(5)
        house = take(f"syslog+tcp://127.0.0.1:{listener.getsockname()[1]}")
        with listener.accept()[0] as wire, wire.makefile("rb") as stream:
            raw = stream.read()
    count, _, message = raw.partition(b" ")
    assert int(count) == len(message)
    return house, message.decode()


@pytest.mark.parametrize("way", [_over_udp, _over_tcp])
def test_syslog_gets_the_checkpoint(house: House, way: Callable[[Callable[[str], House]], tuple[House, str]]):
    """A log server gets a message of RFC 5424 with the whole checkpoint in it."""

    def take(target: str) -> House:
        told = sending(house, target)
        sealed(told, 3)
        assert send_due(told) == 1
        return told

    told, text = way(take)
    assert proven(told, text) == 5


def test_a_file_gets_each_checkpoint(house: House, tmp_path: Path, clock: Clock):
    """A file keeps one checkpoint behind the other, but not more often than the settings say."""
    path = tmp_path / "kept.txt"
    told = sending(house, f"file:{path}")
    sealed(told, 3)
    assert [send_due(told), send_due(told)] == [1, 0]
    sealed(told, 2)
    assert send_due(told) == 0
    clock.forward(minutes=16)
    assert [send_due(told), send_due(told)] == [1, 0]
    assert len(found_in(path.read_text())) == 2
    assert proven(told, path.read_text()) == 7
    (one,) = state(told)
    assert (one.size, one.behind, one.lag_seconds, one.problem) == (7, 0, 0, None)


def test_mail_and_web_hook_get_the_checkpoint(house: House, web: WebServer):
    """An e-mail and a web hook carry the same checkpoint."""
    with Mailbox() as box:
        settings = {"smtp_url": f"smtp://127.0.0.1:{box.port}", "mail_from": "s@example.com"}
        told = sending(house, "mailto:audit@example.com", f"{web.url}/kept", **settings)
        sealed(told, 3)
        assert send_due(told) == 2
    (letter,) = box.letters
    message = message_from_bytes(letter)
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert message["To"] == "audit@example.com"
    assert proven(told, payload.decode().replace("\r\n", "\n")) == 5
    (request,) = web.received
    assert json.loads(request.body)["size"] == 5
    assert proven(told, request.body.decode()) == 5


def test_what_fails_is_tried_again_and_shown(house: House, web: WebServer, clock: Clock):
    """A target that is away holds up no other; the next attempts come later and later, and the lag is told."""
    web.answer = lambda _: Answer(503)
    told = sending(house, f"{web.url}/kept", "file:/nowhere/at/all")
    sealed(told, 3)
    assert [send_due(told), send_due(told)] == [0, 0]
    clock.forward(seconds=31)
    send_due(told)
    clock.forward(seconds=31)
    send_due(told)
    assert len(web.received) == 2
    hook, file = state(told)
    assert (hook.attempts, hook.behind, hook.lag_seconds) == (2, 5, 62)
    assert str(hook.problem) == f"{web.url}/kept answered 503."
    assert "no such file" in str(file.problem)
    web.answer = lambda _: Answer(200)
    clock.forward(seconds=31)
    assert send_due(told) == 1
    assert (state(told)[0].behind, state(told)[0].problem) == (0, None)


def test_only_permitted_networks_are_reached(house: House, web: WebServer):
    """Checkpoints go through the same gate as all else that leaves the house."""
    told = sending(house, f"{web.url}/x", "syslog://127.0.0.1:9", "syslog+tls://127.0.0.1:9", egress_allow=())
    sealed(told, 1)
    assert send_due(told) == 0
    assert all("must not be reached" in str(one.problem) for one in state(told))
    assert not web.received


@pytest.mark.parametrize("text", ["ftp://x/y", "mailto:", "syslog://", "kept.txt"])
def test_targets_that_cannot_be_are_refused_at_start(text: str):
    """A target that nothing can be sent to is told of with the setting's name."""
    with pytest.raises(config.SettingError, match="SYNCLINE_CHECKPOINTS_TO"):
        config.from_environment({"SYNCLINE_CHECKPOINTS_TO": text})


def test_a_log_that_was_put_back_is_told_of(house: House, tmp_path: Path, clock: Clock):
    """Where a target knows more events than the log has that is a problem, and the checkpoint is sent all the same."""
    path = tmp_path / "kept.txt"
    told = sending(house, f"file:{path}")
    sealed(told, 3)
    early = saved(told)
    sealed(told, 4)
    clock.forward(minutes=16)
    assert send_due(told) == 1
    put_back(told, early)
    assert "was put back: 9 events" in str(state(told)[0].problem)
    assert state(told)[0].behind == 0
    clock.forward(minutes=16)
    assert [send_due(told), send_due(told)] == [1, 0]
    assert len(found_in(path.read_text())) == 2
    assert (state(told)[0].size, "9 events" in str(state(told)[0].problem)) == (5, True)


def saved(house: House) -> dict[str, list[dict[str, object]]]:
    """Return the tables of the seal."""
    with house.db.read() as tx:
        return {table.name: [dict(row) for row in tx.execute(sa.select(table)).mappings()] for table in SEAL}


def put_back(house: House, rows: dict[str, list[dict[str, object]]]) -> None:
    """Put the tables of the seal back, as somebody does who may write to the database."""
    with house.db.begin() as tx:
        for table in SEAL:
            tx.execute(sa.delete(table))
            if rows[table.name]:
                tx.execute(sa.insert(table), rows[table.name])


def test_a_checkpoint_that_is_not_genuine_is_a_problem(house: House, tmp_path: Path):
    """It is told of and not sent; the others of the notary's duties go on."""
    told = sending(house, f"file:{tmp_path}/kept.txt")
    sealed(told, 3)
    with told.db.begin() as tx:
        tx.execute(sa.update(audit_checkpoint).values(note="nothing"))
    assert send_due(told) == 0
    assert "not genuine" in str(state(told)[0].problem)


def test_secrets_of_targets_are_not_shown():
    """Users, passwords and tokens stay out of what is shown."""
    hook = "https://hooks.example.com/services/T0123456789ABCDEFGH?token=s3cret"
    assert shown(hook) == "https://hooks.example.com/services/***?***"
    assert shown("https://ann:p%40ss@example.com:8443/kept") == "https://***@example.com:8443/kept"
    assert shown("mailto:audit@example.com") == "mailto:audit@example.com"


def test_logs_of_one_size_are_told_apart(clock: Clock):
    """A receiver that drops what it has seen already takes the checkpoint of another log of the same size."""
    one, other = (Checkpoint("syncline/1", 5, bytes([number]) * 32, clock()) for number in (1, 2))
    assert known_as(one) != known_as(other)
