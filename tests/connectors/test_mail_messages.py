"""Mails as records, and mails that we write: encodings of the world, broken ones, and bombs."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.builtin.mail_compose import Draft, File, files_of, people_of, people_value, with_headers
from connectors.builtin.mail_folders import folder_name, folder_part, number_set
from connectors.builtin.mail_imap import Literal
from connectors.builtin.mail_message import Mail
from connectors.builtin.mail_words import address_text, addresses, decoded, header_text, header_value
from connectors.errors import RecordRejected

ANY = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"=?GB18030?B?1tDOxDAxMjM=?=", "中文0123"),
        (b"=?gb2312?B?1tDOxA==?=\r\n =?gb2312?Q?=D6=D0?= and more", "中文中 and more"),
        (b"=?utf-8?q?caf=C3=A9_au_lait?=", "café au lait"),
        (b"=?iso-8859-1*fr?Q?=80?=", "€"),
        (b"=?utf-8?B?w6k?=", "é"),
        ("Müller".encode(), "Müller"),
        ("中文标题".encode("gb18030"), "中文标题"),
        (b"=?x-unknown?B?w6k=?=", "é"),
        (b"=?utf-8?B?!?=", ""),
        (b"=?utf-8?B?A?=", "=?utf-8?B?A?="),
        (b"plain\r\n\tfolded", "plain\tfolded"),
    ],
)
def test_headers_of_all_languages(raw: bytes, text: str) -> None:
    """Encoded words are read by the charset that is meant, raw bytes by the usual ones."""
    assert header_text(raw) == text


def test_bytes_that_no_charset_fits() -> None:
    """What cannot be read is marked, and a charset that nobody knows does no harm."""
    assert decoded(b"\xff\xff", "utf-8") == "\ufffd\ufffd"
    assert decoded(b"\x80\xff", "no-such-charset") == "€ÿ"
    assert decoded(b"a\x00", "\x00") == "a\x00"


@given(ANY)
def test_a_header_gives_back_what_was_put(text: str) -> None:
    """Any text survives a header, in lines that are short enough."""
    value = header_value(text)
    assert header_text(value.encode()) == text
    assert all(len(line) < 998 for line in value.split("\r\n"))
    assert "\n" not in value.replace("\r\n ", "")


@given(ANY)
def test_folders_of_all_languages(name: str) -> None:
    """The name of a folder survives the UTF-7 of IMAP."""
    part = folder_part(name)
    raw = part.data if isinstance(part, Literal) else part[1:-1].replace(b'\\"', b'"').replace(b"\\\\", b"\\")
    assert folder_name(raw) == name
    assert folder_name(b"&!!!-") == "&!!!-"


@given(st.lists(st.tuples(ANY, st.just("a@example.com")), max_size=4))
def test_people_survive_a_header(people: list[tuple[str, str]]) -> None:
    """Names with commas, quotes and all characters stay with their addresses."""
    people = [(" ".join(name.split()), address) for name, address in people if name.isprintable()]
    written = people_value(people).encode()
    assert addresses([written.decode()]) == [(name, address) for name, address in people]
    assert addresses([address_text(people)]) == people or any("\\" in n or "=?" in n for n, _ in people)


def mail(*lines: str, body: bytes = b"") -> Mail:
    return Mail("\r\n".join([*lines, "", ""]).encode() + body)


def test_times_are_moments() -> None:
    """A time is told in UTC; one without a zone, or none at all, stays as it is and is refused later."""
    assert mail("Date: Mon, 1 Jan 2024 10:00:00 +0800").sent == "2024-01-01T02:00:00Z"
    assert mail("Date: Mon, 1 Jan 2024 10:00:00 -0000 ").sent == "2024-01-01T10:00:00Z"
    assert mail("Date: Mon, 1 Jan 2024 10:00:00").sent == "Mon, 1 Jan 2024 10:00:00"
    assert mail("Date: tomorrow").sent == "tomorrow"
    assert mail("X: y").sent is None


def test_parts_of_a_mail() -> None:
    """Texts are joined, attachments have names in all ways of writing, an attached mail is one of them."""
    body = b"\r\n".join([
        b"--b", b"Content-Type: text/plain; charset=gb2312", b"", "您好".encode("gb18030"),
        b"--b", b"Content-Type: text/plain", b"", b"second",
        b"--b", b"Content-Type: text/html; charset=wrong", b"", "<p>é</p>".encode(),
        b"--b", b"Content-Type: application/pdf; name*=gb18030''%D6%D0.pdf",
        b"Content-Transfer-Encoding: base64", b"", b"JVBERg==",
        b"--b", b"Content-Type: text/plain; name=\"=?utf-8?B?5Lit?=.txt\"", b"", b"x",
        b"--b", b"Content-Disposition: attachment; filename*0*=utf-8''%E4; filename*1*=%B8%AD", b"", b"y",
        b"--b", b"Content-Type: message/rfc822", b"", b"Subject: inner", b"", b"text",
        b"--b", b"Content-Type: multipart/mixed", b"", b"no parts",
        b"--b--", b"",
    ])  # fmt: skip
    found = mail("Content-Type: multipart/mixed; boundary=b", "From: A <a@b.c>, d@e.f", body=body)
    assert found.text() == "您好\nsecond"
    assert found.text("text/html") == "<p>é</p>"
    assert [(a.name, a.type, len(a.content)) for a in found.attachments] == [
        ("中.pdf", "application/pdf", 4), ("中.txt", "text/plain", 1), ("中", "text/plain", 1),
        ("message.eml", "message/rfc822", 20),
    ]  # fmt: skip
    assert found.attachments[0].described(content=True)["content"] == "JVBERg=="
    assert found.people_text("From") == "A <a@b.c>, d@e.f"
    assert found.people_text("Cc") is None


def test_a_bomb_of_parts_is_told() -> None:
    """Parts inside of parts are read to a depth that no honest mail has."""
    for depth in (60, 5000):
        lines = [f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(depth)]
        with pytest.raises(RecordRejected, match="parts inside"):
            Mail("".join(lines).encode())


def test_what_we_write_is_read_again() -> None:
    """A mail of ours has the texts and files that it should; of others only the headers that change are new."""
    name = "很长的文件名.pdf"
    draft = Draft({"Subject": "报价"}, {"To": [("小明", "a@b.c")]}, None, "<p>é</p>", [File(name, "text/plain", b"1")])
    found = Mail(draft.raw())
    assert (found.header("Subject"), found.text(), found.text("text/html")) == ("报价", None, "<p>é</p>")
    assert [(a.name, a.content) for a in found.attachments] == [(name, b"1")]
    assert Mail(Draft({"X": "y"}, {}).raw()).text() == ""
    raw = b"A: 1\r\nX-B: old\r\n folded\r\nC: 3\r\n\r\nbody \xff\r\n"
    assert with_headers(raw, {"x-b": None}) == b"A: 1\r\nC: 3\r\n\r\nbody \xff\r\n"
    assert with_headers(raw, {"X-B": "new"}) == b"X-B: new\r\nA: 1\r\nC: 3\r\n\r\nbody \xff\r\n"
    assert with_headers(b"A: 1", {"B": "2"}) == b"B: 2\r\nA: 1\r\n\r\n"


def test_files_and_people_of_a_field() -> None:
    """Lists in JSON are taken as they are; what is none of them is refused."""
    given = json.dumps([{"content": base64.b64encode(b"x").decode(), "type": "message/rfc822"}])
    assert files_of(given, "f") == [File("", "application/octet-stream", b"x")]
    assert files_of(None, "f") == []
    for wrong in ("{}", '[{"content": "!"}]', '[{"content": 1}]', '[{"type": "a b", "content": ""}]'):
        with pytest.raises(RecordRejected, match="attachments"):
            files_of(wrong, "f")
    assert people_of('["A <a@b.c>", "d@e.f"]', "to") == [("A", "a@b.c"), ("", "d@e.f")]
    assert people_of("a@b.c; d@e.f", "to") == [("", "a@b.c"), ("", "d@e.f")]
    for bad in ("[1", "a@b@c", "@", '"a\\"'):
        with pytest.raises(RecordRejected, match="no mail address"):
            people_of(bad, "to")


def test_numbers_are_ranges() -> None:
    """Numbers that follow each other are written as one range."""
    assert number_set([5, 1, 2, 3, 9]) == b"1:3,5,9"
