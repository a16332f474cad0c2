"""The connector `mail` against Dovecot."""

from __future__ import annotations

import base64
import datetime as dt
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin import mail_imap, mail_read
from connectors.builtin.mail import Mailbox
from connectors.builtin.mail_out import Outgoing
from connectors.errors import AuthFailed, Fatal, Forbidden, Misconfigured, ObjectMissing, RecordRejected, Unavailable
from connectors.spi import Context, Cursor, ReadRequest, WriteResult
from connectors.testing import TITLE, ConnectorConformance, Settings
from connectors.value_text import PLAIN
from rules.schema import Change, Field, Op, Schema
from tests import servers
from tests.connectors.conftest import Answer, WebServer
from tests.connectors.memory import MOST, grown_alone
from tests.connectors.scripted_imap import CUT, scripted, scripted_smtp
from tests.mail_servers import Imap, dovecot

HERE = Context(timeout=10)


@pytest.fixture(scope="module")
def server() -> Iterator[Imap]:
    with dovecot() as found:
        yield found


def settings_of(server: Imap, **more: Any) -> dict[str, Any]:
    return {"host": server.host, "port": server.port, "encryption": "none", "user": server.user,
            "password": server.password, **more}  # fmt: skip


class TestMail(ConnectorConformance):
    connector = Mailbox

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, server: Imap, sample: Schema) -> Settings:
        self.server = server
        fields = [
            {"name": f.name, "header": f"X-{f.name}", "type": f.type.value, "scale": f.scale,
             "required": not f.nullable}
            for f in sample.fields
        ]  # fmt: skip
        return settings_of(server, objects=[{"name": "sample", "folder": "样 & Co", "key": "id", "fields": fields}])

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        # the name is that of the folder in the UTF-7 of IMAP
        self.server.fill('"&aDc- &- Co"', [mail(record) for record in records.iter_rows(named=True)])

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "host": "no-such-host.invalid"},
            {**settings, "host": "10.0.0.1"},
            {**settings, "host": ""},
            {**settings, "port": servers.free_port()},
            {**settings, "password": "wrong"},
            {**settings, "password": ""},
            {**settings, "encryption": "tls"},
            {**settings, "encryption": "starttls", "tls_ca": "none"},
            {**settings, "authentication": "bearer"},
            {**settings, "objects": "[{]"},
            {**settings, "objects": ["INBOX", "INBOX"]},
            {**settings, "objects": ["nothing"]},
            {**settings, "objects": [{"name": "INBOX", "headers": ["X Y"]}]},
            {**settings, "objects": [{"name": "INBOX", "fields": [{"name": "nothing"}]}]},
            {**settings, "objects": [{"name": "INBOX", "key": "nothing"}]},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


def mail(record: Mapping[str, Any]) -> bytes:
    lines = [f"X-{name}: {word(PLAIN.text(value) or '')}" for name, value in record.items() if value is not None]
    return "\r\n".join([*lines, "", "Hello", ""]).encode()


def word(text: str) -> str:
    parts = [text[start : start + 10] for start in range(0, len(text), 10)]
    return "\r\n ".join(f"=?UTF-8?B?{base64.b64encode(part.encode()).decode()}?=" for part in parts)


WHOLE = (
    "Subject: s{n}\r\nMessage-ID: <{n}@example.com>\r\nFrom: A <a@b.c>\r\nDate: Mon, 1 Jan 2024 10:00:0{n} +0800\r\n"
    "\r\nhello {n}\r\n"
)


def opened(server: Imap, **more: Any) -> Mailbox:
    defaults = {setting.name: setting.default for setting in Mailbox.spec.settings}
    return Mailbox({**defaults, **settings_of(server), **more}, HERE)


def fill(server: Imap, folder: str, count: int) -> None:
    server.fill(folder, [WHOLE.format(n=n).encode() for n in range(count)])


def subjects(mailbox: Mailbox, folder: str, fields: tuple[str, ...] = ("subject",), **more: Any) -> list[Any]:
    schema = mailbox.schema(folder).select(fields)
    pages = list(mailbox.read(ReadRequest(folder, schema, **more)))
    return [value for page in pages for value in page.records["subject"]]


def records(mailbox: Mailbox, folder: str) -> pl.DataFrame:
    return pl.concat(page.records for page in mailbox.read(ReadRequest(folder, mailbox.schema(folder))))


def change(mailbox: Mailbox, folder: str, op: Op, key: str, *rows: dict[str, Any]) -> WriteResult:
    schema = mailbox.schema(folder)
    frame = pl.DataFrame(list(rows), schema=schema.select(tuple(rows[0])).dtypes())
    return mailbox.write(folder, schema, [Change(op, key, frame)])


def told(result: WriteResult) -> list[str]:
    return [f"{failure.row}: {failure.message}" for failure in result.failures]


def made(result: WriteResult) -> list[Any]:
    return [] if result.keys[0] is None else result.keys[0].to_list()


@pytest.mark.parametrize("encryption", ["none", "starttls", "tls"])
def test_each_encryption_and_way_of_signing_in(server: Imap, encryption: str) -> None:
    """The connection is encrypted as the settings say, and a certificate of strangers is refused."""
    port = server.tls_port if encryption == "tls" else server.port
    more = {"encryption": encryption, "port": port, "tls_ca": server.certificate}
    with opened(server, **more) as mailbox:
        assert "INBOX" in [found.name for found in mailbox.objects()]
    if encryption != "none":
        with opened(server, **{**more, "tls_ca": ""}) as mailbox, pytest.raises(Misconfigured, match="encrypted"):
            mailbox.objects()
        with opened(server, **{**more, "tls_ca": "", "verify": False}) as mailbox:
            assert mailbox.objects()


def test_changes_are_found_by_arrival_by_marks_and_by_day(server: Imap) -> None:
    """New mails are found by key, marked ones by their place among the changes, others by when they arrived."""
    fill(server, "work", 5)
    with opened(server) as mailbox:
        found = records(mailbox, "work")
        last = found["key"][-1]
        by_key = Cursor("key", "key", last)
        assert subjects(mailbox, "work", ("key", "subject", "text"), cursor=by_key) == ["s4"]
        changed = max(found["changed"])
        assert told(change(mailbox, "work", Op.UPDATE, "key", {"key": found["key"][1], "seen": True})) == []
        wanted = ("subject", "changed", "key")
        after = subjects(mailbox, "work", wanted, cursor=Cursor("changed", "key", changed), page_size=1)
        assert after[-1] == "s1"
        changed = max(records(mailbox, "work")["changed"])
        assert subjects(mailbox, "work", wanted, cursor=Cursor("changed", "key", changed)) == ["s1"]
        moment = found["received"][0]
        for since in (moment, None, moment.replace(year=moment.year + 1)):
            cursor = Cursor("received", "subject", since)
            assert len(subjects(mailbox, "work", ("subject", "received"), cursor=cursor)) in (5, 0)
        with pytest.raises(Misconfigured, match="no field"):
            subjects(mailbox, "work", cursor=Cursor("nothing", "key"))


def test_new_numbers_are_told_and_lead_to_a_full_read(server: Imap) -> None:
    """A folder that was made anew is read as a whole, which is told once; a read that was going on stops."""
    fill(server, "work", 2)
    with opened(server) as mailbox:
        schema = mailbox.schema("work").select(("key", "subject"))
        old = records(mailbox, "work")["key"]
        first = next(iter(mailbox.read(ReadRequest("work", schema, page_size=1))))
        validity = int(str(old[0]).partition("-")[0])
    higher, lower = (f"{validity + step:010d}-0000000002" for step in (1, -1))
    with opened(server) as mailbox:
        pages = list(mailbox.read(ReadRequest("work", schema, Cursor("key", "key", lower), page_size=1)))
        assert [p.records.height for p in pages] == [1, 1]
        assert [[str(r.message) for r in p.rejects] for p in pages] == [
            [f"The mail server has given all mails of 'work' new numbers (UIDVALIDITY {validity} instead of"
             f" {validity - 1}). All of them were read again."], [],
        ]  # fmt: skip
        with pytest.raises(Fatal, match="where to go on"):
            list(mailbox.read(ReadRequest("work", schema, Cursor("key", "key", higher))))
        after = {**first.position, "validity": validity - 1}
        with pytest.raises(Fatal, match="new numbers"):
            list(mailbox.read(ReadRequest("work", schema, after=after)))
        assert mailbox.lookup("work", schema, "key", pl.Series([higher, lower, "?"])).is_empty()


def test_mails_are_marked_moved_and_deleted(server: Imap) -> None:
    """Marks, keywords and folders are written; what was sent is never changed; each refusal has its sentence."""
    fill(server, "work", 4)
    server.fill("done", [])
    with opened(server) as mailbox:
        keys = records(mailbox, "work")["key"].to_list()
        marked = {"key": keys[0], "seen": True, "flagged": False, "keywords": '["urgent","b"]'}
        assert told(change(mailbox, "work", Op.UPDATE, "key", marked)) == []
        assert told(change(mailbox, "work", Op.UPDATE, "key", {**marked, "seen": False, "keywords": '["b"]'})) == []
        found = records(mailbox, "work").row(0, named=True)
        assert (found["seen"], found["flagged"], found["keywords"]) == (False, False, '["b"]')
        assert told(change(mailbox, "work", Op.UPDATE, "key", {"key": keys[1], "folder": "done"})) == []
        assert told(change(mailbox, "work", Op.DELETE, "key", {"key": keys[2]})) == []
        wrong: list[dict[str, Any]] = [
            {"key": keys[0], "subject": "new"}, {"key": keys[0], "keywords": '["a b"]'},
            {"key": keys[0], "keywords": "1"},
            {"key": keys[1], "seen": True}, {"key": "?", "seen": True}, {"key": None, "seen": True},
        ]  # fmt: skip
        sentences = [told(change(mailbox, "work", Op.UPDATE, "key", row)) for row in wrong]
        assert all(len(found) == 1 for found in sentences)
        assert records(mailbox, "work")["subject"].to_list() == ["s0", "s3"]
        assert records(mailbox, "done")["subject"].to_list() == ["s1"]
        by_id = {"message_id": "<3@example.com>", "answered": True}
        assert told(change(mailbox, "work", Op.UPDATE, "message_id", by_id)) == []
        many = pl.Series([f"<{n}@example.com>" for n in range(30)])
        schema = mailbox.schema("work").select(("subject", "message_id", "answered"))
        assert mailbox.lookup("work", schema, "message_id", many)["answered"].to_list() == [False, True]
        assert mailbox.lookup("work", schema, "message_id", many[3:4])["subject"].to_list() == ["s3"]
        with pytest.raises(Fatal, match="refuses"):
            change(mailbox, "work", Op.UPDATE, "key", {"key": keys[0], "folder": "nowhere/\x01"})


def test_new_mails_are_put_into_a_folder(server: Imap) -> None:
    """A mail that is put there has all that was given, and its key comes back; two with one key are told apart."""
    server.fill("work", [])
    server.fill("done", [])
    moment = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    row = {"from": "a@b.c", "from_name": "小明", "to": "d@e.f", "subject": "报价", "date": moment, "received": moment,
           "text": "您好", "seen": True, "keywords": '["x"]', "message_id": "<1@b.c>",
           "attachments": '[{"name":"a","content":"AA=="}]'}  # fmt: skip
    with opened(server, attachments="content") as mailbox:
        result = change(mailbox, "work", Op.CREATE, "key", {**row, "folder": "work"}, {**row, "folder": "done"})
        found = records(mailbox, "work")
        assert (told(result), made(result)) == ([], [found["key"][0], None])
        told_row = found.select(*row).row(0, named=True)
        assert {n: v for n, v in told_row.items() if n != "attachments"} == {
            n: v for n, v in row.items() if n != "attachments"
        }  # fmt: skip
        assert '"content":"AA=="' in told_row["attachments"]
        change(mailbox, "work", Op.CREATE, "key", row)
        assert "several" in told(change(mailbox, "work", Op.DELETE, "message_id", {"message_id": "<1@b.c>"}))[0]
    with opened(server, largest=1) as mailbox:
        assert "larger" in told(change(mailbox, "work", Op.CREATE, "key", {**row, "text": "x" * 2_000_000}))[0]
    with opened(server, objects=[{"name": "work", "headers": ["X-A"]}]) as mailbox:
        assert "key" in told(change(mailbox, "work", Op.UPDATE, "key", {"key": found["key"][0], "X-A": "b"}))[0]


@pytest.mark.parametrize("field", ["changed", "received"])
def test_a_lost_connection_loses_no_mail(server: Imap, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """A read that goes on behind any page gives all the rest, however the mails lie in their folder."""
    server.fill("work", [])
    with server.session() as session:
        for n in range(6):
            text = WHOLE.format(n=n).encode() + b"x" * (2_000_000 if n == 4 else 100)
            session.append("work", "", f'"{(n * 5) % 6 + 1:02d}-Jan-2024 10:00:00 +0000"', text)
    monkeypatch.setattr(mail_read, "_ROOM", 500)
    with opened(server, largest=1) as mailbox:
        keys = records_of(mailbox, "key")
        for n in (3, 0, 5, 1, 4, 2):
            change(mailbox, "work", Op.UPDATE, "key", {"key": keys[n], "seen": True})
        schema = mailbox.schema("work").select((field, "key", "subject", "text"))
        read = ReadRequest("work", schema, Cursor(field, "key"))
        pages = list(mailbox.read(read))
        given = [[*p.records["subject"], *(r.place for r in p.rejects)] for p in pages]
        expected = ["s3", "s0", "s5", "s1", "s2"] if field == "changed" else ["s0", "s5", "s3", "s2", "s1"]
        assert [s for p in pages for s in p.records["subject"]] == expected
        assert sum(map(len, given)) == 6
        assert len(pages) > 2
        for number, page in enumerate(pages):
            rest = list(mailbox.read(replace(read, after=page.position)))
            again = [[*p.records["subject"], *(r.place for r in p.rejects)] for p in rest]
            assert [s for part in again for s in part] == [s for part in given[number + 1 :] for s in part]


def records_of(mailbox: Mailbox, field: str) -> list[Any]:
    schema = mailbox.schema("work").select((field,))
    return [value for page in mailbox.read(ReadRequest("work", schema)) for value in page.records[field]]


def test_mails_that_go_while_they_are_read(server: Imap) -> None:
    """Mails that are deleted between the look at all and the reading are left out; the read goes on behind them."""
    fill(server, "work", 4)
    with opened(server) as mailbox:
        schema = mailbox.schema("work").select(("key", "subject", "received"))
        keys = records_of(mailbox, "key")
        pages = mailbox.read(ReadRequest("work", schema, Cursor("received", "key"), page_size=1))
        assert next(pages).records["subject"].to_list() == ["s0"]
        with opened(server) as other:
            for key in keys[1:3]:
                assert told(change(other, "work", Op.DELETE, "key", {"key": key})) == []
        assert [s for page in pages for s in page.records["subject"]] == ["s3"]


def test_large_mails_are_put_aside(server: Imap, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail that is too large is told with its key while the others arrive; the memory has room for some at a time."""
    monkeypatch.setattr(mail_read, "_ROOM", 150)
    server.fill("work", [WHOLE.format(n=n).encode() + b"x\r\n" * (500_000 if n == 1 else 0) for n in range(4)])
    with opened(server, largest=1) as mailbox:
        schema = mailbox.schema("work").select(("key", "subject", "text"))
        for cursor in (None, Cursor("key", "key")):
            pages = list(mailbox.read(ReadRequest("work", schema, cursor)))
            assert [s for p in pages for s in p.records["subject"]] == ["s0", "s2", "s3"]
            assert [str(r.message)[:13] for p in pages for r in p.rejects] == ["The mail has "]
            assert len(pages) == 3
        headers = schema.select(("key", "subject"))
        assert sum(p.records.height for p in mailbox.read(ReadRequest("work", headers))) == 4
        with pytest.raises(RecordRejected, match="MB"):
            mailbox.lookup("work", schema, "subject", pl.Series(["s1"]))


def test_large_mails_take_little_memory(server: Imap) -> None:
    """A folder of 60 MB is read in a small part of it."""
    server.fill("work", [WHOLE.format(n=1).encode() + b"x" * 76 * n for n in [20_000] * 40])
    count, growth = grown_alone("mail", settings_of(server), "work", ("key", "text"))
    assert count == 40
    assert growth < MOST


def test_broken_mails_are_rejected_alone(server: Imap) -> None:
    """A mail without a time, or a bomb of parts, is told; the others arrive."""
    bomb = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(60))
    server.fill("work", [b"Date: soon\r\n\r\n", bomb.encode(), WHOLE.format(n=1).encode()])
    with opened(server) as mailbox:
        schema = mailbox.schema("work").select(("date", "text"))
        (page,) = mailbox.read(ReadRequest("work", schema))
        assert page.records["text"].to_list() == ["hello 1"]
        assert {r.field for r in page.rejects} == {None, "date"}
        with pytest.raises(ObjectMissing, match="no field"):
            list(mailbox.read(ReadRequest("work", Schema((Field("nothing"),)))))


def test_two_reads_of_one_connection(server: Imap) -> None:
    """A read goes on behind a look into another folder; its key as another field is refused by a cursor."""
    fill(server, "work", 3)
    fill(server, "done", 1)
    with opened(server) as mailbox:
        schema = mailbox.schema("work").select(("subject",))
        pages = mailbox.read(ReadRequest("work", schema, page_size=1))
        first = next(pages).records["subject"].to_list()
        assert subjects(mailbox, "done") == ["s0"]
        assert first + [s for page in pages for s in page.records["subject"]] == ["s0", "s1", "s2"]
    described = {"name": "work", "key": "key", "fields": [{"name": "key", "header": "Subject"}]}
    with opened(server, objects=[described]) as mailbox, pytest.raises(Fatal, match="another one"):
        list(mailbox.read(ReadRequest("work", mailbox.schema("work"), Cursor("key", "key"))))


def test_a_folder_made_anew_while_it_is_read(server: Imap) -> None:
    """A read that finds its folder made anew starts again."""
    fill(server, "work", 2)
    with opened(server) as mailbox:
        schema = mailbox.schema("work")
        scan = mail_read.Scan(mailbox.folders, mailbox._subject("work"), mailbox.folders.open("work"), schema)
        assert list(scan.mails([])) == []
        pages = mailbox.read(ReadRequest("work", schema.select(("subject",)), page_size=1))
        next(pages)
        assert subjects(mailbox, "INBOX") == []
        fill(server, "work", 2)
        with pytest.raises(Unavailable, match="made anew"):
            list(pages)
    described = {"name": "work", "key": "betreff", "fields": [{"name": "betreff", "field": "subject"}]}
    with opened(server, objects=[described]) as mailbox:
        assert mailbox.schema("work").names == ("betreff",)
        mailbox.folders.imap._socket.shutdown(socket.SHUT_WR)
        with pytest.raises(Unavailable, match="failed"):
            mailbox.objects()


FAULTS = {
    "greeting": ("* BYE full", Misconfigured, "does not speak IMAP"),
    "CAPABILITY": ("", Unavailable, "hangs up"),
    "AUTHENTICATE": ("{tag} NO [UNAVAILABLE] later", Unavailable, "takes nobody in"),
    "LIST": ("* BYE shutting down", Unavailable, "shutting down"),
    "STATUS": ("* 1 (((", Misconfigured, "does not speak IMAP"),
    "EXAMINE": ("* OK nothing\r\n{tag} OK done", Fatal, "numbers that stay"),
    "UID_SEARCH": ("{tag} NO not now", Fatal, "refuses"),
    "UID_FETCH": ("* 1 FETCH (UID 1 BODY[] {2000000000}", Fatal, "larger than"),
}


@pytest.mark.parametrize(
    "name", [*FAULTS, "zero", "short", "cut", "late", "close", "strange", "no", "endless", "parts"]
)
def test_each_fault_of_a_server_has_its_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a server sends ends in one sentence, and never in more memory than allowed."""
    monkeypatch.setattr(mail_imap, "_LINE", 10_000)
    monkeypatch.setattr(mail_imap, "_ANSWERS", 3)
    more = {
        "zero": ("LIST", "* LIST \x00 a\r\n{tag} OK", Misconfigured, "does not speak"),
        "short": ("UID_FETCH", "* 1 FETCH (UID 1 BODY[] {100}\r\nabc", Unavailable, "failed"),
        "cut": ("UID_FETCH", "* 1 FETCH (UID 1 BODY[] {100}\r\nabc" + CUT, Unavailable, "hangs up"),
        "late": ("UID_FETCH", "* 2 EXISTS\r\n* 3 FETCH (FLAGS ())", Unavailable, "failed"),
        "close": ("LIST", "* 1 )\r\n{tag} OK", Misconfigured, "does not speak"),
        "strange": ("LIST", '* "\r\n{tag} OK', Misconfigured, "does not speak"),
        "no": ("UID_FETCH", "{tag} NO gone", Fatal, "gone"),
        "parts": ("LIST", "* LIST " + ("x" * 6_000 + "{0}\r\n") * 3, Fatal, "larger than"),
        "endless": ("LIST", "* 1 EXISTS\r\n" * 5, Fatal, "larger than"),
    }  # fmt: skip
    command, said, kind, match = more.get(name) or (name, *FAULTS[name])
    with scripted(**{command: said}) as (port, _):
        mailbox = opened(Imap(port, 0, "secret", "", Path()), timeout=1, host="127.0.0.1")
        with mailbox, pytest.raises(kind, match=match):
            _ = mailbox.objects(), records(mailbox, "INBOX")
    with scripted(LIST="* LIST " + "x" * 20_000) as (port, _):
        mailbox = opened(Imap(port, 0, "secret", "", Path()), timeout=1, host="127.0.0.1")
        with mailbox, pytest.raises(Fatal, match="larger than"):
            mailbox.objects()


def test_the_parts_of_one_answer_are_bounded_together() -> None:
    """An answer of many parts takes no more memory than the largest mail may."""
    said = "* 1 FETCH (UID 1 BODY[] {1500000}\r\n" + "x" * 1_500_000 + " X {1500000}\r\n"
    with scripted(UID_FETCH=said) as (port, _):
        mailbox = opened(Imap(port, 0, "p", "", Path()), timeout=1, host="127.0.0.1", largest=1)
        with mailbox, pytest.raises(Fatal, match="larger than 2 MB"):
            records(mailbox, "INBOX")


def fetched(said: str) -> str:
    parts = said.replace("ALL", 'INTERNALDATE "" RFC822.SIZE 9').split("; ")
    return "".join(f"* 1 FETCH ({part})\r\n" for part in parts if part) + "{tag} OK"


@pytest.mark.parametrize(
    ("said", "there", "found"),
    [
        ('UID 1 FLAGS (); UID 1 ALL BODY[] "X: a"', "1", "a"),
        ('UID 1 FLAGS () ALL BODY[] "X: a"; UID 1 FLAGS () ALL BODY[] "X: b"', "1", "a"),
        ('FLAGS (); UID 1 ALL FLAGS () BODY[] "X: a"', "1", "a"),
        ("UID 1 FLAGS () ALL BODY[] NIL", "1", "BODY is missing"),
        ('UID 1 ALL BODY[] "X: a"', "1", "FLAGS is missing"),
        ("UID 1 FLAGS () ALL BODY[] NIL", "", None),
        ("", "", None),
        ("", "1", Unavailable),
    ],
)
def test_each_mail_arrives_once_and_whole(said: str, there: str, found: str | type[Unavailable] | None) -> None:
    """Answers in parts are put together, repeated ones count once; what is there and not given is never left out."""
    answers = {"UID SEARCH UID 1:*": "* SEARCH 1\r\n{tag} OK", "UID SEARCH UID 1": f"* SEARCH {there}\r\n{{tag}} OK",
               "UID FETCH": fetched(said)}  # fmt: skip
    whole = [{"name": "id", "header": "X"}, {"name": "text"}]
    with scripted(**answers) as (port, _):
        for fields in (whole[:1], whole):
            described = {"name": "INBOX", "key": "id", "fields": fields}
            mailbox = opened(Imap(port, 0, "p", "", Path()), host="127.0.0.1", objects=[described])
            with mailbox:
                if found is Unavailable:
                    with pytest.raises(Unavailable, match="the mail 1 of 'INBOX'"):
                        records(mailbox, "INBOX")
                    continue
                (page,) = mailbox.read(ReadRequest("INBOX", mailbox.schema("INBOX")))
                arrived = [*page.records["id"], *(str(r.message).partition(": ")[2][:-1] for r in page.rejects)]
                assert arrived == ([] if found is None else [found])


def test_a_mail_that_is_not_given_is_not_replaced() -> None:
    """A mail whose text the server does not give keeps its place: nothing is put there instead."""
    answers = {
        "CAPABILITY": "* CAPABILITY IMAP4rev1 UIDPLUS\r\n{tag} OK",
        "UID FETCH": fetched('UID 1 FLAGS () ALL BODY[] "X: 1"'),
        "UID FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])": fetched("UID 1 FLAGS () ALL BODY[] NIL"),
    }
    described = {"name": "INBOX", "key": "id", "fields": [{"name": "id", "header": "X"}, {"name": "b", "header": "Y"}]}
    with scripted(**answers) as (port, asked):
        with opened(Imap(port, 0, "p", "", Path()), host="127.0.0.1", objects=[described]) as mailbox:
            assert "only a part" in told(change(mailbox, "INBOX", Op.UPDATE, "id", {"id": "1", "b": "x"}))[0]
        assert not any("APPEND" in line or "EXPUNGE" in line for line in asked)


def test_a_mail_whose_key_is_not_given_is_not_made_again() -> None:
    """Where the server has a mail that may have the key and does not give its header, nothing is put there."""
    answers = {"CAPABILITY": "* CAPABILITY IMAP4rev1 UIDPLUS\r\n{tag} OK", "UID FETCH": fetched("UID 1 FLAGS () ALL")}
    described = {"name": "INBOX", "key": "id", "fields": [{"name": "id", "header": "X"}, {"name": "b", "header": "Y"}]}
    with scripted(**answers) as (port, asked):
        mailbox = opened(Imap(port, 0, "p", "", Path()), host="127.0.0.1", objects=[described])
        with mailbox, pytest.raises(Unavailable, match="only a part"):
            change(mailbox, "INBOX", Op.CREATE, "id", {"id": "1", "b": "x"})
        assert not any("APPEND" in line for line in asked)


def test_servers_that_can_less() -> None:
    """Without CONDSTORE, MOVE, UIDPLUS and PLAIN the rest works; what would delete other mails is not done."""
    frame = {"key": "0000000007-0000000001"}
    answers = {
        "CAPABILITY": "* CAPABILITY IMAP4rev1\r\n* CAPABILITY X NIL\r\n? odd\r\n{tag} OK", "UID_STORE": "{tag} OK",
        "UID_COPY": "{tag} OK", "APPEND": "{tag} OK",
        "STATUS": "{tag} NO", "LIST": '* LIST (\\Noselect) "/" x\r\n* LIST () "/" {5}\r\nINBOX\r\n{tag} OK',
    }  # fmt: skip
    with scripted(**answers) as (port, asked):
        server = Imap(port, 0, 'pass "wörd"', "", Path(), user="a\\b")
        with opened(server, host="127.0.0.1") as mailbox:
            assert [(o.name, o.records) for o in mailbox.objects()] == [("INBOX", None)]
            assert "changed" not in mailbox.schema("INBOX")
            assert records(mailbox, "INBOX")["received"].to_list() == [None]
            with pytest.raises(Forbidden, match="UIDPLUS"):
                change(mailbox, "INBOX", Op.DELETE, "key", frame)
            with pytest.raises(Forbidden, match="UIDPLUS") as caught:
                change(mailbox, "INBOX", Op.UPDATE, "key", {**frame, "folder": "x"})
            assert str(caught.value.remedy).startswith("Let the rule mark mails")
            assert not any("COPY" in line for line in asked)
            result = change(mailbox, "INBOX", Op.CREATE, "key", {"subject": "s", "from": "a@b.c"})
            assert made(result) == [None]
        assert any(line.startswith("LOGIN") for line in asked)
    done = "{tag} OK done"
    with scripted(CAPABILITY=f"* CAPABILITY UIDPLUS\r\n{done}", UID_COPY=done, UID_STORE=done, UID_EXPUNGE=done) as (
        port, asked,
    ):  # fmt: skip
        with opened(Imap(port, 0, "p", "", Path()), host="127.0.0.1") as mailbox:
            assert told(change(mailbox, "INBOX", Op.UPDATE, "key", {**frame, "folder": "x"})) == []
        commands = [line.split()[1] for line in asked if line.split()[1:] and line.startswith("UID")]
        assert commands[-3:] == ["COPY", "STORE", "EXPUNGE"]
    fields = [{"name": "id", "header": "X"}, {"name": "b", "header": "Y"}]
    headed = {
        "UID FETCH": '* 1 FETCH (UID 1 FLAGS () INTERNALDATE "" RFC822.SIZE 9 BODY[] "X: 1")\r\n{tag} OK',
        "CAPABILITY": "* CAPABILITY IMAP4rev1 MOVE\r\n{tag} OK",
    }
    with scripted(**headed) as (port, asked):
        described = {"name": "INBOX", "key": "id", "fields": fields}
        with opened(Imap(port, 0, "p", "", Path()), host="127.0.0.1", objects=[described]) as mailbox:
            with pytest.raises(Forbidden, match="UIDPLUS") as caught:
                change(mailbox, "INBOX", Op.UPDATE, "id", {"id": "1", "b": "x"})
            assert str(caught.value.remedy).startswith("Let the rule move mails")
        assert not any("APPEND" in line for line in asked)
    gone = {
        "CAPABILITY": "* CAPABILITY IMAP4rev1 UIDPLUS\r\n{tag} OK",
        "UID FETCH": '* 1 FETCH (UID 1 FLAGS () INTERNALDATE "" RFC822.SIZE 9 BODY[] "X: 1")\r\n{tag} OK',
        "UID SEARCH UID 1": "* SEARCH\r\n{tag} OK",
        "UID FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])": (
            "* 9 FETCH (UID 9 FLAGS () X NIL Y NIL Z NIL)\r\n{tag} OK"
        ),
    }
    with scripted(**gone) as (port, _):
        described = {"name": "INBOX", "key": "id", "fields": fields}
        with opened(Imap(port, 0, "p", "", Path()), host="127.0.0.1", objects=[described]) as mailbox:
            assert "no such mail" in told(change(mailbox, "INBOX", Op.UPDATE, "id", {"id": "1", "b": "x"}))[0]
    with scripted(CAPABILITY="* CAPABILITY IMAP4rev1\r\n{tag} OK", literal="NO too long") as (port, _):
        mailbox = opened(Imap(port, 0, "wörd", "", Path()), host="127.0.0.1")
        with mailbox, pytest.raises(AuthFailed, match="refuses the user"):
            mailbox.objects()
    with scripted(CAPABILITY="* CAPABILITY LOGINDISABLED\r\n{tag} OK") as (port, _):
        mailbox = opened(Imap(port, 0, "p", "", Path()), host="127.0.0.1")
        with mailbox, pytest.raises(AuthFailed, match="takes no password"):
            mailbox.objects()
    with scripted() as (port, _):
        mailbox = opened(Imap(port, 0, "p", "", Path()), host="127.0.0.1", encryption="starttls")
        with mailbox, pytest.raises(Misconfigured, match="STARTTLS"):
            mailbox.objects()


def test_a_token_is_fetched_and_renewed(web: WebServer, reply: type[Answer]) -> None:
    """A token that is refused is fetched once more; that one counts."""
    tokens = iter(("first", "second", "third"))
    web.answer = lambda _: reply(body={"access_token": next(tokens), "expires_in": 3600})
    more = {"authentication": "oauth2_client", "client_id": "c", "client_secret": "s", "token_url": f"{web.url}/token"}
    with scripted(AUTHENTICATE="{tag} NO expired") as (port, asked):
        mailbox = opened(Imap(port, 0, "", "", Path()), host="127.0.0.1", **more)
        with mailbox, pytest.raises(AuthFailed, match="refuses the user"):
            mailbox.objects()
        assert asked.count("AUTHENTICATE XOAUTH2") == 2
    assert [received.path for received in web.received] == ["/token", "/token"]
    answers = {"EHLO": "250-x\r\n250 AUTH XOAUTH2", "AUTH": "535 expired"}
    with scripted_smtp(answers) as (port, asked):
        defaults = {setting.name: setting.default for setting in Outgoing.spec.settings}
        own = {"host": "127.0.0.1", "port": port, "encryption": "none", "user": "u", "sender": "a@b.c"}
        outgoing = Outgoing({**defaults, **own, **more, "token_url": f"{web.url}/other"}, HERE)
        web.answer = lambda _: reply(body={"access_token": "t", "expires_in": 3600})
        with outgoing, pytest.raises(AuthFailed, match="refuses the user"):
            outgoing.objects()
        assert len([line for line in asked if line.startswith("AUTH")]) == 2


def test_a_token_says_who_we_are(server: Imap) -> None:
    """XOAUTH2 sends the user and the token; a refused one ends in a sentence, here by Dovecot."""
    with scripted() as (port, asked):
        more = {"authentication": "bearer", "token": "good-token"}
        with opened(Imap(port, 0, "", "", Path()), host="127.0.0.1", **more) as mailbox:
            assert mailbox.objects()
        assert "AUTHENTICATE XOAUTH2" in asked
    with opened(server, authentication="bearer", token="bad-token") as mailbox:
        with pytest.raises(AuthFailed, match="refuses the user") as caught:
            mailbox.objects()
        assert "bad-token" not in str(caught.value)
