"""What is special to directories: names, members, limits, encryption, changes; against a real OpenLDAP server."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from connectors.errors import AuthFailed, ConnectorError, Fatal, Misconfigured, ObjectMissing, RecordRejected
from connectors.spi import Cursor, Page, ReadRequest
from rules.schema import Change, FieldType, Op
from tests import directory_servers
from tests.connectors.test_ldap import opened, plain
from tests.directory_servers import LIMIT, SUFFIX, Directory

_count = itertools.count(1)


@pytest.fixture(scope="module")
def directory() -> Iterator[Directory]:
    with directory_servers.slapd() as found:
        yield found


@pytest.fixture
def base(directory: Directory) -> str:
    name = f"b{next(_count)}"
    directory.add([(f"ou={name},{SUFFIX}", {"objectClass": ["organizationalUnit"], "ou": [name]})])
    return f"ou={name},{SUFFIX}"


def person(uid: str, base: str, **more: list[str]) -> tuple[str, dict[str, list[str]]]:
    return f"uid={uid},{base}", {"objectClass": ["inetOrgPerson"], "uid": [uid], "cn": [uid], "sn": ["S"], **more}


def rows(ldap: Any, name: str, fields: tuple[str, ...], **more: Any) -> pl.DataFrame:
    schema = ldap.schema(name).select(fields)
    pages: list[Page] = list(ldap.read(ReadRequest(name, schema, **more)))
    assert not [reject for page in pages for reject in page.rejects]
    return pl.concat([page.records for page in pages])


def test_standard_objects_have_the_types_of_the_schema(directory: Directory, base: str) -> None:
    """Users, groups and units come with the directory's own types; the key is its own, and no password is a field."""
    directory.add([person("a", base, mail=["x@e.com", "b@e.com"], departmentNumber=["7"])])
    directory.add([(f"cn=g,{base}", {"objectClass": ["groupOfNames"], "member": [f"uid=a,{base}"], "cn": ["g"]})])
    with opened(plain(directory, base)) as ldap:
        assert [o.name for o in ldap.objects()] == ["groups", "units", "users"]
        users, groups = ldap.schema("users"), ldap.schema("groups")
        assert users.key == ("entryUUID",)
        assert users["entryUUID"].generated
        assert {n: users[n].type for n in ("dn", "cn", "mail", "jpegPhoto", "modifyTimestamp", "uidNumber")} == {
            "dn": FieldType.TEXT, "cn": FieldType.TEXT, "mail": FieldType.TEXT, "jpegPhoto": FieldType.JSON,
            "modifyTimestamp": FieldType.DATETIME, "uidNumber": FieldType.INTEGER,
        }  # fmt: skip
        assert groups["member"].type is FieldType.JSON
        assert "userPassword" not in users
        assert rows(ldap, "users", ("uid", "mail", "title")).rows() == [("a", "b@e.com|x@e.com", None)]
        assert rows(ldap, "groups", ("cn", "member")).rows() == [("g", json.dumps([f"uid=a,{base}"]))]
        assert rows(ldap, "units", ("ou", "dn"))["dn"].to_list() == [base]
        whole = next(iter(ldap.read(ReadRequest("users", users)))).records
        found = ldap.lookup("users", users, "entryUUID", whole["entryUUID"])
        assert found.equals(whole)
        assert ldap.lookup("users", users, "dn", pl.Series(["uid=A," + base, "uid=z," + base, SUFFIX, "x="])).is_empty()
        assert ldap.lookup("users", users, "dn", whole["dn"]).equals(whole)
        assert ldap.lookup("users", users, "jpegPhoto", pl.Series(["[]"])).is_empty()


def test_a_user_from_birth_to_deletion(directory: Directory, base: str) -> None:
    """Create with a generated key, change only what differs, rename by a field, move by the name, delete."""
    with opened(plain(directory, base)) as ldap:
        schema = ldap.schema("users")

        def write(op: Op, key: str = "entryUUID", **values: Any) -> Any:
            frame = pl.DataFrame(
                {name: [v] for name, v in values.items()}, schema=schema.select(tuple(values)).dtypes()
            )
            result = ldap.write("users", schema, [Change(op, key, frame)])
            assert not result.failures, str(result.failures[0].message)
            return result.keys[0]

        keys = write(Op.CREATE, uid="anna, b", cn="Anna", sn="B", mail="a@e.com|b@e.com", title=None)
        key = keys[0]
        name = f"uid=anna\\2C b,{base}"
        assert f"entryUUID: {key}" in directory.search(name, "entryUUID")
        before = directory.search(name, "entryCSN")
        write(Op.UPDATE, entryUUID=key, cn="Anna", mail="b@e.com|a@e.com")
        assert directory.search(name, "entryCSN") == before, "nothing differed, so nothing was written"
        write(Op.UPDATE, entryUUID=key, mail="b@e.com|c@e.com", title="Dr|Prof")
        assert "mail: c@e.com" in directory.search(name, "mail", "title")
        write(Op.UPDATE, entryUUID=key, uid="anna", title=None)
        assert "title" not in directory.search(f"uid=anna,{base}", "title", "uid")
        directory.add([(f"ou=new,{base}", {"objectClass": ["organizationalUnit"], "ou": ["new"]})])
        write(Op.UPDATE, entryUUID=key, dn=f"cn=Anna,ou=new,{base}", sn="C")
        assert "sn: C" in directory.search(f"cn=Anna,ou=new,{base}", "sn")
        write(Op.UPDATE, entryUUID=key, dn=f"CN=anna, ou=new,{base}")
        write(Op.CREATE, key="dn", dn=f"uid=given+cn=G,{base}", sn="G")
        assert "cn: G" in directory.search(f"uid=given+cn=G,{base}", "cn")
        write(Op.UPDATE, key="dn", dn=f"uid=given+cn=G,{base}", cn="H")
        assert "cn: H" in directory.search(f"uid=given+cn=H,{base}", "cn")
        write(Op.DELETE, entryUUID=key)
        assert rows(ldap, "users", ("uid",))["uid"].to_list() == ["given"]


def test_members_are_added_and_taken_away_one_by_one(directory: Directory, base: str) -> None:
    """A group whose members change gets a modification that names only those that do."""
    members = [f"uid=m{i},{base}" for i in range(4)]
    directory.add([(f"cn=g,{base}", {"objectClass": ["groupOfNames"], "member": members[:3], "cn": ["g"]})])
    with opened(plain(directory, base)) as ldap:
        schema = ldap.schema("groups")
        sent: list[bytes] = []
        call = ldap.directory.session.call
        ldap.directory.session.call = lambda operation, *_: (sent.append(operation), call(operation))[1]  # type: ignore[method-assign,func-returns-value]
        change = pl.DataFrame({"dn": [f"cn=g,{base}"], "member": [json.dumps(members[1:])]})
        assert not ldap.write("groups", schema, [Change(Op.UPDATE, "dn", change)]).failures
        assert json.loads(rows(ldap, "groups", ("member",))["member"][0]) == members[1:]
    (modification,) = sent
    assert members[0].encode() in modification
    assert members[3].encode() in modification
    assert members[1].encode() not in modification


def test_refused_writes_say_why(directory: Directory, base: str) -> None:
    """Each record that cannot be written has a sentence of its own; the others are written."""
    directory.add([person("a", base), person("twin", base), (f"ou=in,{base}", {"objectClass": ["organizationalUnit"]})])
    directory.add([person("twin", f"ou=in,{base}")])
    described = [
        {"name": "people", "filter": "(uid=*)", "key": "uid", "rdn": "uid", "class": "inetOrgPerson", "fields": [
            {"name": "uid"}, {"name": "cn"}, {"name": "sn"}, {"name": "mail", "type": "json"}, {"name": "dn"},
            {"name": "number", "attribute": "uidNumber"}]},
        {"name": "unclear", "filter": "(uid=*)"},
        {"name": "narrow", "filter": "(mail=*)", "class": "inetOrgPerson", "rdn": "uid"},
    ]  # fmt: skip
    with opened(plain(directory, base, objects=described)) as ldap:
        schema = ldap.schema("people")

        def told(op: Op, **values: Any) -> str:
            frame = pl.DataFrame(
                {name: [v] for name, v in values.items()}, schema=schema.select(tuple(values)).dtypes()
            )
            (failure,) = ldap.write("people", schema, [Change(op, "uid", frame)]).failures
            return str(failure.message)

        assert "entry has no name" in told(Op.CREATE, uid=None, sn="x", cn="x")
        assert "already" in told(Op.CREATE, uid="a", sn="x", cn="x").lower()
        assert "several entries" in told(Op.UPDATE, uid="twin", cn="x")
        assert "no such entry" in told(Op.DELETE, uid="nobody")
        assert "is empty" in told(Op.DELETE, uid=None)
        assert "attribute that it must have, or has one that it may not (" in told(Op.UPDATE, uid="a", number=7)
        assert "cannot hold" in told(Op.UPDATE, uid="a", mail="{")
        one = pl.DataFrame({"uid": ["n"], "cn": ["n"], "sn": ["n"]})
        with pytest.raises(Misconfigured, match="of which class"):
            ldap.write("unclear", schema, [Change(Op.CREATE, "dn", one.select(pl.col("uid").alias("dn")))])
        narrow = ldap.schema("narrow")
        (failure,) = ldap.write("narrow", narrow, [Change(Op.CREATE, "entryUUID", one)]).failures
        assert "is none of 'narrow'" in str(failure.message)
        with pytest.raises(Misconfigured, match="no field 'nothing'"):
            ldap.write("people", schema, [Change(Op.DELETE, "nothing", pl.DataFrame({"nothing": ["x"]}))])


def test_a_directory_that_stops_early_is_an_error(directory: Directory, base: str) -> None:
    """Without pages the directory stops at its limit, and what was read counts for nothing; in pages all comes."""
    directory.add([person(f"u{i}", base) for i in range(LIMIT + 20)])
    guest = plain(directory, base, user="", password="", objects=["users"])
    with (
        opened({**guest, "page_size": 0}) as ldap,
        pytest.raises(Fatal, match="stopped before the end of 'users'") as told,
    ):
        rows(ldap, "users", ("uid",))
    assert "not complete" in str(told.value)
    with opened({**guest, "page_size": 100}) as ldap:
        schema = ldap.schema("users").select(("uid",))
        pages = list(ldap.read(ReadRequest("users", schema, page_size=300)))
        assert [page.records.height for page in pages] == [300, LIMIT + 20 - 300]
        assert ldap.lookup("users", schema, "uid", pl.Series([f"u{i}" for i in range(0, 500, 2)])).height == 250
    with opened({**plain(directory, base), "page_size": 0}) as ldap:
        assert rows(ldap, "users", ("uid",)).height == LIMIT + 20


def test_an_interrupted_read_sees_whether_its_way_is_the_same(directory: Directory, base: str) -> None:
    """Where an entry has come or gone before the place, the read does not go on at the wrong one."""
    directory.add([person(f"u{i}", base) for i in range(5)])
    with opened(plain(directory, base)) as ldap:
        schema = ldap.schema("users").select(("uid",))
        pages = list(ldap.read(ReadRequest("users", schema, page_size=2)))
        directory.remove(f"uid=u4,{base}")
        rest = list(ldap.read(ReadRequest("users", schema, after=pages[0].position)))
        assert rest[0].records["uid"].to_list() == ["u2", "u3"]
        directory.remove(f"uid=u0,{base}")
        with pytest.raises(Fatal, match="changed since the read was interrupted"):
            list(ldap.read(ReadRequest("users", schema, after=pages[1].position)))


def test_changes_are_found_by_the_time_of_the_change(directory: Directory, base: str) -> None:
    """The directory's own time of change is a cursor: from a moment on, and entries of that very moment again."""
    directory.add([person("old", base)])
    with opened(plain(directory, base)) as ldap:
        fields = ("modifyTimestamp", "entryUUID", "uid")
        (moment, *_), *_ = rows(ldap, "users", fields).rows()
        assert moment.tzinfo is not None
        for since, expected in ((moment, ["old"]), (moment + dt.timedelta(seconds=1), []), (None, ["old"])):
            cursor = Cursor("modifyTimestamp", "entryUUID", since)
            assert rows(ldap, "users", fields, cursor=cursor)["uid"].to_list() == expected
        with pytest.raises(Misconfigured, match="no field 'nothing'"):
            rows(ldap, "users", fields, cursor=Cursor("nothing", "entryUUID"))


def test_certificates_are_checked(directory: Directory, base: str) -> None:
    """StartTLS and LDAPS work with the right authority and name, and are refused with another."""
    own = plain(directory, base, tls_ca=directory.certificate)
    for kind, port in (("starttls", directory.port), ("ldaps", directory.tls_port)):
        right = {**own, "encryption": kind, "port": port}
        with opened(right) as ldap:
            assert ldap.objects()
        with opened({**right, "tls_ca": ""}) as ldap, pytest.raises(Misconfigured, match="cannot be encrypted"):
            ldap.objects()
        with opened({**right, "host": "127.0.0.1"}) as ldap, pytest.raises(Misconfigured, match="cannot be encrypted"):
            ldap.objects()
        with opened({**right, "tls_ca": "", "verify": False}) as ldap:
            assert ldap.objects()
    with opened({**own, "encryption": "none", "port": directory.tls_port}) as ldap, pytest.raises(ConnectorError):
        ldap.objects()


def test_what_a_user_may_not_see(directory: Directory) -> None:
    """A base that the user may not read is missing, and a wrong filter names its place."""
    reader = plain(directory, f"ou=locked,{SUFFIX}", user=f"cn=reader,{SUFFIX}")
    with opened(reader) as ldap, pytest.raises(ObjectMissing, match="no entry 'ou=locked"):
        ldap.objects()
    objects = [{"name": "x", "base": f"ou=nowhere,{SUFFIX}", "class": "person"}]
    with opened(plain(directory, SUFFIX, objects=objects)) as ldap, pytest.raises(ObjectMissing, match="ou=nowhere"):
        ldap.objects()
    with (
        opened({**reader, "user": "reader", "base": SUFFIX}) as ldap,
        pytest.raises(AuthFailed, match="user or password"),
    ):
        ldap.objects()


def test_values_that_do_not_fit_are_put_aside(directory: Directory, base: str) -> None:
    """Several values in a field for one, a separator inside a value, a text that is no number: never a guess."""
    directory.add([person("a", base, mail=["x@e.com", "y@e.com"], description=["p|q"], title=["7"]), person("b", base)])
    fields = [
        {"name": "uid"}, {"name": "mail", "type": "integer"}, {"name": "description"},
        {"name": "title", "type": "integer"},
    ]  # fmt: skip
    objects = [{"name": "people", "class": "inetOrgPerson", "key": "uid", "fields": fields}]
    with opened(plain(directory, base, objects=objects, lists="joined")) as ldap:
        schema = ldap.schema("people")
        for field, words in (("mail", "only one"), ("description", "separates its values")):
            (page,) = ldap.read(ReadRequest("people", schema.select(("uid", field))))
            (reject,) = page.rejects
            assert words in str(reject.message)
            assert reject.field == field
            assert reject.place == f"uid=a,{base}"
            assert page.records["uid"].to_list() == ["b"]
        (page,) = ldap.read(ReadRequest("people", schema.select(("uid", "title"))))
        assert page.records.rows() == [("a", 7), ("b", None)]
        with pytest.raises(RecordRejected, match="only one"):
            ldap.lookup("people", schema, "uid", pl.Series(["a", "b"]))
        assert ldap.lookup("people", schema, "uid", pl.Series(["b"])).height == 1
    with opened(plain(directory, base, objects=objects, lists="json")) as ldap:
        assert ldap.schema("people")["description"].type is FieldType.JSON


def test_a_connection_that_was_closed_is_opened_again(directory: Directory, base: str) -> None:
    """A server that hangs up on an idle connection is connected to again, by the next request."""
    directory.add([person("a", base)])
    with opened(plain(directory, base)) as ldap:
        schema = ldap.schema("users").select(("uid",))
        ldap.directory.session._socket.close()
        assert ldap.lookup("users", schema, "uid", pl.Series(["a"])).height == 1


def test_ways_to_sign_in(directory: Directory, base: str) -> None:
    """By SCRAM and by a client certificate the reader may read and not write; a wrong password lets nobody in."""
    told = {"tls_ca": directory.certificate, "port": directory.tls_port, "encryption": "ldaps"}
    shown = {**told, "client_certificate": directory.certificate, "client_key": " ".join(directory.key.split("\n"))}
    reader = {"user": "reader", "password": directory.password}
    for more in (
        {**reader, "sign_in": "scram"},
        {**told, **reader, "sign_in": "scram"},
        {**shown, "sign_in": "external", "user": "", "password": ""},
        {**shown, "port": directory.port, "encryption": "starttls", "sign_in": "external", "user": "", "password": ""},
    ):
        with opened(plain(directory, base, **more)) as ldap:
            assert all(step.ok for step in ldap.check()), more
            new = pl.DataFrame({"ou": ["x"]})
            (failure,) = ldap.write("units", ldap.schema("units"), [Change(Op.CREATE, "entryUUID", new)]).failures
            assert "may not" in str(failure.message)
    for more, kind, words in (
        ({**reader, "sign_in": "scram", "password": "wrong"}, AuthFailed, "password"),
        ({**reader, "sign_in": "scram", "user": "nobody,=x"}, AuthFailed, "nobody"),
        ({"sign_in": "external", "user": ""}, Misconfigured, "no client certificate"),
        ({**shown, "client_key": "no key", "sign_in": "external"}, Misconfigured, "certificate or its key"),
        ({**told, "sign_in": "external", "client_certificate": "no PEM"}, Misconfigured, "certificate or its key"),
    ):
        with opened(plain(directory, base, **more)) as ldap, pytest.raises(kind, match=words):
            ldap.objects()
