"""LDAP's bytes, names, filters and values as laws, and what only other directories than OpenLDAP do."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.builtin import ldap_ber as ber
from connectors.builtin import ldap_filter, ldap_names
from connectors.builtin import ldap_wire as wire
from connectors.builtin.ldap_session import _LARGEST
from connectors.builtin.ldap_subschema import Subschema
from connectors.builtin.ldap_values import UnreadableError, codec
from connectors.errors import AuthFailed, ConnectorError, Fatal, Forbidden, Misconfigured, ObjectMissing, Unavailable
from connectors.spi import Cursor, ReadRequest
from rules.schema import Change, FieldType, Op
from tests.connectors.scripted_directory import ACTIVE, Asked, ScriptedDirectory, entry, reference, result
from tests.connectors.test_ldap import opened

TIME = "1.3.6.1.4.1.1466.115.121.1.24"
Serve = Callable[..., ScriptedDirectory]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start scripted directories, and stop them behind the test."""
    started: list[ScriptedDirectory] = []

    def start(answer: Callable[[Asked], list[bytes] | None], before: bytes = b"") -> ScriptedDirectory:
        started.append(ScriptedDirectory(answer, before))
        return started[-1]

    yield start
    for server in started:
        server.close()


def connected(server: ScriptedDirectory, **more: Any) -> Any:
    return opened({"host": "127.0.0.1", "port": server.port, "encryption": "none", "base": "dc=e", **more})


@given(st.integers(-(2**70), 2**70), st.binary(max_size=300), st.integers(0, 70_000))
def test_ber_gives_back_what_it_was_given(value: int, content: bytes, size: int) -> None:
    """Numbers of any size, bytes of any length."""
    data = ber.integer(value) + ber.octets(content) + ber.octets(b"x" * size)
    first, second, third = ber.children(data)
    assert ber.number(first[1]) == value
    assert second == (ber.OCTETS, content)
    assert third[1] == b"x" * size


@given(st.binary(max_size=60))
@example(b"\x04\x84\x00")
def test_broken_bytes_are_refused_in_one_way(data: bytes) -> None:
    """Whatever bytes there are, reading ends with the elements or with the one error."""
    try:
        parts = ber.children(data)
    except ber.BrokenBerError:
        return
    assert len(b"".join(content for _, content in parts)) < max(len(data), 1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["cn", "OU", "1.2.3"]), st.text(min_size=1, max_size=20)), min_size=1, max_size=4
    )
)
@example([("cn", "both \\ ")])
def test_names_are_put_together_and_taken_apart(parts: list[tuple[str, str]]) -> None:
    """Any value can stand in a name and comes back; a name is equal to itself written otherwise."""
    name = ",".join(f"{attribute}={ldap_names.escaped(value)}" for attribute, value in parts)
    first, rest = ldap_names.split(name)
    assert ldap_names.parts(first) == [parts[0]]
    assert ldap_names.normal(f"{first} , {rest}" if rest else first) == ldap_names.normal(name)
    assert ldap_names.below(name, rest)
    assert not rest or not ldap_names.below(rest, name)


def test_names_in_their_other_forms() -> None:
    """Quoted values, bytes in hexadecimal and several attributes in a part are read."""
    assert ldap_names.parts('cn="a, b"+sn=\\C3\\A9\\\\ ') == [("cn", "a, b"), ("sn", "é\\")]
    assert ldap_names.normal('SN=x+cn="A  b",o=E') == ldap_names.normal("cn=a b+sn=X, O=e")


def marked(*texts: tuple[int, str]) -> list[bytes]:
    return [ber.octets(text, tag) for tag, text in texts]


def part(tag: int, *texts: str) -> bytes:
    return ber.tlv(tag, *map(ber.octets, texts))


def parts_of(name: str, *texts: tuple[int, str]) -> bytes:
    return ber.tlv(0xA4, ber.octets(name), ber.sequence(*marked(*texts)))


@given(st.text(max_size=20))
def test_any_value_can_be_escaped_in_a_filter(value: str) -> None:
    """A value that is escaped as people do it is the value that is looked for."""
    text = "".join(f"\\{byte:02x}" for byte in value.encode())
    assert ldap_filter.parse(f"(cn={text})") == ldap_filter.equal("cn", value.encode())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cn=a", ldap_filter.equal("cn", b"a")),
        (" (& (cn=*) (| (a>=1)(a<=2) ) (!(x~=y)) ) ", ldap_filter.every((
            ldap_filter.present("cn"), ldap_filter.some((ldap_filter.at_least("a", b"1"), part(0xA6, "a", "2"))),
            ldap_filter.negated(part(0xA8, "x", "y"))))),
        ("(cn=a*b*c)", parts_of("cn", (0x80, "a"), (0x81, "b"), (0x82, "c"))),
        ("(cn=*b*)", parts_of("cn", (0x81, "b"))),
        (
            "(cn:dn:2.4.6:=x)",
            ber.tlv(0xA9, *marked((0x81, "2.4.6"), (0x82, "cn"), (0x83, "x")), ber.tlv(0x84, b"\xff")),
        ),
        ("(:2.4.6:=x)", ber.tlv(0xA9, ber.octets("2.4.6", 0x81), ber.octets("x", 0x83))),
        ("(cn:=x)", ber.tlv(0xA9, ber.octets("cn", 0x82), ber.octets("x", 0x83))),
    ],
)  # fmt: skip
def test_filters_mean_what_the_standard_says(text: str, parts: bytes) -> None:
    """Each kind of test of RFC 4515 becomes the bytes of RFC 4511."""
    assert ldap_filter.parse(text) == parts


@pytest.mark.parametrize(
    "text", ["", "(", "(cn=a", "(cn=a))", "(&(cn=a)", "(!(a=1)(b=2))", "(cn=\\2)", "(:=x)", "(a b=c)", "(&" * 60]
)
def test_broken_filters_are_refused(text: str) -> None:
    """What cannot be read is said with its place."""
    with pytest.raises(Misconfigured, match="cannot be read at"):
        ldap_filter.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20240229235959Z", "2024-02-29T23:59:59Z"), ("20240229235959.5+0530", "2024-02-29T23:59:59.500000+05:30"),
        ("2024022923,25-08", "2024-02-29T23:15:00-08:00"), ("202402292359Z", "2024-02-29T23:59:00Z"),
("20240229235959.1234567Z", None), ("20230229235959Z", None), ("today", None),
    ],
)  # fmt: skip
def test_moments_in_all_their_forms(text: str, expected: str | None) -> None:
    """GeneralizedTime keeps its zone; what is no moment, or too fine, is refused."""
    if expected is None:
        with pytest.raises(UnreadableError):
            codec("x", TIME).read(text.encode())
    else:
        assert codec("x", TIME).read(text.encode()) == expected


def test_moments_with_short_years() -> None:
    """UTCTime, as certificates have it, is of this century or the last one."""
    both = codec("x", TIME[:-2] + "53")
    assert [both.read(text) for text in (b"9901010000Z", b"240229235959Z")] == [
        "1999-01-01T00:00:00Z",
        "2024-02-29T23:59:59Z",
    ]
    assert both.write("2024-02-29T23:59:59Z") == b"240229235959Z"


@given(
    st.uuids(),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8),
    st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(9000, 1, 1)),
)
def test_identifiers_in_bytes_come_back(guid: uuid.UUID, parts: list[int], moment: dt.datetime) -> None:
    """GUIDs, SIDs and Windows' times are written and read again as they were."""
    sid = "-".join(map(str, ("S-1-5", *parts)))
    text = moment.isoformat() + "Z"
    for name, value in (("objectGUID", str(guid)), ("objectSid", sid), ("accountExpires", text)):
        both = codec(name, "")
        assert both.read(both.write(value)) == value
    when = codec("x", TIME)
    assert dt.datetime.fromisoformat(str(when.read(when.write(text)))) == moment.replace(tzinfo=dt.UTC)


def test_bytes_that_are_no_identifiers_are_refused() -> None:
    """Broken identifiers are not read, and what is none is not found."""
    for name, raw in (("objectGUID", b"x"), ("objectSid", b"\x01\x05"), ("pwdLastSet", b"9" * 22), ("cn", b"\xff")):
        with pytest.raises(UnreadableError):
            codec(name, "").read(raw)
    assert codec("pwdLastSet", "").read(b"0") is None
    assert codec("accountExpires", "").read(str(2**63 - 1).encode()) is None
    assert codec("objectSid", "").write("S-1-x") == b"S-1-x"
    assert codec("objectGUID", "").write("x") == b"x"


def test_definitions_are_read_as_they_are_written() -> None:
    """Names in lists and alone, descriptions with brackets, empty ones, what is taken from above, even in a circle."""
    schema = Subschema(
        [
            "( 1.1 NAME ( 'a' 'alpha' ) DESC 'x ( $ SYNTAX' EQUALITY e ORDERING o SYNTAX 9.9{64} SINGLE-VALUE X 'm' )",
            "( 1.2 NAME 'b' DESC '' SUP alpha NO-USER-MODIFICATION USAGE directoryOperation )",
            "( 1.3 NAME 'c' SUP d )", "( 1.4 NAME 'd' SUP c )", "( 1.5 SYNTAX 'none' )",
        ],
        ["( 2.1 NAME 'top' MUST objectClass )", "( 2.2 NAME 'k' SUP top STRUCTURAL MUST ( a $ B ) MAY c )"],
        ["( 2.2 NAME 'k' AUX ( extra $ gone ) MAY ( d ) )", "( 2.3 NAME 'z' )"],
    )  # fmt: skip
    b = schema.attribute("B")
    assert b is not None
    assert (b.syntax, b.single, b.fixed, b.equality, b.ordering) == ("9.9", False, True, True, True)
    assert schema.attribute("alpha").single  # type: ignore[union-attr]
    assert schema.attribute("c").syntax.endswith("121.1.15")  # type: ignore[union-attr]
    assert schema.attribute("1.5").name == "1.5"  # type: ignore[union-attr]
    assert schema.attributes_of(["K", "nothing"]) == ["a", "B", "objectClass", "c", "d"]


ATTRIBUTES = [
    "( 1.1 NAME 'objectGUID' SYNTAX '1.3.6.1.4.1.1466.115.121.1.40' SINGLE-VALUE NO-USER-MODIFICATION )",
    "( 1.2 NAME 'member' SYNTAX '1.3.6.1.4.1.1466.115.121.1.12' )",
    "( 1.3 NAME 'userAccountControl' SYNTAX '1.3.6.1.4.1.1466.115.121.1.27' SINGLE-VALUE )",
    "( 1.4 NAME 'cn' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )",
    "( 1.5 NAME 'uSNChanged' SYNTAX '1.2.840.113556.1.4.906' SINGLE-VALUE NO-USER-MODIFICATION )",
]
CLASSES = [
    "( 2.1 NAME 'user' MUST cn MAY ( userAccountControl $ unicodePwd ) )",
    "( 2.2 NAME 'group' MUST cn MAY member )",
]
GUID = uuid.UUID("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9")


class Domain:
    """Active Directory's ways: long lists in parts, account control, pages."""

    def __init__(self) -> None:
        self.modified: list[Asked] = []

    def __call__(self, asked: Asked) -> list[bytes]:
        if asked.tag == wire.BIND:
            return [result(0x61)]
        if asked.tag == wire.UNBIND:
            return []
        if asked.tag != wire.SEARCH:
            self.modified.append(asked)
            return [result(asked.tag + 1)]
        if not asked.base:
            return [entry("", ACTIVE), result(wire.DONE)]
        if asked.base == "CN=Aggregate":
            return [entry("CN=Aggregate", {"attributeTypes": ATTRIBUTES, "objectClasses": CLASSES}), result(wire.DONE)]
        return [*self.found(asked.attributes), result(wire.DONE)]

    def found(self, attributes: list[str]) -> list[bytes]:
        values = {"objectGUID": [GUID.bytes_le], "cn": ["a"], "userAccountControl": ["514"], "uSNChanged": ["7"]}
        part = next((name for name in attributes if name.startswith("member")), "")
        wanted = {n: v for n, v in values.items() if n in attributes}
        if part == "member":
            wanted |= {"member;range=0-1": ["cn=0", "cn=1"]}
        elif part == "member;range=2-*":
            wanted |= {"member;range=2-3": ["cn=2", "cn=3"]}
        elif part == "member;range=4-*":
            wanted |= {"member;range=4-*": ["cn=4"]}
        return [entry("cn=a,dc=e", wanted)]


def test_active_directory(serve: Serve) -> None:
    """Long lists come whole, an account is switched by its bit, keys are GUIDs, other domains are not looked into."""
    domain = Domain()
    server = serve(domain)
    with connected(server, user="a@e.com", password="p") as ldap:
        assert "Active Directory" in [str(step.detail) for step in ldap.check()][3]
        groups, users = ldap.schema("groups"), ldap.schema("users")
        assert users.names == ("objectGUID", "dn", "cn", "userAccountControl", "accountEnabled", "uSNChanged")
        (page,) = ldap.read(ReadRequest("groups", groups))
        assert page.records["member"][0] == '["cn=0","cn=1","cn=2","cn=3","cn=4"]'
        scan = next(
            asked for asked in server.asked if "member" in (asked.attributes if asked.tag == wire.SEARCH else ())
        )
        assert scan.controls == [wire.ONE_DOMAIN, wire.PAGED]
        cursor = Cursor("uSNChanged", "objectGUID", 7)
        (page,) = ldap.read(ReadRequest("users", users, cursor))
        assert page.records.select("objectGUID", "accountEnabled", "uSNChanged").rows() == [(str(GUID), False, 7)]
        assert ldap.lookup("users", users, "objectGUID", pl.Series([str(GUID)])).height == 1
        frame = pl.DataFrame({"objectGUID": [str(GUID)], "accountEnabled": [True]})
        assert not ldap.write("users", users, [Change(Op.UPDATE, "objectGUID", frame)]).failures
        new = pl.DataFrame({"cn": ["n", "m"], "accountEnabled": [False, None]})
        assert ldap.write("users", users, [Change(Op.CREATE, "objectGUID", new)]).keys[0].to_list() == [str(GUID)] * 2
    assert b"512" in domain.modified[0].content
    assert b"514" in domain.modified[1].content
    assert b"userAccountControl" not in domain.modified[2].content


def test_a_list_that_breaks_off_is_not_asked_for_again_and_again(serve: Serve) -> None:
    """A directory that does not go on with a long list is not asked without end."""
    domain = Domain()
    domain.found = lambda attributes: [entry("cn=a", {"member;range=0-1": ["cn=0"]} if "member" in attributes else {})]  # type: ignore[method-assign]
    with connected(serve(domain)) as ldap:
        (page,) = ldap.read(ReadRequest("groups", ldap.schema("groups").select(("member",))))
        assert page.records["member"][0] == '["cn=0"]'


def test_bytes_that_are_no_text_are_put_aside(serve: Serve) -> None:
    """An entry whose value cannot be read is a reject with its name."""
    domain = Domain()
    domain.found = lambda _: [entry("cn=a", {"cn": [b"\xff"]}), entry("cn=b", {"cn": ["b"]})]  # type: ignore[method-assign]
    with connected(serve(domain)) as ldap:
        (page,) = ldap.read(ReadRequest("groups", ldap.schema("groups").select(("cn",))))
        assert page.records["cn"].to_list() == ["b"]
        assert [(reject.place, reject.field) for reject in page.rejects] == [("cn=a", "cn")]


def scripted(code: int, text: str = "", *, tag: int = wire.SEARCH) -> Callable[[Asked], list[bytes]]:
    """Return answers of which those of one kind have a code."""

    def answer(asked: Asked) -> list[bytes]:
        done = {wire.BIND: 0x61, wire.SEARCH: wire.DONE}.get(asked.tag, asked.tag + 1)
        return [result(done, code, text) if asked.tag == tag and (tag != wire.SEARCH or asked.base) else result(done)]

    return answer


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (3, Fatal, "stopped before the end"), (10, Misconfigured, "another server"), (12, Misconfigured, "in pages"),
        (13, Misconfigured, "only encrypted"), (50, Forbidden, "may not read"), (51, Unavailable, "cannot answer now"),
        (32, ObjectMissing, "no entry"), (80, Fatal, "error 80"),
    ],
)  # fmt: skip
def test_results_become_errors_by_what_to_do(serve: Serve, code: int, kind: type[ConnectorError], words: str) -> None:
    """Each result of a search has its kind of error and its sentence."""
    with connected(serve(scripted(code))) as ldap, pytest.raises(kind, match=words):
        ldap.objects()


@pytest.mark.parametrize(
    ("code", "text", "kind", "words"),
    [
        (49, "80090308: LdapErr: DSID, comment: AcceptSecurityContext error, data 775, v3839", AuthFailed, "is locked"),
        (49, "AcceptSecurityContext error, data 999", AuthFailed, "is wrong"),
        (8, "signing", Misconfigured, "only encrypted"),
        (52, "", Unavailable, "UNAVAILABLE 52"),
    ],
)  # fmt: skip
def test_a_refused_sign_in_says_why(serve: Serve, code: int, text: str, kind: type[ConnectorError], words: str) -> None:
    """Active Directory's numbers become words."""
    with (
        connected(serve(scripted(code, text, tag=wire.BIND)), user="u", password="p") as ldap,
        pytest.raises(kind, match=words),
    ):
        ldap.objects()


def test_encryption_that_is_refused(serve: Serve) -> None:
    """A directory without StartTLS is not talked to, and neither is one that speaks before the encryption."""
    for server, words in (
        (serve(scripted(2, "no TLS.", tag=wire.EXTENDED)), "does not encrypt port"),
        (serve(scripted(52, tag=wire.EXTENDED)), "does not encrypt port"),
        (serve(lambda _: [result(0x78), result(0x78)]), "does not speak LDAP"),
    ):
        with connected(server, encryption="starttls") as ldap, pytest.raises(Misconfigured, match=words):
            ldap.objects()


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9,
        b"\x30\x80",
        bytes((0x30, 0x84)) + (_LARGEST + 1).to_bytes(4, "big"),
        b"\x30\x03\x02\x01\x01",
    ],
)
def test_what_is_no_ldap_is_refused(serve: Serve, before: bytes) -> None:
    """A server of another kind, an endless message, a far too large one: one sentence."""
    with connected(serve(scripted(0), before)) as ldap, pytest.raises(Misconfigured, match="does not speak LDAP"):
        ldap.objects()


def test_connections_that_end(serve: Serve) -> None:
    """A server that hangs up or says good-bye is not available; what answers another request is passed over."""
    with connected(serve(lambda _: None)) as ldap, pytest.raises(Unavailable, match="hangs up"):
        ldap.objects()
    notice = ber.sequence(ber.integer(0), result(wire.NOTICE, 52, "bye"))
    with connected(serve(scripted(0), notice)) as ldap, pytest.raises(Unavailable, match="bye"):
        ldap.objects()
    other = ber.sequence(ber.integer(99), result(wire.DONE))
    with connected(serve(scripted(0), other)) as ldap:
        assert ldap.objects()
    silent = serve(lambda asked: [result(0x61)] if asked.tag == wire.BIND else [])
    with connected(silent) as ldap:
        ldap.directory.session._socket.settimeout(0.05)
        with pytest.raises(Unavailable, match="timed out"):
            ldap.objects()
        session = ldap.directory.opened()
        session._socket.close()
        with pytest.raises(Unavailable, match="failed"):
            session.call(wire.delete("x"))
    broken = lambda asked: [result(0x61)] if asked.tag == wire.BIND else [ber.tlv(wire.ENTRY, b"\x04")]  # noqa: E731
    with connected(serve(broken)) as ldap, pytest.raises(Misconfigured, match="does not speak LDAP"):
        ldap.objects()


def test_parts_on_other_servers(serve: Serve) -> None:
    """A reference to another server is an error, unless a person says that such parts may be left out."""
    plain = scripted(0)
    server = serve(
        lambda asked: (
            [reference("ldap://x"), *plain(asked)] if asked.tag == wire.SEARCH and asked.base else plain(asked)
        )
    )
    with connected(server) as ldap, pytest.raises(Misconfigured, match="lies on another server"):
        ldap.objects()
    fields = [{"name": "cn"}, {"name": "dn"}]
    objects = [{"name": "x", "fields": fields, "key": "dn"}]
    with connected(server, skip_references=True, objects=objects) as ldap:
        assert ldap.schema("x")["cn"].type is FieldType.TEXT
        (page,) = ldap.read(ReadRequest("x", ldap.schema("x")))
        assert page.records.is_empty()
    with (
        connected(server, skip_references=True) as ldap,
        pytest.raises(Misconfigured, match="does not tell which attributes"),
    ):
        ldap.schema("users")


def test_a_write_that_the_directory_cannot_do_now(serve: Serve) -> None:
    """A busy directory stops the write as a whole; an unknown refusal is the record's own."""
    objects = [{"name": "x", "class": "c", "fields": [{"name": "cn"}, {"name": "dn"}], "key": "dn"}]
    new = pl.DataFrame({"dn": ["cn=a,dc=e"], "cn": ["a"]})
    with connected(serve(scripted(51, tag=wire.ADD)), objects=objects) as ldap, pytest.raises(Unavailable):
        ldap.write("x", ldap.schema("x"), [Change(Op.CREATE, "dn", new)])
    for code, words in ((80, "error 80"), (68, "already an entry")):
        with connected(serve(scripted(code, tag=wire.ADD)), objects=objects) as ldap:
            (failure,) = ldap.write("x", ldap.schema("x"), [Change(Op.CREATE, "dn", new)]).failures
            assert words in str(failure.message)
