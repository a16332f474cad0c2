"""What directories tell of their changes: OpenLDAP by RFC 4533, a rebuilt Active Directory by DirSync."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from connectors.builtin import delta_links
from connectors.builtin import ldap_wire as wire
from connectors.builtin.ldap_ber import children, integer, number, octets, sequence
from connectors.errors import ConnectorError, Forbidden, Misconfigured
from connectors.spi import Capture, Page, ReadRequest
from tests import directory_servers
from tests.connectors.scripted_directory import (
    ACTIVE,
    Asked,
    ScriptedDirectory,
    Values,
    controlled,
    entry,
    meets,
    result,
)
from tests.connectors.test_ldap import opened, plain
from tests.connectors.test_ldap_entries import person
from tests.directory_servers import KEPT, SUFFIX, Directory

_count = itertools.count(1)
STAFF = {"name": "staff", "class": "inetOrgPerson", "filter": "(departmentNumber=7)", "rdn": "uid"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Directory]:
    with directory_servers.slapd() as found:
        yield found


@pytest.fixture
def base(directory: Directory) -> str:
    name = f"c{next(_count)}"
    directory.add([(f"ou={name},{SUFFIX}", {"objectClass": ["organizationalUnit"], "ou": [name]})])
    return f"ou={name},{SUFFIX}"


@dataclass
class Follower:
    """Reads an object by what its directory tells, and goes on from where the last read ended."""

    ldap: Any
    name: str
    key: str
    fields: tuple[str, ...]
    size: int = 100
    since: dict[str, Any] | None = None
    pages: list[Page] = field(default_factory=list)

    @property
    def capture(self) -> Capture:
        return Capture("test", self.key, self.since)

    def read(self) -> tuple[list[tuple[Any, ...]], list[str]]:
        """Return the records that are told, and the keys of those that are gone."""
        schema = self.ldap.schema(self.name).select((self.key, *self.fields))
        request = ReadRequest(self.name, schema, page_size=self.size, capture=self.capture)
        self.pages = list(self.ldap.read(request))
        for number_, page in enumerate(self.pages[:-1], 1):
            rest = list(self.ldap.read(replace(request, after=json.loads(json.dumps(page.position)))))
            assert [told(p) for p in rest] == [told(p) for p in self.pages[number_:]]
        self.since = dict(self.pages[-1].captured or {})
        records = [row for page in self.pages for row in page.records.drop(self.key).rows()]
        return records, [key for page in self.pages for key in told(page)[1]]


def told(page: Page) -> tuple[list[Any], list[Any]]:
    """Return what a page says."""
    return page.records.rows(), [] if page.deleted is None else page.deleted[:, 0].to_list()


def move(directory: Directory, name: str, attribute: str, value: str) -> None:
    """Give an entry another value."""
    directory.change(f"dn: {name}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n")


@pytest.mark.connector_evidence("ldap", "deleted_records")
def test_a_directory_tells_what_was_changed_and_deleted(directory: Directory, base: str) -> None:
    """New, changed, renamed and deleted entries, and those that do not meet the filter any more; each once."""
    directory.add([person(uid, base, departmentNumber=["7"]) for uid in "abcdef"])
    with opened(plain(directory, base, objects=[STAFF])) as ldap:
        assert ldap.change_log("staff", Capture("x", "entryUUID")).missing() == []
        follower = Follower(ldap, "staff", "entryUUID", ("uid", "sn"), size=2)
        records, gone = follower.read()
        assert sorted(uid for uid, _ in records) == list("abcdef")
        keys = {uid: key for page in follower.pages for key, uid, _ in page.records.rows()}
        assert follower.read() == ([], [])
        move(directory, f"uid=a,{base}", "sn", "New")
        move(directory, f"uid=b,{base}", "departmentNumber", "8")
        directory.remove(f"uid=c,{base}")
        directory.change(f"dn: uid=d,{base}\nchangetype: modrdn\nnewrdn: uid=dd\ndeleteoldrdn: 1\n")
        directory.add([person("g", base, departmentNumber=["7"]), person("h", base, departmentNumber=["1"])])
        records, gone = follower.read()
        assert sorted(records) == [("a", "New"), ("dd", "S"), ("g", "S")]
        assert {keys["b"], keys["c"]} <= set(gone)
        assert not set(gone) & {keys[uid] for uid in "adef"}
        assert follower.read() == ([], [])


def test_a_log_that_does_not_reach_back_is_told(directory: Directory, base: str) -> None:
    """More changes than the directory keeps: what was deleted among them is not known, and a run reads everything."""
    with opened(plain(directory, base, objects=[STAFF])) as ldap:
        follower = Follower(ldap, "staff", "entryUUID", ("uid",))
        follower.read()
        log, since = ldap.change_log("staff", follower.capture), dict(follower.since or {})
        assert log.state(since).lost is None
        assert not log.pending(since)
        assert log.keep() is log.drop() is None
        directory.add([person(f"p{i}", base, departmentNumber=["7"]) for i in range(KEPT)])
        assert log.pending(since)
        for i in range(KEPT):
            directory.remove(f"uid=p{i},{base}")
        assert "does not know any more what was deleted" in str(log.state(since).lost)
        assert log.pending(since)
        follower.since = None
        follower.read()
        assert follower.read() == ([], [])


def test_a_read_in_part_goes_on_where_it_was(directory: Directory, base: str) -> None:
    """What is left of the answer is read; what was changed since its first page is told to the next read."""
    with opened(plain(directory, base, objects=[STAFF])) as ldap:
        follower = Follower(ldap, "staff", "entryUUID", ("uid",), size=2)
        follower.read()
        directory.add([person(uid, base, departmentNumber=["7"]) for uid in "xyz"])
        schema = ldap.schema("staff").select(("entryUUID", "uid"))
        request = ReadRequest("staff", schema, page_size=2, capture=follower.capture)
        first = next(iter(ldap.read(request)))
        one = first.records["uid"][0]
        move(directory, f"uid={one},{base}", "sn", "New")
        directory.add([person("w", base, departmentNumber=["7"])])
        rest = list(ldap.read(replace(request, after=json.loads(json.dumps(first.position)))))
        assert {uid for page in (first, *rest) for uid in page.records["uid"]} >= set("xyz")
        follower.since = dict(rest[-1].captured or {})
        records, _ = follower.read()
        assert {(uid,) for uid in (one, "w")} <= set(records)


def test_listening_to_a_directory(directory: Directory, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects that were changed are named soon."""
    monkeypatch.setattr(delta_links, "LOOK", 0.01)
    with opened(plain(directory, base, objects=[STAFF, "units"])) as ldap:
        heard = ldap.changed(["staff", "units"], 0.02)
        assert next(heard) == frozenset()
        directory.add([person("l", base, departmentNumber=["7"])])
        assert next(heard) == {"staff"}
        assert next(heard) == frozenset()


def test_what_keeps_a_directory_from_telling(directory: Directory, base: str) -> None:
    """Another key than the directory's own, or a directory that does not tell: said before a rule is switched on."""
    keyed = {**STAFF, "key": "uid"}
    with opened(plain(directory, base, objects=[keyed])) as ldap:
        (said,) = ldap.change_log("staff", Capture("x", "uid")).missing()
        assert "Use 'entryUUID' as the key" in str(said)
    with opened(plain(directory, base, objects=[STAFF])) as ldap:
        (said,) = ldap.change_log("staff", Capture("x", "dn")).missing()
        assert "by 'entryUUID'" in str(said)
        ldap.directory.root["supportedcontrol"].remove(wire.SYNC)
        log = ldap.change_log("staff", Capture("x", "entryUUID"))
        assert "syncprov" in str(log.missing()[0])
        with pytest.raises(Misconfigured, match="syncprov"):
            log.keep()


Serve = Callable[..., ScriptedDirectory]
PEOPLE = {"name": "people", "class": "user", "base": "OU=in,DC=e", "filter": "(company=x)", "attributes_of": []}
RIGHT = 50


@dataclass
class Domain:
    """Active Directory as [MS-ADTS] 3.1.1.3.4.1.3 describes it: DirSync for a whole naming context, two at a time."""

    changes: list[tuple[uuid.UUID, str, dict[str, list[bytes | str]]]] = field(default_factory=list)
    refusal: int = 0
    broken: bool = False

    def put(self, guid: uuid.UUID, name: str, **values: str) -> None:
        """Note a change; without values the entry is deleted."""
        self.changes = [change for change in self.changes if change[0] != guid] + [(guid, name, self._of(guid, values))]

    @staticmethod
    def _of(guid: uuid.UUID, values: dict[str, str]) -> dict[str, list[bytes | str]]:
        kept: dict[str, list[bytes | str]] = {"objectGUID": [guid.bytes_le], "objectClass": ["top", "user"]}
        return {**kept, **({n: [v] for n, v in values.items()} if values else {"isDeleted": ["TRUE"]})}

    def __call__(self, asked: Asked) -> list[bytes]:
        if asked.tag in (wire.BIND, wire.UNBIND):
            return [result(0x61)] if asked.tag == wire.BIND else []
        if not asked.base:
            more = {"supportedControl": [wire.DIRSYNC], "namingContexts": ["CN=Schema,DC=e", "DC=e"]}
            return [entry("", {**ACTIVE, **more}), result(wire.DONE)]
        if asked.base == "CN=Aggregate":
            kinds = ["( 1.1 NAME 'objectGUID' SYNTAX '1.3.6.1.4.1.1466.115.121.1.40' SINGLE-VALUE )",
                     "( 1.2 NAME 'cn' SYNTAX '1.3.6.1.4.1.1466.115.121.1.15' SINGLE-VALUE )"]  # fmt: skip
            classes = ["( 2.1 NAME 'user' MUST cn )"]
            return [entry("", {"attributeTypes": kinds, "objectClasses": classes}), result(wire.DONE)]
        if wire.DIRSYNC in asked.given:
            return self._told(asked)
        inside = [(n, v) for _, n, v in self.changes if n.endswith(asked.base) and meets(v, asked.filter)]
        return [*(entry(n, self._chosen(v, asked)) for n, v in inside), result(wire.DONE)]

    @staticmethod
    def _chosen(values: Values, asked: Asked) -> Values:
        return {name: given for name, given in values.items() if name in asked.attributes}

    def _told(self, asked: Asked) -> list[bytes]:
        if asked.base != "DC=e" or asked.scope != 2:
            return [result(wire.DONE, 53, "DirSync is for naming contexts")]
        if self.refusal:
            return [result(wire.DONE, self.refusal, "00002105")]
        ((_, content),) = children(asked.given[wire.DIRSYNC])
        (_, flags), (_, most), (_, cookie) = children(content)
        assert number(flags) == 0
        assert number(most) > 0
        done = int(cookie or b"0")
        found = [(n, v) for _, n, v in self._since(done)[:2] if wire.SHOW_DELETED in asked.controls or len(v) > 3]
        assert not asked.attributes, "a list of attributes leaves out what was changed in others"
        more = len(self._since(done)) > 2
        place = str(done + len(self._since(done)[:2])).encode()
        told = sequence(integer(int(more)), integer(0), octets(place))
        ended = controlled(result(wire.DONE), wire.DIRSYNC, b"\x30\x05oops" if self.broken else told)
        return [*(entry(n, v) for n, v in found if meets(v, asked.filter)), ended]

    def _since(self, done: int) -> list[tuple[uuid.UUID, str, dict[str, list[bytes | str]]]]:
        """Return what was changed; an entry that changes again stands behind the others, in a place of its own."""
        return (self.before + self.changes)[done:]

    before: list[tuple[uuid.UUID, str, dict[str, list[bytes | str]]]] = field(default_factory=list)

    def told_all(self) -> None:
        """Let what was told until now be old."""
        self.before = [*self.before, *self.changes]


@pytest.fixture
def domain() -> Iterator[tuple[Domain, Any]]:
    """A rebuilt Active Directory and a connection to it."""
    known = Domain()
    server = ScriptedDirectory(known)
    settings = {"host": "127.0.0.1", "port": server.port, "encryption": "none", "base": "DC=e", "objects": [PEOPLE]}
    with opened({**settings, "user": "a@e", "password": "p"}) as ldap:
        yield known, ldap
    server.close()


def test_active_directory_tells_what_was_changed_and_deleted(domain: tuple[Domain, Any]) -> None:
    """Tombstones, entries that moved away or do not meet the filter any more are gone, answer by answer."""
    known, ldap = domain
    guids = [uuid.UUID(int=(i << 96) + 1) for i in range(6)]
    for i, guid in enumerate(guids[:5]):
        known.put(guid, f"CN={i},OU=in,DC=e", cn=str(i), company="x")
    assert ldap.change_log("people", Capture("x", "objectGUID")).missing() == []
    follower = Follower(ldap, "people", "objectGUID", ("cn",))
    assert follower.read() == ([(str(i),) for i in range(5)], [])
    known.told_all()
    known.put(guids[0], "CN=0\\0ADEL:0,CN=Deleted Objects,DC=e")
    known.put(guids[1], "CN=1,OU=out,DC=e", cn="1", company="x")
    known.put(guids[2], "CN=2,OU=in,DC=e", cn="2", company="y")
    known.put(guids[3], "CN=3,OU=in,DC=e", cn="3b", company="x")
    known.put(guids[5], "CN=5,OU=in,DC=e", cn="5", company="x")
    known.changes = [change for change in known.changes if change[0] != guids[4]]
    records, gone = follower.read()
    assert records == [("3b",), ("5",)]
    assert gone == [str(guid) for guid in guids[:3]]
    assert len([page for page in follower.pages if page.records.height or page.deleted is not None]) == 3


def test_active_directory_refuses_or_breaks(domain: tuple[Domain, Any]) -> None:
    """A user without the right is told which one; an answer that cannot be read is an error of the connection."""
    known, ldap = domain
    log = ldap.change_log("people", Capture("x", "objectGUID"))
    known.refusal = RIGHT
    with pytest.raises(Forbidden, match="what was changed: 00002105") as told_:
        log.start()
    assert "Replicating Directory Changes" in str(told_.value.remedy)
    known.refusal = 51
    with pytest.raises(ConnectorError):
        log.start()
    known.refusal, known.broken = 0, True
    with pytest.raises(Misconfigured, match="cannot be read"):
        log.start()
    ldap.directory.objects["people"] = ldap.directory.objects["people"].__class__(name="people", base="DC=e")
    known.broken = False
    assert ldap.change_log("people", Capture("x", "objectGUID")).start()["link"]


SYNCED = uuid.UUID("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9")


@pytest.mark.parametrize("way", ["present", "forgotten", "deleted"])
def test_other_answers_to_a_synchronisation(way: str) -> None:
    """Entries said to be present, a cookie that is not known any more, single entries said to be deleted."""

    def answer(asked: Asked) -> list[bytes]:
        if asked.tag in (wire.BIND, wire.UNBIND):
            return [result(0x61)] if asked.tag == wire.BIND else []
        if not asked.base:
            return [entry("", {"supportedControl": [wire.SYNC]}), result(wire.DONE)]
        if way == "forgotten":
            return [result(wire.DONE, 4096, "full refresh")]
        state = sequence(integer(0 if way == "present" else 3, 0x0A), octets(SYNCED.bytes))
        ended = sequence(octets(b"next"), b"\x01\x01\xff")
        between = b"\x79\x0b\x80\x02x." + b"\x81\x05\x80\x03new"
        return [
            between, controlled(entry("cn=a,dc=e", {}), wire.SYNC_STATE, state),
            controlled(result(wire.DONE), wire.SYNC_DONE, ended),
        ]  # fmt: skip

    server = ScriptedDirectory(answer)
    described = {**STAFF, "fields": [{"name": "entryUUID"}], "key": "entryUUID"}
    settings = {"host": "127.0.0.1", "port": server.port, "encryption": "none", "base": "dc=e", "objects": [described]}
    with opened(settings) as ldap:
        log: Any = ldap.change_log("staff", Capture("x", "entryUUID"))
        since = {"link": b"old".hex(), "time": 0}
        if way == "deleted":
            (telling,) = log.tellings(since)
            assert telling.keys == {str(SYNCED): True}
            assert telling.behind["link"] == b"next".hex()
        else:
            assert "what was deleted" in str(log.state(since).lost)
    server.close()
