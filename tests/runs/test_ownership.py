"""A rule works with the rights of its owner: checked when it is published, when its owner changes, and by each run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tests.runs.conftest import RULE, World, numbers
from webapp.access import models, role_editing
from webapp.access.role_editing import Role
from webapp.access.users import NewUser, insert_user
from webapp.audit import queries
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor
from webapp.policies import services as policies
from webapp.policies.errors import NotPermitted
from webapp.rulebook import ownership, services
from webapp.rulebook.ownership import NotOwned
from webapp.runs import schedules
from webapp.runs.followups import undo
from webapp.runs.requests import RunRefused, resume

CRM, ERP = "connection/crm/customer", "connection/erp/client"
ALL = ["read", "create", "update", "delete"]
MAY: dict[str, Any] = {"data": [{"on": CRM, "allow": ["read"]}, {"on": ERP, "allow": ALL}]}


@pytest.fixture
def person(world: World) -> Callable[..., Actor]:
    """Return a function that adds a user whose only role has a policy."""

    def make(name: str, policy: dict[str, Any] | None = None, *grants: tuple[str, str]) -> Actor:
        house = world.house
        held = frozenset({("Rules", "publish"), ("Rules", "update"), ("Rules", "run"), *grants})
        role_id = role_editing.save_role(house, Role(None, f"Role of {name}", grants=held), SYSTEM)
        if policy:
            policies.set_policy(house, role_id, policy, SYSTEM)
        with house.db.begin() as tx:
            new = NewUser(name, name, "", f"{name}@example.com", (f"Role of {name}",))
            return Actor("user", name, str(insert_user(tx, new, "x", SYSTEM, house.clock())))

    return make


def _permit(world: World, name: str, policy: dict[str, Any]) -> None:
    with world.house.db.read() as tx:
        role_id = tx.scalar(sa.select(models.role.c.id).where(models.role.c.name == f"Role of {name}"))
    policies.set_policy(world.house, int(role_id or 0), policy, SYSTEM)


def _owner(world: World) -> str | None:
    with world.house.db.read() as tx:
        return services.get(tx, "customers").owner


def _line(on: str, **more: Any) -> dict[str, Any]:
    return {"data": [{**line, **(more if line["on"] == on else {})} for line in MAY["data"]]}


REFUSED = [
    ({"data": [{"on": "*", "allow": []}]}, "cannot|may not see records of connection/crm/customer"),
    (_line(ERP, allow=["read", "update"]), "may not create records of connection/erp/client"),
    (_line(ERP, deny=["update"]), "may not change records of connection/erp/client"),
    (_line(CRM, rows="record.status == 'active'"), "see records of connection/crm/customer only for some of them"),
    (_line(CRM, deny_rows="record.status == 'x'"), "the others would look deleted"),
    (_line(ERP, rows="record.memo == 'x'"), "of connection/erp/client only for some"),
    (_line(CRM, fields={"phone": "mask:last4"}), "may not see the field 'phone' of connection/crm/customer"),
    (_line(CRM, fields={"name": "hide"}), "may not see the field 'name'"),
    (_line(ERP, fields={"title": "read"}), "may not change the field 'title' of connection/erp/client"),
    (_line(CRM, fields={"id": "hide"}), "may not see the field 'id'"),
]


@pytest.mark.parametrize(("policy", "says"), REFUSED)
def test_what_the_owner_may_not_do_is_not_published(
    world: World,
    person: Callable[..., Actor],
    policy: dict[str, Any],
    says: str,
) -> None:
    """A rule that would read or write what its owner may not, or sees only in part, is refused with what is lacking."""
    services.create(world.house, RULE, person("ann", policy))
    assert _owner(world) == "ann"
    with pytest.raises(NotOwned, match=says):
        services.publish(world.house, "customers", SYSTEM)
    _permit(world, "ann", MAY)
    assert services.publish(world.house, "customers", SYSTEM) == 1


def test_a_field_in_an_expression_counts(world: World, person: Callable[..., Actor]) -> None:
    """A field that only an expression or a condition reads has to be seen by the owner, too."""
    owner = person("ann", _line(CRM, fields={"status": "hide"}))
    services.create(world.house, RULE, owner)
    assert services.publish(world.house, "customers", owner) == 1
    scoped = {**RULE, "left": {**RULE["left"], "where": "status == 'active'"}}
    services.save_draft(world.house, "customers", scoped, owner)
    with pytest.raises(NotOwned, match="may not see the field 'status'"):
        services.publish(world.house, "customers", owner)


MEMO = {"right": "memo", "to_right": "record['st\\u0061tus']"}
TABLE: dict[str, Any] = {
    "kind": "decision_table",
    "name": "rates",
    "inputs": [{"name": "status", "type": "text"}],
    "outputs": [{"name": "rate"}],
    "rows": [{"when": ["active"], "then": ["high"]}],
}


def test_a_field_counts_however_it_is_named(world: World, person: Callable[..., Actor]) -> None:
    """A field that is named by a text with escapes, or is read by a decision table only, has to be seen as well."""
    world.crm('ALTER TABLE customer ADD COLUMN "net worth" TEXT')
    owner = person("ann", _line(CRM, fields={"status": "hide", "net worth": "hide"}))
    services.create(world.house, RULE, owner)
    services.create(world.house, TABLE, SYSTEM)
    services.publish(world.house, "rates", SYSTEM)
    asks = {"decisions": [{"table": "rates"}], "fields": [*RULE["fields"], {"right": "memo", "to_right": "rates.rate"}]}
    worth = {"right": "memo", "to_right": "record['net worth']"}
    for changes in (asks, {"fields": [*RULE["fields"], MEMO]}, {"fields": [*RULE["fields"], worth]}):
        services.save_draft(world.house, "customers", {**RULE, **changes}, owner)
        with pytest.raises(NotOwned, match=r"may not see the field '(status|net worth)'"):
            services.publish(world.house, "customers", owner)


def test_a_run_asks_the_tables_that_it_has_pinned(world: World, person: Callable[..., Actor]) -> None:
    """A table that comes to read what the owner may not see stops the rule that asks it."""
    owner = person("ann", _line(CRM, fields={"status": "hide"}))
    services.create(world.house, {**TABLE, "inputs": [{"name": "phone", "type": "text"}]}, SYSTEM)
    services.publish(world.house, "rates", SYSTEM)
    asks = {"decisions": [{"table": "rates"}], "fields": [*RULE["fields"], {"right": "memo", "to_right": "rates.rate"}]}
    services.create(world.house, {**RULE, **asks}, owner)
    services.publish(world.house, "customers", owner)
    services.save_draft(world.house, "rates", TABLE, SYSTEM)
    services.publish(world.house, "rates", SYSTEM)
    run = world.request()
    services.roll_back(world.house, "rates", 1, SYSTEM)
    world.work(run)
    assert "may not see the field 'status'" in str(world.look(run).message)


def test_what_values_are_looked_up_in_counts(world: World, person: Callable[..., Actor]) -> None:
    """An object in which values have to exist has to be seen by the owner, with its key."""
    some = {"on": "connection/crm/secret", "allow": ["read"], "rows": "record.id == 1"}
    owner = person("ann", {"data": [*MAY["data"], some]})
    asked = {"field": "id", "connection": "crm", "object": "secret", "key": "id"}
    world.crm("CREATE TABLE secret (id INTEGER PRIMARY KEY)")
    services.create(world.house, {**RULE, "validations": [{"name": "known", "reference": asked}]}, owner)
    with pytest.raises(NotOwned, match="may see records of connection/crm/secret only for some"):
        services.publish(world.house, "customers", owner)


def test_nobody_does_by_another_ones_rule_what_they_may_not(world: World, person: Callable[..., Actor]) -> None:
    """Who may not read what a rule reads cannot publish a draft of it either, whoever owns it."""
    services.create(world.house, RULE, person("ann", MAY))
    bob = person("bob", _line(CRM, fields={"phone": "hide"}))
    with pytest.raises(NotOwned, match="do for you what you may not do yourself: bob may not see the field 'phone'"):
        services.publish(world.house, "customers", bob)
    services.create(world.house, {**RULE, "name": "other"}, SYSTEM)
    with pytest.raises(NotOwned):
        services.publish(world.house, "other", bob)
    assert services.publish(world.house, "other", SYSTEM) == 1


def test_each_run_asks_again(world: World, person: Callable[..., Actor]) -> None:
    """A run stops before it reads anything once its owner may not, and goes on where it stood when that is mended."""
    world.customers("Ada", "Bob")
    services.create(world.house, RULE, person("ann", MAY))
    services.publish(world.house, "customers", SYSTEM)
    assert numbers(world.run()) == {"read": 2, "created": 2}
    _permit(world, "ann", _line(CRM, rows="record.status == 'active'"))
    world.customers("Cid", first=3)
    run = world.run()
    assert (run.state, numbers(run)) == ("suspended", {})
    assert "ann owns the rule 'customers', but ann may see records" in str(run.message)
    assert len(world.clients()) == 2
    _permit(world, "ann", MAY)
    resume(world.house, run.id, SYSTEM)
    assert world.work(run.id)
    assert world.look(run.id).state == "succeeded"
    assert len(world.clients()) == 3


def test_a_disabled_or_deleted_owner_suspends(world: World, person: Callable[..., Actor]) -> None:
    """Without its owner a rule does nothing, and says so; a new user of the same name is not its owner."""
    services.create(world.house, RULE, person("ann", MAY))
    services.publish(world.house, "customers", SYSTEM)
    with world.house.db.read() as tx:
        ann = tx.scalar(sa.select(models.user.c.id).where(models.user.c.username == "ann")) or 0
    with world.house.db.begin() as tx:
        tx.execute(sa.update(models.user).where(models.user.c.id == ann).values(active=False))
    assert "ann, who owns the rule 'customers', is disabled" in str(world.run().message)
    with world.house.db.begin() as tx:
        ownership.forget(tx, "ann")
    assert "The owner of the rule 'customers' has been deleted" in str(world.run().message)


def test_runs_of_a_deleted_rule(world: World, person: Callable[..., Actor]) -> None:
    """What a deleted rule has left goes on for nobody, and is undone with the rights of who asks, by nobody else."""
    world.customers("Ada")
    ann, bob = person("ann", MAY), person("bob", _line(ERP, allow=["read"]))
    services.create(world.house, RULE, ann)
    services.publish(world.house, "customers", SYSTEM)
    written = world.run().id
    _permit(world, "ann", _line(CRM, rows="record.status == 'active'"))
    stopped = world.run().id
    services.delete(world.house, "customers", SYSTEM)
    _permit(world, "ann", MAY)
    services.create(world.house, RULE, SYSTEM)
    resume(world.house, stopped, SYSTEM)
    world.work(stopped)
    assert (world.look(stopped).state, len(world.clients())) == ("suspended", 1)
    assert "The rule 'customers' has been deleted" in str(world.look(stopped).message)
    with pytest.raises(RunRefused, match="bob may not"):
        undo(world.house, written, bob)
    assert world.work(undo(world.house, written, ann))
    assert world.clients() == []


def test_a_schedule_does_not_pile_up_what_its_owner_may_not(world: World, person: Callable[..., Actor]) -> None:
    """Of a schedule whose owner is disabled one run says why; no more are made until it is mended."""
    services.create(world.house, {**RULE, "schedule": {"cron": "* * * * *", "timezone": "UTC"}}, person("ann", MAY))
    services.publish(world.house, "customers", SYSTEM)
    with world.house.db.begin() as tx:
        tx.execute(sa.update(models.user).where(models.user.c.username == "ann").values(active=False))
    made = []
    for _ in range(4):
        made += schedules.fire_due(world.house)
        for run_id in made[-1:]:
            world.work(run_id)
        world.shift += schedules.LATE
    assert len(made) == 1
    assert world.look(made[0]).state == "suspended"


def test_owners_change(world: World, person: Callable[..., Actor]) -> None:
    """Who may do what a rule does takes it over; it is given only by who holds that one's rights."""
    ann, bob = person("ann", MAY), person("bob", MAY)
    carl = person("carl", _line(CRM, fields={"phone": "hide"}))
    services.create(world.house, RULE, ann)
    services.publish(world.house, "customers", SYSTEM)
    ownership.set_owner(world.house, "customers", "bob", bob)
    assert _owner(world) == "bob"
    with pytest.raises(NotOwned, match="may not see the field 'phone'"):
        ownership.set_owner(world.house, "customers", "carl", carl)
    with pytest.raises(NotPermitted, match="ann can take it over"):
        ownership.set_owner(world.house, "customers", "ann", carl)
    with pytest.raises(NotOwned, match="There is no user 'nobody'"):
        ownership.set_owner(world.house, "customers", "nobody", SYSTEM)
    ownership.set_owner(world.house, "customers", "ann", SYSTEM)
    ownership.set_owner(world.house, "customers", "ann", SYSTEM)
    with world.house.db.read() as tx:
        told = queries.page(tx, queries.Filter(tag=Tag.RULE_OWNED), 10)
    assert [(event.before, event.after) for event in told] == [
        ({"owner": "bob"}, {"owner": "ann"}),
        ({"owner": "ann"}, {"owner": "bob"}),
    ]
    services.create(world.house, {**RULE, "name": "second"}, SYSTEM)
    with world.house.db.read() as tx:
        assert services.get(tx, "second").owner is None
        assert ownership.candidates(tx) == ["ann", "bob", "carl"]
