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


def test_a_delivery_is_dropped_by_who_may_see_its_record(app: Any, house: House):  # noqa: F811
    """Another one is for them as if it were not there."""
    clerk = _person(app, house, {"rows": 'record.name == "de"'})
    assert clerk.get("/runs/deliveries/").text.count("/runs/7") == 1
    with house.db.read() as tx:
        numbers = tx.scalars(sa.select(delivery.c.id).order_by(delivery.c.id)).all()
    for number in numbers:
        clerk.post(f"/runs/deliveries/{number}/drop", data={"reason": "no"})
    with house.db.read() as tx:
        assert tx.scalars(sa.select(delivery.c.state).order_by(delivery.c.id)).all() == ["dropped", "waiting"]
