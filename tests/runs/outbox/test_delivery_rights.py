"""Who may not see a record sees no delivery of it, finds out nothing by asking for its key, and does not drop it."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, RULE
from tests.webapp.conftest import add_user, app, settings, sign_in  # noqa: F401 - the console's fixtures
from webapp.access import role_editing
from webapp.access.role_editing import Role
from webapp.extensions import SYSTEM, House
from webapp.policies import services as policies
from webapp.rulebook import services as rulebook
from webapp.runs.outbox import keeping
from webapp.runs.outbox.models import delivery

GRANTS = frozenset(("Runs", deed) for deed in ("read", "run", "approve"))


@pytest.fixture
def house(app: Any) -> House:  # noqa: F811
    """Return a house with two deliveries of a rule, of records in two countries."""
    house: House = app.extensions["syncline"]
    rulebook.create(house, RULE, ADMIN)
    rows = {
        "op": ["create"] * 2, "whole": [True] * 2, "key": ["KEY-1111", "KEY-2222"], "target_key": ["T-1111", "T-2222"],
        "fields": ["{}"] * 2, "record_no": [1, 2], "hash": [None, None],
        "record": [json.dumps({"id": "KEY-1111", "name": "de"}), json.dumps({"id": "KEY-2222", "name": "at"})],
    }  # fmt: skip
    place = keeping.Place(1, "customers", "left", "erp", "client", house.clock)
    with house.db.begin() as tx:
        keeping.store(tx, place, (7, 1, ""), pl.DataFrame(rows, schema_overrides={**keeping.POSTED, "hash": pl.UInt64}))
    return house


def _person(app: Any, house: House, line: dict[str, Any]) -> Any:  # noqa: F811
    role_id = role_editing.save_role(house, Role(None, "Clerk", grants=GRANTS), SYSTEM)
    policies.set_policy(house, role_id, {"data": [{"on": "connection/crm/customer", **line}]}, SYSTEM)
    add_user(house, "clerk", "Clerk")
    return sign_in(app.test_client(), "clerk")


def test_a_masked_key_is_not_found_out_by_asking_for_it(app: Any, house: House):  # noqa: F811
    """The filter meets what is seen only."""
    clerk = _person(app, house, {"fields": {"id": "mask:last4"}, "other_fields": "read"})
    page = clerk.get("/runs/deliveries/").text
    assert ("KEY-1111" in page, page.count("/runs/7")) == (False, 2)
    assert "/runs/7" not in clerk.get("/runs/deliveries/?key=KEY-1111").text


@pytest.mark.parametrize("line", [{"rows": 'record.name == "de"'}, {"fields": {"name": "hide"}}])
def test_who_may_not_see_all_of_a_record_decides_nothing_about_its_delivery(
    app: Any,  # noqa: F811
    house: House,
    line: dict[str, Any],
):
    """Neither drops it nor lets it be tried, and is not offered to; who sees all of it does."""
    clerk = _person(app, house, line)
    page = clerk.get("/runs/deliveries/").text
    assert ("/runs/7" in page, "Drop it" in page, "Try now" in page) == (True, False, False)
    clerk.post("/runs/deliveries/1/drop", data={"reason": "no", "seen": "waiting-0"})
    tried = clerk.post("/runs/deliveries/retry", follow_redirects=True).text
    assert "0 deliveries are tried now" in tried
    assert _states(house) == ["waiting", "waiting"]
    with house.db.read() as tx:
        (role,) = [one for one in role_editing.list_roles(tx) if one.name == "Clerk"]
    policies.set_policy(house, role.id, {}, SYSTEM)
    assert "Drop it" in clerk.get("/runs/deliveries/").text
    assert "2 deliveries are tried now" in clerk.post("/runs/deliveries/retry", follow_redirects=True).text
    clerk.post("/runs/deliveries/1/drop", data={"reason": "no", "seen": "waiting-0"})
    assert _states(house) == ["dropped", "waiting"]


def _states(house: House) -> list[str]:
    with house.db.read() as tx:
        return list(tx.scalars(sa.select(delivery.c.state).order_by(delivery.c.id)))
