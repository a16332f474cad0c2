"""The connector `mail_out` against aiosmtpd."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.builtin.mail_out import SCHEMA, Outgoing
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RecordRejected,
    Unavailable,
)
from connectors.spi import Context, Fence, ReadRequest, WriteResult
from connectors.testing import Settings
from connectors.testing_read import SpecLaws
from rules.schema import Change, Op, Schema
from tests import servers
from tests.connectors.scripted_imap import scripted_smtp
from tests.mail_servers import Smtp, smtp

FENCE = Fence("rule", 1, 1, 0)


@pytest.fixture(scope="module")
def running() -> Iterator[Smtp]:
    with smtp() as found:
        yield found


@pytest.fixture
def server(running: Smtp) -> Smtp:
    running.taken.clear()
    running.says.clear()
    return running


def opened(server: Smtp, **more: Any) -> Outgoing:
    defaults = {setting.name: setting.default for setting in Outgoing.spec.settings}
    own = {"host": server.host, "port": server.port, "encryption": "none", "user": server.user,
           "password": server.password, "sender": "Orders <orders@example.com>"}  # fmt: skip
    return Outgoing({**defaults, **own, **more}, Context(timeout=10))


def send(outgoing: Outgoing, *records: dict[str, Any], fence: Fence | None = FENCE) -> WriteResult:
    whole = [{"key": str(n), "to": "a@example.com", **record} for n, record in enumerate(records)]
    frame = pl.DataFrame(whole, schema=SCHEMA.dtypes())
    return outgoing.write("outgoing", SCHEMA, [Change(Op.CREATE, "key", frame)], fence)


def told(result: WriteResult) -> list[str]:
    return [f"{failure.row}: {failure.message}" for failure in result.failures]


def mails(server: Smtp) -> list[EmailMessage]:
    return [message_from_bytes(cast("bytes", e.content), policy=policy.default) for e in server.taken]


@pytest.mark.connector_evidence("mail_out", "real_system", "aiosmtpd 1.4")
def test_a_mail_arrives_as_it_was_written(server: Smtp) -> None:
    """Names, texts and files of all languages arrive; blind copies are in no header; the number comes of the key."""
    files = [{"name": "报价.pdf", "type": "application/pdf", "content": base64.b64encode(b"%PDF\x00").decode()}]
    record = {
        "to": '"Chen, 小明" <xm@example.com>; b@example.com', "cc": '["c@example.com"]', "bcc": "d@example.com",
        "reply_to": "desk@example.com", "subject": "报价 №7 – " + "很长" * 60, "text": "您好\n.\nline",
        "html": "<p>您好</p>",
        "attachments": json.dumps(files), "in_reply_to": "<1@example.com>",
    }  # fmt: skip
    with opened(server) as outgoing:
        assert [step.ok for step in outgoing.check()] == [True] * 4
        assert [found.name for found in outgoing.objects()] == ["outgoing"]
        assert told(send(outgoing, {**record, "to": record["to"].replace(";", ",")})) == []
    (mail,), envelope = mails(server), server.taken[0]
    assert envelope.rcpt_tos == ["xm@example.com", "b@example.com", "c@example.com", "d@example.com"]
    assert envelope.mail_from == "orders@example.com"
    assert [(a.display_name, a.addr_spec) for a in mail["To"].addresses] == [
        ("Chen, 小明", "xm@example.com"), ("", "b@example.com")
    ]  # fmt: skip
    assert (mail["Bcc"], mail["Reply-To"], mail["Subject"]) == (None, "desk@example.com", record["subject"])
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert (text.get_content(), html.get_content()) == ("您好\r\n.\r\nline\r\n", "<p>您好</p>\r\n")
    assert [(f.get_filename(), f.get_content()) for f in mail.iter_attachments()] == [("报价.pdf", b"%PDF\x00")]
    assert mail["Message-ID"].endswith("@example.com>")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.sampled_from(("subject", "to", "cc", "bcc", "reply_to", "from", "in_reply_to")))
def test_no_value_makes_another_header(value: str, name: str) -> None:
    """Whatever a field holds, the mail has the headers that it should have; a line break in one is refused."""
    outgoing = Outgoing({"sender": "o@example.com"}, Context())
    sent: list[bytes] = []

    class Taking:
        largest = None

        def send(self, _sender: str, recipients: list[str], raw: bytes) -> None:
            assert all("\n" not in address and "\r" not in address for address in recipients)
            sent.append(raw)

        def close(self) -> None:
            pass

    outgoing.__dict__["_outbox"] = Taking()
    failed = told(send(outgoing, {name: value}))
    for raw in sent:
        head = raw.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
        names = {line.partition(b":")[0] for line in head.split(b"\r\n")}
        allowed = {b"Message-ID", b"Date", b"Subject", b"In-Reply-To", b"From", b"To", b"Cc", b"Reply-To",
                   b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding"}  # fmt: skip
        assert names <= allowed
        assert b"\n" not in head.replace(b"\r\n", b"")
    assert len(sent) + len(failed) == 1


def test_what_no_mail_can_be(server: Smtp) -> None:
    """Each bad record is refused with its own sentence; nothing of it is sent, and the others are."""
    server.says |= {"gone@example.com": "550 no such user", "too much": "552 not of this size"}
    bad: list[dict[str, Any]] = [
        {"to": "a@example.com\r\nBcc: x@example.com"}, {"to": "nobody"}, {"to": ""}, {"subject": "a\nb"},
        {"attachments": '[{"name": "x"}]'}, {"attachments": '[{"name": "a\\nb", "content": ""}]'}, {"key": ""},
        {"to": "a@example.com, gone@example.com"}, {"text": "too much"}, {"text": "x" * 1_200_000},
        {"to": "jürgen@example.com"}, {"to": "[1]"},
    ]  # fmt: skip
    with opened(server) as outgoing:
        found = told(send(outgoing, *bad, {"key": "good"}))
        frame = pl.DataFrame({"key": ["good"]})
        changes = [Change(Op.UPDATE, "key", frame), Change(Op.DELETE, "key", frame)]
        assert len(outgoing.write("outgoing", SCHEMA, changes).failures) == 2
    assert [text.partition(":")[0] for text in found if not text.startswith("10:")] == [
        str(n) for n in range(len(bad)) if n != 10
    ]  # fmt: skip
    assert "550" in found[7]
    assert "1000" in " ".join(found) or "976" in " ".join(found)
    assert server.taken[-1].rcpt_tos == ["a@example.com"]


def test_a_mail_that_is_taken_later_holds_nothing_up(server: Smtp) -> None:
    """What a server takes later makes the call fail at its end; repeated, only that mail is sent again."""
    server.says["slow@example.com"] = "451 greylisted"
    with opened(server) as outgoing:
        for _ in range(2):
            with pytest.raises(Unavailable, match="greylisted"):
                send(outgoing, {"to": "slow@example.com"}, {})
            assert len(server.taken) == 1
            assert outgoing.applied(FENCE) is False
        server.says.clear()
        assert told(send(outgoing, {"to": "slow@example.com"}, {})) == []
    assert [e.rcpt_tos for e in server.taken] == [["a@example.com"], ["slow@example.com"]]


def test_a_lost_answer_repeats_the_same_number(server: Smtp) -> None:
    """A mail whose answer got lost is sent again with the same number; another rule's mail has another one."""
    server.says["hello"] = "hang up"
    with opened(server) as outgoing:
        with pytest.raises(Unavailable, match="failed"):
            send(outgoing, {"text": "hello"})
        server.says.clear()
        send(outgoing, {"text": "hello"})
        send(outgoing, {"text": "hello"}, fence=Fence("other", 1, 1, 0))
    first, second, third = [mail["Message-ID"] for mail in mails(server)]
    assert first == second != third


def test_encryption_and_signing_in() -> None:
    """Both ways of encryption and of passwords work; a certificate of strangers does not."""
    for encryption, mechanism in (("tls", "PLAIN"), ("starttls", "LOGIN")):
        with smtp(encryption=encryption, mechanism=mechanism) as server:
            more = {"encryption": encryption, "tls_ca": server.certificate}
            with opened(server, **more) as outgoing:
                send(outgoing, {})
            assert len(server.taken) == 1
            with opened(server, **{**more, "tls_ca": ""}) as outgoing, pytest.raises(Misconfigured, match="encrypted"):
                outgoing.objects()
            with opened(server, encryption="none", timeout=1) as outgoing, pytest.raises(ConnectorError):
                outgoing.objects()


def test_forbidden_networks(server: Smtp) -> None:
    """No mail goes to a network that is not allowed."""
    with opened(server, host="10.0.0.1") as outgoing, pytest.raises(Forbidden):
        send(outgoing, {})


class TestOutgoing(SpecLaws):
    connector = Outgoing
    object_name = "outgoing"

    @pytest.fixture
    def sample(self) -> Schema:
        return SCHEMA

    @pytest.fixture
    def records(self, sample: Schema) -> pl.DataFrame:
        return sample.empty()

    @pytest.fixture
    def settings(self, server: Smtp) -> Settings:
        return {"host": server.host, "port": server.port, "encryption": "none", "user": server.user, "timeout": 5,
                "password": server.password, "sender": "o@example.com"}  # fmt: skip

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        pass

    def broken(self, settings: Settings) -> list[Settings]:
        changes: list[dict[str, Any]] = [
            {"host": "no-such-host.invalid"}, {"host": "10.0.0.1"}, {"host": ""}, {"port": servers.free_port()},
            {"password": "wrong"}, {"password": ""}, {"encryption": "starttls"}, {"sender": ""}, {"sender": "me"},
            {"authentication": "bearer"},
        ]  # fmt: skip
        return [{**settings, **change} for change in changes]


@pytest.mark.parametrize(
    ("answers", "kind", "match"),
    [
        ({"GREETING": "554 full"}, Unavailable, "full"),
        ({"EHLO": "nonsense", "HELO": "nonsense"}, Unavailable, "failed"),
        ({"EHLO": "250-x\r\n250 AUTH PLAIN", "AUTH": "454 later"}, Unavailable, "takes nobody in"),
        ({"EHLO": "250-x\r\n250 AUTH XOAUTH2", "AUTH": "334 ", "": "535 no"}, AuthFailed, "refuses the user"),
        ({"EHLO": "250-x\r\n250 AUTH PLAIN", "AUTH": "235 OK", "DATA": "550 no"}, None, "550"),
        ({"EHLO": "250-x\r\n250 AUTH LOGIN", "AUTH": "235 OK", "RCPT": "421 closing"}, Unavailable, "closing"),
    ],
)
def test_each_fault_of_a_server_has_its_sentence(
    answers: dict[str, str], kind: type[ConnectorError] | None, match: str
) -> None:
    """What a server says instead of what it should ends in one sentence."""
    more = {"authentication": "bearer", "token": "good-token"} if "XOAUTH2" in answers.get("EHLO", "") else {}
    with scripted_smtp(answers) as (port, _):
        server = Smtp(port, "u", "p", "", [], {}, host="127.0.0.1")
        with opened(server, **more) as outgoing:
            if kind is None:
                assert match in told(send(outgoing, {}))[0]
                return
            with pytest.raises(kind, match=match):
                send(outgoing, {})


def test_a_plain_server() -> None:
    """Without any extension mails leave; a password or an address of all letters is refused with words."""
    with smtp(plain=True) as server:
        with opened(server, authentication="none") as outgoing:
            assert [str(step.detail) for step in outgoing.check()][-1] == "The mail server takes mails."
            assert told(send(outgoing, {}, {"to": "jürgen@example.com"}))[0].startswith("1: The mail server takes only")
        with opened(server) as outgoing, pytest.raises(AuthFailed, match="takes no password"):
            outgoing.objects()


def test_mails_only_leave(server: Smtp) -> None:
    """Nothing can be read, and there is one object."""
    with opened(server) as outgoing:
        with pytest.raises(Misconfigured, match="cannot be read"):
            outgoing.read(ReadRequest("outgoing", outgoing.schema("outgoing")))
        for call in (outgoing.schema, lambda n: outgoing.write(n, SCHEMA, [])):
            with pytest.raises(ObjectMissing, match="other"):
                call("other")
    assert issubclass(RecordRejected, ConnectorError)
