"""Events are forwarded to log servers and web services: all of them, in the order of the log, at least once."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.evidence.conftest import WHO, sealed
from tests.log_servers import https, syslog
from tests.servers import certify
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence import forward_formats, forwarding, forwards
from webapp.evidence.forwards import Form
from webapp.evidence.notary import seal_due

SECRET = "s3cret-of-the-receiver"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certify(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def house(house):
    return replace(house, settings=replace(house.settings, egress_allow=("127.0.0.0/8",)))


def add(house, address, **more):
    return forwards.save(house, Form(more.pop("name", "siem"), address, start="begin", **more), WHO)


def look(house, number):
    with house.db.read() as tx:
        return forwards.get(tx, number)


def entries(messages):
    return [int(re.search(r' entry="(\d+)"', one)[1]) for one in messages]


def heard_all(heard, count):
    """Datagrams are read by another thread."""
    until = time.monotonic() + 5
    while len(heard.messages) < count and time.monotonic() < until:
        time.sleep(0.01)
    return heard.messages


@pytest.mark.parametrize("kind", ["udp", "tcp", "tls"])
def test_syslog_gets_all_events_in_their_order(house, certificate, kind):
    """RFC 5424 over UDP, TCP and TLS: entry by entry, over more than one batch, and nothing twice."""
    sealed(house, 150, 90)
    with syslog(kind, certificate) as heard:
        scheme = {"udp": "syslog", "tcp": "syslog+tcp", "tls": "syslog+tls"}[kind]
        pem = certificate[0].read_text() if kind == "tls" else ""
        number = add(house, f"{scheme}://localhost:{heard.port}", certificates=pem)
        seal_due(house)
        size = look(house, number).behind
        assert size > forwarding.BATCH
        assert forwarding.send_due(house) == size
        assert sorted(entries(heard_all(heard, size))) == list(range(1, size + 1))
        if kind != "udp":
            assert entries(heard.messages) == list(range(1, size + 1))
        assert forwarding.send_due(house) == 0
    assert (look(house, number).behind, look(house, number).sent) == (0, size)
    line = next(one for one in heard.messages if 'subject="r1"' in one)
    assert re.match(r"<109>1 2026-03-01T12:00:00\.000000Z \S+ syncline - rulebook:rule:updated \[syncline@32473 ", line)
    assert "\ufeffwei changed the rule r1" in line


def test_nothing_is_lost_when_the_server_is_away_or_hangs_up(house, certificate):
    """The position stays, the wait grows, what is wrong is told; the batch comes again as a whole."""
    with syslog("tcp") as heard:
        number = add(house, f"syslog+tcp://127.0.0.1:{heard.port}")
        sealed(house, 5)
        heard.cuts = 1
        assert forwarding.send_due(house) == 0
        failed = look(house, number)
        assert (failed.position, failed.attempts) == (0, 1)
        assert "does not take the events" in str(failed.problem)
        assert forwarding.send_due(house) == 0
        house.clock.forward(seconds=31)
        size = failed.behind
        assert forwarding.send_due(house) == size
        assert entries(heard.messages) == list(range(1, size + 1))
    sealed(house, 1)
    house.clock.forward(hours=2)
    for _time in range(3):
        assert forwarding.send_due(house) == 0
        house.clock.forward(hours=1)
    away = look(house, number)
    assert (away.position, away.attempts, away.problem is not None) == (size, 3, True)


def test_who_was_killed_behind_sending_sends_again(house, certificate, monkeypatch):
    """At least once: a process that dies before it has noted what arrived leaves the batch to the next one."""

    class Killed(BaseException):
        pass

    def dies(*_args):
        raise Killed

    with syslog("tcp") as heard:
        number = add(house, f"syslog+tcp://127.0.0.1:{heard.port}")
        sealed(house, 3)
        size = look(house, number).behind
        with monkeypatch.context() as patched:
            patched.setattr(forwarding, "_arrived", dies)
            with pytest.raises(Killed):
                forwarding.send_due(house)
        assert forwarding.send_due(house) == 0  # it is still claimed
        house.clock.forward(minutes=2)
        assert forwarding.send_due(house) == size
        assert entries(heard.messages) == [*range(1, size + 1)] * 2


@pytest.mark.parametrize("sign", ["none", "bearer", "hmac"])
def test_https_gets_json_that_it_can_check(house, certificate, sign):
    """One request a batch, named so that a repeated one is known again; with a token, or signed over time and body."""
    sealed(house, 4)
    with house.db.begin() as tx:
        event = Event(Tag.USER_CREATED, Subject("user", "ann"), after={"email": "ann@example.com", "roles": ["Viewer"]})
        record(tx, WHO, house.clock(), event)
    with https(certificate) as heard:
        secret = None if sign == "none" else SECRET
        pem = certificate[0].read_text()
        number = add(
            house, f"https://localhost:{heard.port}/in", format="json", sign=sign, secret=secret, certificates=pem
        )
        seal_due(house)
        size = look(house, number).behind
        heard.answers = [503]
        assert forwarding.send_due(house) == 0
        assert "answered 503" in str(look(house, number).problem)
        house.clock.forward(minutes=5)
        heard.answers = [413]
        assert forwarding.send_due(house) == size
    events = [event for _headers, body in heard.requests for event in json.loads(body)["events"]]
    assert [event["entry"] for event in events] == list(range(1, size + 1))
    user = next(event for event in events if event["tag"] == Tag.USER_CREATED)
    assert user["after"] == {"email": None, "roles": ["Viewer"]}
    headers, body = heard.requests[0]
    assert headers["Idempotency-Key"].endswith(f"-0-{size // 2 - 1}")
    assert headers.get("Authorization") == (f"Bearer {SECRET}" if sign == "bearer" else None)
    if sign == "hmac":
        at, said = re.fullmatch(r"t=(\d+),v1=(\w+)", headers["X-Syncline-Signature"]).groups()
        assert hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest() == said
    told = [one for one in events if one["subject_kind"] == "forward"]
    assert SECRET not in json.dumps(told)


def test_a_server_that_is_not_the_one_is_not_told(house, certificate):
    """Without its certificate nothing is sent over TLS, and a test message says so."""
    with syslog("tls", certificate) as heard:
        number = add(house, f"syslog+tls://localhost:{heard.port}")
        sealed(house, 2)
        assert forwarding.send_due(house) == 0
        assert "certificate" in str(look(house, number).problem).lower()
        assert "certificate" in str(forwarding.try_out(house, number, WHO)).lower()
        assert heard.messages == []


def test_a_test_message_arrives_as_such(house):
    """It says that it is one, has no place in the log, and moves nothing on."""
    with syslog("udp") as heard:
        number = add(house, f"syslog://127.0.0.1:{heard.port}", format="cef", only="runs access")
        assert forwarding.try_out(house, number, WHO) is None
        (message,) = heard_all(heard, 1)
        assert "CEF:0|Syncline|Syncline|1|audit:forward:tested|" in message
        assert look(house, number).position == 0
        sealed(house, 3)
        with house.db.begin() as tx:
            record(tx, WHO, house.clock(), Event(Tag.SIGN_IN_FAILED, Subject("user", "a|b=c\\d")))
        seal_due(house)
        assert forwarding.send_due(house) == 1  # of the areas that were asked for
        line = heard_all(heard, 2)[1]
        assert "|6|" in line
        assert "duser=a|b\\=c\\\\d" in line
        assert look(house, number).behind == 0


WRONG = {
    "name": Form("-", "syslog://h"),
    "address": Form("a", "ftp://h"),
    "format": Form("a", "https://h"),
    "sign": Form("a", "syslog://h", sign="hmac", secret="x"),
    "secret": Form("a", "https://h", format="json", sign="bearer"),
}


@pytest.mark.parametrize("field", WRONG)
def test_what_cannot_be_set_is_told_at_its_field(house, field):
    """Each mistake has its sentence."""
    with pytest.raises(forwards.Wrong) as refused:
        forwards.save(house, WRONG[field], WHO)
    assert field in refused.value.errors


def test_a_secret_does_not_follow_the_address(house):
    """Who leads a target elsewhere has to know its secret; deleting a target deletes it."""
    number = add(house, "https://one.example", format="json", sign="bearer", secret=SECRET)
    same = Form("siem", "https://one.example", format="cef", sign="bearer")
    assert forwards.save(house, same, WHO, number) == number
    with pytest.raises(forwards.Wrong):
        forwards.save(house, replace(same, address="https://two.example"), WHO, number)
    assert forwards.delete(house, number, WHO)
    assert not forwards.delete(house, number, WHO)


def test_lines_stay_lines():
    """Whatever a value holds, a message is one line, and its quotes are its own."""

    class Odd:
        seq, id, tag, actor_kind, address, request_id = 0, 1, Tag.DENIED, "user", None, None
        actor_name, subject_kind, subject = 'a"]\\b\nc', "page", "x\r\ny"
        record_key = run_id = before = after = None
        reason = "two\nlines"

    Odd.at = datetime(2026, 1, 1, tzinfo=UTC)
    message = forward_formats.as_syslog(Odd, "log", "host name", "").decode()
    assert "\n" not in message
    assert 'actor="a\\"\\]\\\\b c"' in message
    assert "\n" not in forward_formats.as_cef(Odd, "log")
    assert message.startswith("<108>1 ")
