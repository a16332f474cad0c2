"""The matrix of a role and the form of a line: what is shown counts, and what is chosen is what is stored."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from rules.schema import FieldType
from tests.policies.test_services import CUSTOMER
from webapp.policies import difference, documents, line_form, matrix
from webapp.policies.catalogue import Named
from webapp.policies.documents import Policy
from webapp.policies.grants import Rooms, grant
from webapp.policies.objects import ACTIONS, PolicyField
from webapp.policies.rights import Rights
from webapp.policies.who import Who

FIELDS = (PolicyField("name"), PolicyField("email", personal=True), PolicyField("born", FieldType.DATE))
PLACES = ("*", "entity/*", "entity/customer", "entity/invoice", "connection/crm/*")
actions = st.lists(st.sampled_from(ACTIONS), unique=True)
levels = st.sampled_from([word for word, _label in line_form.CHOICES])
line = st.fixed_dictionaries(
    {"on": st.sampled_from(PLACES), "deny": actions},
    optional={
        "allow": actions,
        "rows": st.sampled_from(["", "name == 'a'"]),
        "fields": st.dictionaries(st.sampled_from(["name", "email", "born"]), levels),
        "other_fields": levels,
    },
)
policies = st.builds(
    lambda lines, personal: documents.parse({"data": lines, "personal": personal}),
    st.lists(line, unique_by=lambda one: one["on"], max_size=4),
    st.sampled_from(["read", "mask", "hide"]),
)
few = settings(max_examples=50)
areas = st.frozensets(st.sampled_from([("Records", action) for action in ACTIONS]))
cells = st.fixed_dictionaries(dict.fromkeys(ACTIONS, st.sampled_from(["allow", "deny", ""])))


def _rights(policy: Policy, rooms: Rooms) -> Rights:
    who = Who(1, "ann", ("Sales",))
    return Rights(who, CUSTOMER, FIELDS, (grant(who, ("Sales", rooms, policy), CUSTOMER, FIELDS),))


@few
@given(policies, areas)
def test_cells_show_what_counts(policy: Policy, rooms: Rooms) -> None:
    """An action is shown as allowed if and only if who holds the role alone may do it, whatever line says so."""
    shown = matrix.row(policy, rooms, Named("entity/customer", "")).states
    assert {a for a in ACTIONS if shown[a] == "allow"} == {a for a in ACTIONS if _rights(policy, rooms).may(a)}


@few
@given(policies, areas, cells)
def test_chosen_cells_count_and_change_nothing_else(policy: Policy, rooms: Rooms, chosen: dict[str, str]) -> None:
    """What is chosen is what is shown and what counts from then on; fields and rows of the object stay as they were."""
    new = matrix.changed(policy, rooms, "entity/customer", chosen)
    assert matrix.row(new, rooms, Named("entity/customer", "")).states == chosen
    before, after = _rights(policy, rooms), _rights(new, rooms)
    assert {a for a in ACTIONS if after.may(a)} == {a for a in ACTIONS if chosen[a] == "allow"}
    both = [a for a in ACTIONS if before.may(a) and after.may(a)]
    assert [after.rows(a) for a in both] == [before.rows(a) for a in both]
    old, line = (matrix.own_line(one, "entity/customer") for one in (policy, new))
    assert (line.fields, line.other_fields, line.rows) == (old.fields, old.other_fields, old.rows)
    for on in ("entity/invoice", "entity/*", "*"):
        assert matrix.counting(new, on) == matrix.counting(policy, on)
    documents.parse(documents.to_document(new))


@few
@given(policies, areas)
def test_unchanged_cells_change_nothing(policy: Policy, rooms: Rooms) -> None:
    """Who sends the matrix as it is gets the same policy: no line comes to be by looking."""
    for row in matrix.rows(policy, rooms, [Named("entity/customer", "Customers")]):
        assert matrix.changed(policy, rooms, row.on, row.states) is policy
        assert not difference.changes(policy, policy, rooms)


@few
@given(policies, areas)
def test_the_form_of_a_line_says_what_the_line_says(policy: Policy, rooms: Rooms) -> None:
    """A form that is sent as it was shown states the same line."""
    old = matrix.own_line(policy, "entity/customer")
    form = MultiDict({f"cell:{a}": state for a, state in matrix.states(old, rooms, old.on).items()})
    form.update({f"field:{row.field.name}": row.said for row in line_form.field_rows(old, policy, FIELDS)})
    form.update({"rows": old.rows, "deny_rows": old.deny_rows, "other_fields": old.other_fields.text})
    found = line_form.line_from(form, old, rooms)
    shown = matrix.states(found, rooms, old.on)
    assert shown == matrix.states(old, rooms, old.on)
    assert (found.fields, found.other_fields, found.rows) == (old.fields, old.other_fields, old.rows)
    assert (found.allow is None) == (old.allow is None)


@few
@given(policies, policies, areas)
def test_every_difference_is_told(before: Policy, after: Policy, rooms: Rooms) -> None:
    """Two policies of which nothing is told to differ are the same for every record, field and action."""
    if not difference.changes(before, after, rooms):
        one, other = _rights(before, rooms), _rights(after, rooms)
        assert [one.rows(a) for a in ACTIONS] == [other.rows(a) for a in ACTIONS]
        assert [one.level(f.name) for f in FIELDS] == [other.level(f.name) for f in FIELDS]


def test_examples_are_masked_as_values_are() -> None:
    """Each choice of a field shows what becomes of an example; what is hidden shows nothing."""
    policy = documents.parse({"personal": "mask"})
    rows: dict[str, Any] = {
        row.field.name: row.examples
        for row in line_form.field_rows(matrix.own_line(policy, "entity/customer"), policy, FIELDS)
    }
    assert rows["email"]["mask:email"] == "a•••@example.com"
    assert rows["email"][""] == "●●●●"
    assert rows["born"]["mask:year"] == "1987"
    assert rows["name"]["hide"] == rows["name"]["deny"] == rows["name"]["mask:null"] == ""
    assert rows["name"][""] == rows["name"]["write"] == "Anna Meyer"
