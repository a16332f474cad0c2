"""What roles come to: united, deny over allow, the more roles the more rights, and masks that keep their values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.documents.problems import DocumentError
from rules.schema import FieldType
from webapp.access import roles
from webapp.policies import documents, masks
from webapp.policies.documents import Policy
from webapp.policies.errors import NotPermitted
from webapp.policies.grants import Rooms, grant
from webapp.policies.levels import LEVELS, PERSONAL, Access
from webapp.policies.masks import DOTS, Mask, masked
from webapp.policies.objects import ACTIONS, DataObject, PolicyField
from webapp.policies.rights import Rights
from webapp.policies.who import SYSTEM_WHO, Who

CUSTOMER = DataObject.entity("customer")
FIELDS = (
    PolicyField("id", FieldType.INTEGER, key=True),
    PolicyField("name", FieldType.TEXT),
    PolicyField("country", FieldType.TEXT),
    PolicyField("phone", FieldType.TEXT, personal=True),
    PolicyField("salary", FieldType.DECIMAL),
    PolicyField("born", FieldType.DATE, personal=True),
)
ANN = Who(7, "ann", ("A", "B"), {"country": "CN"})
_NAMES = [field.name for field in FIELDS]
_ROWS: list[list[Any]] = [
    [1, "Wei Zhang", "CN", "+8613800138000", Decimal("10.50"), dt.date(1990, 2, 3)],
    [2, "Jo", "DE", None, None, None],
    [3, None, None, "12", Decimal("0.00"), dt.date(2001, 1, 1)],
]
RECORDS: list[dict[str, Any]] = [dict(zip(_NAMES, row, strict=True)) for row in _ROWS]
FRAME = pl.DataFrame(RECORDS, schema_overrides={"salary": pl.Decimal(38, 2)})
ALL_ROOMS: Rooms = frozenset((room, action) for room, actions in roles.PERMISSIONS.items() for action in actions)


def _rights(*policies: dict[str, Any], rooms: Rooms = ALL_ROOMS, data: DataObject = CUSTOMER, who: Who = ANN) -> Rights:
    said = [(f"R{number}", rooms, documents.parse(policy)) for number, policy in enumerate(policies)]
    return Rights(who, data, FIELDS, tuple(grant(who, role, data, FIELDS) for role in said), b"key")


_ACTIONS = st.lists(st.sampled_from(ACTIONS), unique=True)
_LINES = st.fixed_dictionaries(
    {"on": st.sampled_from(["entity/customer", "entity/*", "*", "connection/*"])},
    optional={
        "allow": _ACTIONS,
        "rows": st.sampled_from(
            ["record.country == user.country", "record.id > 1", "record.salary < 5", "user.x == 'y'"]
        ),
        "fields": st.dictionaries(
            st.sampled_from([f.name for f in FIELDS]), st.sampled_from([*LEVELS][:-1]), max_size=3
        ),
        "other_fields": st.sampled_from([*LEVELS][:-1]),
    },
)
POLICIES = st.fixed_dictionaries(
    {"data": st.lists(_LINES, max_size=3, unique_by=lambda line: str(line["on"]))},
    optional={"personal": st.sampled_from([*PERSONAL])},
)
ROOMS = st.sampled_from([ALL_ROOMS, frozenset({("Records", "read")}), frozenset()])


def _more(more: Rights, less: Rights) -> bool:
    """Tell whether rights hold at least what others do, for every action, field and record."""
    actions = all(more.may(a) >= less.may(a) for a in ACTIONS)
    fields = all(more.access(f.name) >= less.access(f.name) for f in FIELDS)
    rows = all(more.sees(r, a) >= less.sees(r, a) for a in ACTIONS for r in RECORDS)
    return actions and fields and rows


@given(policies=st.lists(POLICIES, max_size=3), added=POLICIES, rooms=ROOMS)
def test_the_more_roles_the_more_rights(policies: list[dict[str, Any]], added: dict[str, Any], rooms: Rooms) -> None:
    """A further role that denies nothing takes nothing away; without roles nothing is permitted."""
    assert _more(_rights(*policies, added, rooms=rooms), _rights(*policies, rooms=rooms))
    assert not any(_rights().may(action) for action in ACTIONS)
    assert _rights().hidden == {field.name for field in FIELDS}


@given(policies=st.lists(POLICIES, max_size=3), action=st.sampled_from(ACTIONS), field=st.sampled_from(FIELDS))
def test_a_denial_beats_every_other_role(policies: list[dict[str, Any]], action: str, field: PolicyField) -> None:
    """What one role denies (an action, a field, rows) stays denied whatever roles there are beside it."""
    denying = {"data": [{"on": "*", "deny": [action], "fields": {field.name: "deny"}, "deny_rows": "record.id == 1"}]}
    rights = _rights(*policies, denying)
    assert not rights.may(action)
    assert rights.access(field.name) is Access.HIDE
    assert not rights.sees(RECORDS[0])
    assert _more(_rights(*policies, {}), rights)


@given(first=POLICIES, second=POLICIES)
def test_roles_are_united_in_any_order(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Rights do not depend on the order of roles, and a role counts once however often it is held."""
    one, other, twice = _rights(first, second), _rights(second, first), _rights(first, second, second)
    assert _more(one, other)
    assert _more(other, one)
    assert _more(one, twice)
    assert _more(twice, one)
    assert {f.name: one.level(f.name) for f in FIELDS} == {f.name: other.level(f.name) for f in FIELDS}


@given(policies=st.lists(POLICIES, min_size=1, max_size=3))
def test_records_and_batches_show_the_same(policies: list[dict[str, Any]]) -> None:
    """A batch shows the records and values that are shown one by one; what is hidden or masked is in neither."""
    rights = _rights(*policies)
    one_by_one = [found for record in RECORDS if (found := rights.shown(record)) is not None]
    assert rights.frame(FRAME).to_dicts() == (one_by_one if one_by_one and one_by_one[0] else [{}] * 0)
    for found in one_by_one:
        assert not rights.hidden & found.keys()
        original = next(r for r in RECORDS if "id" in rights.masked | rights.hidden or r["id"] == found["id"])
        same = {n for n in rights.masked & found.keys() if found[n] is not None and found[n] == original[n]}
        assert not same


def test_without_policies_everything_is_as_the_rooms_say() -> None:
    """A role without a policy permits what its permissions for rooms do, of all fields and records."""
    reader = _rights({}, rooms=frozenset({("Records", "read"), ("Records", "export")}))
    assert [a for a in ACTIONS if reader.may(a)] == ["read", "export"]
    assert reader.sees_everything
    assert not reader.everything
    assert reader.where({}, sqlite=True) is None
    assert _rights({}).everything
    contacts = DataObject.external("crm", "contacts/2024.csv")
    viewer = _rights({}, rooms=frozenset({("Connections", "read")}), data=contacts)
    assert viewer.may("read")
    assert not viewer.may("update")
    assert not _rights({}, rooms=frozenset({("Records", "read")}), data=contacts).may("read")
    system = Rights(SYSTEM_WHO, CUSTOMER, FIELDS, ())
    assert system.everything
    assert system.shown(RECORDS[0]) == RECORDS[0]


@pytest.mark.parametrize("on", ["connection/crm/contacts", "connection/crm/*", "connection/*", "*"])
def test_the_narrowest_line_counts_as_a_whole(on: str) -> None:
    """Of a role's lines only the narrowest counts; nothing of a wider one is mixed in."""
    patterns = ("connection/crm/contacts", "connection/crm/*", "connection/*", "*")
    wider = [
        {"on": other, "allow": [*ACTIONS], "deny": ["read"], "rows": "false"}
        for other in patterns[patterns.index(on) + 1 :]
    ]
    rights = _rights({"data": [*wider, {"on": on, "allow": ["read"]}]}, data=DataObject.external("crm", "contacts"))
    assert [a for a in ACTIONS if rights.may(a)] == ["read"]
    assert rights.sees(RECORDS[0])


def test_rows_are_those_of_the_roles_that_permit_the_action() -> None:
    """Who sees all records by one role and changes some by another changes only those."""
    reading = {"data": [{"on": "*", "allow": ["read"]}]}
    changing = {"data": [{"on": "*", "allow": ["update"], "rows": "record.country == user.country"}]}
    rights = _rights(reading, changing)
    assert [rights.sees(record) for record in RECORDS] == [True, True, True]
    assert [rights.sees(record, "update") for record in RECORDS] == [True, False, False]


def test_a_condition_that_does_not_fit_opens_and_hides() -> None:
    """On an object without a field of its condition, a line permits no rows, and one that takes rows away takes all."""
    broken = {"data": [{"on": "*", "rows": "record.nothing == 'x'"}]}
    assert not any(_rights(broken).sees(record) for record in RECORDS)
    assert _rights(broken, {}).sees(RECORDS[0])
    hiding = {"data": [{"on": "*", "deny_rows": "record.nothing == 'x'"}]}
    assert not any(_rights(hiding, {}).sees(record) for record in RECORDS)
    assert any("does not fit" in str(reason.says) for reason in _rights(broken).why("read"))


def test_personal_fields() -> None:
    """A role that masks or hides personal fields does so where no line names them; another role lifts it."""
    hiding, masking = {"personal": "hide"}, {"personal": "mask"}
    assert _rights(hiding).hidden == {"phone", "born"}
    assert _rights(masking).masked == {"phone", "born"}
    assert _rights(hiding, masking).masked == {"phone", "born"}
    assert not _rights(hiding, {}).hidden
    named = {"personal": "hide", "data": [{"on": "*", "fields": {"phone": "mask:last4"}}]}
    assert _rights(named).value("phone", "+8613800138000") == DOTS + "8000"
    assert _rights(named).shown(RECORDS[1]) == {"id": 2, "name": "Jo", "country": "DE", "phone": None, "salary": None}


def test_refusals_say_what_and_of_what() -> None:
    """Each refusal names the deed, the field and the object."""
    rights = _rights({"data": [{"on": "*", "allow": ["read"], "fields": {"phone": "mask:all", "salary": "hide"}}]})
    rights.require("read")
    rights.require_plain(["name", "id"], "filter")
    with pytest.raises(NotPermitted, match="do not permit to delete records of customer"):
        rights.require("delete")
    for field in ("phone", "salary"):
        with pytest.raises(NotPermitted, match=f"'{field}' of customer is hidden from you, so you cannot sort by it"):
            rights.require_plain([field], "sort")
    with pytest.raises(NotPermitted, match="may not change 'name'"):
        rights.require_write(["name"])


def test_who_views_as_another_sees_only_what_both_see() -> None:
    """The rights of a viewer who is no administrator are those that both hold."""
    theirs = _rights({"data": [{"on": "*", "rows": "record.id < 3", "fields": {"salary": "hide"}}]})
    own = _rights({"data": [{"on": "*", "allow": ["read"], "rows": "record.id > 1", "other_fields": "read"}]})
    both = Rights(theirs.who, CUSTOMER, FIELDS, theirs.grants, b"", limit=own)
    assert [both.sees(record) for record in RECORDS] == [False, True, False]
    assert both.hidden == {"salary"}
    assert not both.writable
    assert not both.may("update")


def test_why_names_role_line_and_what_decided() -> None:
    """The explanation gives each role's word on the action, the field and the row, those that decided first."""
    first = {
        "data": [{"on": "entity/customer", "rows": "record.country == user.country", "fields": {"salary": "mask:all"}}]
    }
    second = {"data": [{"on": "*", "allow": ["export"], "deny": ["delete"]}]}
    rights = _rights(first, second)
    said = rights.why("read", "salary", RECORDS[0])
    assert [(r.role, r.line, r.decided) for r in said if r.decided] == [("R0", "entity/customer", True)] * 3
    assert "country = 'CN'" in " ".join(str(r.says) for r in said)
    denied = rights.why("delete")
    assert denied[0].role == "R1"
    assert denied[0].decided
    assert not denied[0].allows
    assert not any(
        r.decided and r.allows for r in rights.why("read", record=RECORDS[1]) if "records that meet" in str(r.says)
    )


# Masks

VALUES = st.one_of(
    st.text(max_size=40),
    st.emails(),
    st.dates(),
    st.datetimes(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.from_regex(r"[A-Z]{2}[0-9]{14,20}", fullmatch=True),
)


@given(value=VALUES, mask=st.sampled_from(Mask))
def test_a_mask_never_holds_its_value(value: Any, mask: Mask) -> None:
    """What is shown of a value never has the value in it, and of equal values is equal."""
    found = masked(mask, value, b"key")
    text = masks.plain(value)
    assert found == masked(mask, value, b"key")
    if found is not None and text.strip(DOTS) and (mask is not Mask.HASH or len(text) > 12):
        assert text not in found or (mask is Mask.HASH and text in "#0123456789abcdef")
    assert masked(mask, None, b"key") is None


@given(first=VALUES, second=VALUES)
def test_signs_tell_values_apart_and_installations_too(first: Any, second: Any) -> None:
    """Signs are equal for equal values only, and another installation's are others."""
    same = masked(Mask.HASH, first, b"key") == masked(Mask.HASH, second, b"key")
    assert same == (masks.plain(first) == masks.plain(second))
    assert masked(Mask.HASH, first, b"key") != masked(Mask.HASH, first, b"other")


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        (Mask.LAST, "DE89370400440532013000", DOTS + "3000"),
        (Mask.LAST, "1234567", DOTS),
        (Mask.FIRST, "Zhang", "Z" + DOTS),
        (Mask.FIRST, "\U0001f600x", "\U0001f600" + DOTS),
        (Mask.FIRST, "Z", DOTS),
        (Mask.EMAIL, "ann@example.com", "a\u2022\u2022\u2022@example.com"),
        (Mask.EMAIL, "a@example.com", DOTS),
        (Mask.EMAIL, "nobody", DOTS),
        (Mask.YEAR, dt.date(1990, 5, 6), "1990"),
        (Mask.YEAR, "1990-05-06T00:00:00Z", "1990"),
        (Mask.YEAR, "1990", DOTS),
        (Mask.NULL, "x", None),
        (Mask.ALL, 5, DOTS),
    ],
)
def test_masks(mask: Mask, value: Any, shown: str | None) -> None:
    """Each kind shows what its name says, and dots where that would give too much away."""
    assert masked(mask, value, b"key") == shown


# Documents


@given(policy=POLICIES)
def test_a_policy_survives_being_written(policy: dict[str, Any]) -> None:
    """A policy is the same after it has been written as a document and read again."""
    parsed = documents.parse(policy)
    assert documents.parse(documents.to_document(parsed)) == parsed
    assert documents.to_document(Policy()) == {}


@pytest.mark.parametrize(
    ("document", "path", "says"),
    [
        ({"dta": []}, "dta", "no key 'dta'"),
        ({"personal": "maks"}, "personal", "none of these"),
        ({"data": {}}, "data", "A list"),
        ({"data": ["x"]}, "data/0/on", "which records"),
        ({"data": [{"on": "customer"}]}, "data/0/on", "which records"),
        ({"data": [{"on": "*"}, {"on": "*"}]}, "data/1/on", "already"),
        ({"data": [{"on": "*", "allow": ["raed"]}]}, "data/0/allow/0", "none of these"),
        ({"data": [{"on": "*", "deny": "read"}]}, "data/0/deny", "A list"),
        ({"data": [{"on": "*", "fields": {"a": "mask"}}]}, "data/0/fields/a", "none of these"),
        ({"data": [{"on": "*", "fields": []}]}, "data/0/fields", "fields"),
        ({"data": [{"on": "*", "other_fields": "no"}]}, "data/0/other_fields", "none of these"),
        ({"data": [{"on": "entity/customer", "fields": {"nam": "hide"}}]}, "data/0/fields/nam", "no field 'nam'"),
        ({"data": [{"on": "entity/customer", "rows": "record.nam == 'x'"}]}, "data/0/rows", "no field 'nam'"),
        ({"data": [{"on": "*", "rows": "record.nam =="}]}, "data/0/rows", ""),
        ({"data": [{"on": "*", "deny_rows": 5}]}, "data/0/deny_rows", "characters"),
    ],
)
def test_mistakes_are_told_at_their_place(document: dict[str, Any], path: str, says: str) -> None:
    """Each mistake in a policy is told with the path of the key that is wrong."""
    with pytest.raises(DocumentError) as refused:
        documents.parse(document, lambda data: FIELDS if data == CUSTOMER else None)
    assert [problem.path for problem in refused.value.problems] == [path]
    assert says in str(refused.value.problems[0].message)
